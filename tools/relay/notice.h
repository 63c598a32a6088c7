/*
 * The kernel's notifications of system calls (seccomp_unotify(2)): one at a time, each to be answered once.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

/* In the watchdog, before it makes the relay: it then knows of what that has taken and not answered. 0 or -errno. */
int notice_share(void) __attribute__((warn_unused_result));

/* Prepares for a listener, which is borrowed. 0 or -errno. */
int notice_begin(int listener) __attribute__((warn_unused_result));

/* Takes the next; waits for it. False: there was none after all. */
bool notice_take(struct seccomp_notif *notice);

/* True while the thread that it is about still waits in that call: then its numbers and memory are what they were. */
bool notice_is_valid(uint64_t id);

/* The call returns 0, or -1 with errno `error`. */
void notice_answer(uint64_t id, int error);

/* The call returns a duplicate of `fd` in the program: the lowest descriptor that is free there, with these flags
 * (O_CLOEXEC or 0). 0 or -errno: it has not been answered. */
int notice_give(uint64_t id, int fd, uint32_t flags) __attribute__((warn_unused_result));

/* The kernel carries the call out. */
void notice_let_pass(uint64_t id);

/* In the watchdog: the kernel carries out all that the relay had taken and not answered when it died. */
void notice_let_taken_pass(void);
