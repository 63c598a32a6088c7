/*
 * How the library comes to life: its constructor reads the settings, and no more. Everything that costs a system
 * call is made when the program makes its first TCP socket, so that one that never does pays nothing.
 */
#pragma once

#include <stdbool.h>

/* True if this process's sockets are to be followed: sees to it that they can be. Before a socket is made.
 * Async-signal-safe; false also where a handler has interrupted its thread in the midst of it. Preserves errno. */
bool init_is_done(void);

/* The process is about to be another user's, who can't write where `holdline run --report` has its processes count, and
 * opens no log there: it gets both now. Async-signal-safe; errno is preserved. */
void init_before_change_of_user(void);

/* The process ends without its exit handlers. Async-signal-safe. */
void init_end_at_once(void);

/* The process ends, and the destructors of its libraries have run: what they had is not to be used any more. */
bool init_is_ending(void);

/* True if nothing of ours is wanted (HOLDLINE_MODE=off), or the settings are wrong. */
bool init_is_off(void);

/* Before a process is made: waits for a thread that is in the midst of it. False if it still is, or if this is a
 * handler that has interrupted it: what it has made so far is of no use to a child. Async-signal-safe. Preserves
 * errno. */
bool init_is_settled(void);

/* In a fork's child: nobody waits for that thread, which is not here. */
void init_after_fork(void);

/* True if that has happened already: before, no socket was ever followed. */
bool init_was_needed(void);
