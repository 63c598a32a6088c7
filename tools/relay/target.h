/*
 * The process that a notification of the kernel's is about: its memory, its descriptors. Everything read of it counts
 * only if the notification is still valid afterwards (seccomp_unotify(2)): the process may have gone, and its numbers
 * be another's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Copies from its memory at `address`, or `n` parts to `places` in it. 0 or -errno: all of it, or -EFAULT. */
int target_read(pid_t thread, uint64_t address, void *to, size_t length) __attribute__((warn_unused_result));
int target_write(pid_t thread, const struct iovec *parts, const struct iovec *places, size_t n)
	__attribute__((warn_unused_result));

/* The process that it is a thread of; -1: it has gone. */
pid_t target_process(pid_t thread);

/* A duplicate of its descriptor, close-on-exec and the caller's to close; or -errno of pidfd_getfd(2). */
int target_take_fd(pid_t thread, int fd) __attribute__((warn_unused_result));
