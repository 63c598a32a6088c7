/*
 * Where the relay may not take a duplicate of the program's socket (pidfd_getfd(2) is refused in a container by
 * Docker's profile of system calls), it makes the sockets itself when the program asks for one, and keeps a duplicate
 * of each until the program uses it in any way. A duplicate kept for longer would keep the program's close(2) from
 * having its effect.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

/* From here on sockets are made: relay_filter_install() is to tell of them. */
void made_sockets_begin(void);

/* True behind made_sockets_begin(). */
bool made_sockets_is_on(void);

/* A socket() call: makes the socket for the program, or lets the kernel do it. */
void made_sockets_take_call(const struct seccomp_notif *notice);

/* Our duplicate of that descriptor of the program's, the caller's to close from here on; or -ENOENT: it is none that
 * was made here and has not been used. */
int made_sockets_take_fd(pid_t thread, int fd) __attribute__((warn_unused_result));

/* The number of the socket behind a descriptor of the program's. 0: it is no socket. */
ino_t made_sockets_inode(pid_t thread, int fd);

/* Lets go of those that are in use in a way of which the kernel does not notify us. To be called every second. */
void made_sockets_tick(void);

bool made_sockets_is_any(void);
unsigned made_sockets_n(void);
