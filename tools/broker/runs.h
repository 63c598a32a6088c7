/*
 * The runs that a broker serves. It stays as long as the process that `holdline run` has become; if that process led a
 * process group of its own (a job of a shell, a service, a session), until the whole group has ended.
 *
 * The programs themselves say nothing to the broker before they have a connection to share: a process that never dials
 * must cost nothing. So each run hands over a pidfd of its own (pidfd_open(2)), once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The lowest bits of an event's data tell what it is about, those above which. */
#define BROKER_RUNS_TAG_BITS 3

/* Begins to watch a run: `pidfd` becomes readable when it ends, which the loop sees in `epoll` as `tag` and the run's
 * index. `pid`: its pid when it connected. Consumes `pidfd`. A run that can't be watched is ignored. */
void broker_runs_add(int epoll, int pidfd, pid_t pid, uint64_t tag);

/* The run of this index has ended. */
void broker_runs_note_end(int epoll, uint64_t index);

/* True if any run goes on. */
bool broker_runs_any(void);

/* For how many milliseconds that stays true without asking again; -1: until an event reports an end. */
int broker_runs_certain_ms(void);
