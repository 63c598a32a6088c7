/* Fork handlers, and what has to be known about children that are made without them. */
#pragma once

#include <stdbool.h>

/* Registers them; in the constructor. */
void fork_init(void);

/* Around a call that makes a process or thread with the flags of clone(2), 0 for a fork. Afterwards in the parent,
 * whatever came of it, and in a child that returns from the same call. Async-signal-safe, both. */
void fork_before_clone(unsigned long flags);
void fork_after_clone(unsigned long flags, bool is_child);

/* Before a call that sets this mode of seccomp (SECCOMP_MODE_*, 0: none), under which every system call that the
 * program does not make itself may be its last: no more of ours. */
void fork_before_seccomp(long mode, const void *filter);

/* Before a call that executes another program in this process, and, with its result, after one that has failed; before
 * one that executes it in a new one; `has_actions`: it has file actions. Each may be in a vfork child. errno is
 * preserved. */
int fork_before_exec(void) __attribute__((warn_unused_result));
void fork_after_exec(int begun);
void fork_before_spawn(bool has_actions);
