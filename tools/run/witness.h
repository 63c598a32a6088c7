/*
 * A process that does nothing but be in our process group: what it got, the whole group got. A signal does not say whether
 * it was sent to one process or to its group, and whoever passes it on has to know.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* All signals must be blocked; the witness keeps them so. Without one (fork failed) nothing is seen. */
void run_witness_start(void);
void run_witness_end(void);

/* Somebody else has waited for this child: if it was the witness, there is none any more. */
void run_witness_forget(pid_t pid);

/* True if the witness has had the signal, too, since this was last asked. Takes a millisecond. */
bool run_witness_saw(int signal_number);
