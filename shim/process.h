/* Fork handlers, and what has to be known about children that are made without them. */
#pragma once

/* Registers them; in the constructor. */
void process_init(void);

/* A process or thread is about to be made with the flags of clone(2): 0 for a fork. Async-signal-safe, both. */
void process_before_clone(unsigned long flags);
void process_after_clone_in_child(unsigned long flags);
