/*
 * Being a program's parent without anybody noticing, as far as that goes: it is in our process group, on our terminal, and
 *   - signals that were sent to us are passed on, but for those that the whole group got and the program has anyway;
 *   - when the terminal stops it (^Z), we stop, and so the shell sees its job stop; it goes on with us;
 *   - it dies with us, also of SIGKILL, and we end as it ended, by the same signal.
 * Differences that stay: SIGSTOP sent to us alone stops us alone; the program's parent is not who started us.
 *
 * One child in a process, no other threads: signals are blocked and waited for from run_parent_start() on.
 */
#pragma once

#include <sys/types.h>

/* Starts the program `argv[0]`, as looked up in PATH, with the signals as they were. Its pid, or -errno of execvp(3). From
 * then on standard input and output are the program's only: here they lead nowhere. */
pid_t run_parent_start(char **argv) __attribute__((warn_unused_result));

/* Waits until it has ended, and returns its status as waitpid(2) gives it. Meanwhile `tick` is called; it returns after how
 * many milliseconds it wants to be called again. */
int run_parent_wait(pid_t child, unsigned (*tick)(void *context), void *context);

/* Ends this process by the signal that `status` names, without a core file; else returns the exit status. */
int run_parent_end_like(int status);
