/*
 * The runs that a broker serves: it stays for as long as the process that `holdline run` has become, and, where that led a
 * process group of its own (a job of a shell's, a service, a session), until nobody of that is left.
 *
 * The programs themselves say nothing to the broker before they have a connection to share: a process that never dials is
 * to cost nothing. So each run hands over a pidfd of its own (pidfd_open(2)), once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Begins to watch a run: `pidfd` becomes readable when it ends, which the loop hears of as `TAG` and its index in `epoll`.
 * `pid`: what it was when it connected. Consumes `pidfd`. What can't be watched is left alone. */
void broker_runs_add(int epoll, int pidfd, pid_t pid, uint64_t tag);

/* The run of this index has ended. */
void broker_runs_note_end(int epoll, uint64_t index);

/* True if any run goes on. */
bool broker_runs_any(void);

/* For how long that is certain, in milliseconds; -1: until one is said to have ended. */
int broker_runs_certain_ms(void);
