/*
 * A parent process that nobody notices, as far as possible. It is in the program's process group, on its terminal, and
 *   - passes signals on that were sent to it, except those that the whole group, and so the program, got;
 *   - stops when the terminal stops the program (^Z), so that the shell sees its job stop, and continues with it;
 *   - takes the program with it when it dies, even by SIGKILL, and ends as the program ended, by the same signal.
 * Remaining differences: SIGSTOP sent to us alone stops us alone; getppid() is not the process that started us.
 *
 * One child per process, no other threads: from run_parent_start() on, signals are blocked and waited for.
 */
#pragma once

#include <sys/types.h>

/* Starts the program `argv[0]`, looked up in PATH, with the original signal settings. Calls `prepare` in the process
 * that becomes the program, just before. Its pid, or -errno of execvp(3).
 * From then on standard input and output are the program's only: ours are /dev/null. */
pid_t run_parent_start(char **argv, void (*prepare)(const void *context), const void *context)
	__attribute__((warn_unused_result));

/* Waits until the program has ended; returns its status as in waitpid(2). Calls `tick` meanwhile, which returns the
 * milliseconds until its next call. */
int run_parent_wait(pid_t child, unsigned (*tick)(void *context), void *context);

/* Ends this process by the signal in `status`, without a core file; or returns the exit status. */
int run_parent_end_like(int status);
