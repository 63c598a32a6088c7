/*
 * Descriptors of the broker's that this process duplicates (pidfd_getfd(2)), without asking.
 *
 * The kernel lets only who might trace the broker do so (ptrace(2)), and a filter of system calls may end a process for
 * asking: where there is one, and once it was refused, none is to be had.
 */
#pragma once

#include <stdbool.h>

struct broker_board;

/* False: do not try. One system call the first time. */
bool reach_is_granted(void);

/* The program has a filter of system calls. */
void reach_leave_alone(void);

/* A descriptor of the broker's process, the caller's to close; -1: it can't be had, as in another namespace of
 * processes, where there is none of this number, or another one. */
int reach_broker(const struct broker_board *board);

/* Of the broker's process, by its number there. A descriptor among the program's numbers, the caller's; -1 likewise.
 * Where the broker has died it may be anything, of anybody. */
int reach_duplicate(int broker, int number);

/* Has the broker look at its shelf: it sees the end of this process at once, and lets go of what is given up. NULL:
 * nothing. errno is preserved; needs no lock. */
void reach_ring(const struct broker_board *board);
