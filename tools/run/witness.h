/*
 * A process that does nothing but be in our process group: a signal that it gets went to the whole group. A signal
 * itself doesn't tell whether it was sent to one process or to its group, and run_parent must know before it passes the
 * signal on.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* All signals must be blocked; they stay blocked in the witness. If fork fails, no signal is seen. */
void run_witness_start(void);
void run_witness_end(void);

/* The caller has reaped this child: if it was the witness, there is none any more. */
void run_witness_forget(pid_t pid);

/* True if the witness, too, has got the signal since the last call. Takes a millisecond. */
bool run_witness_saw(int signal_number);
