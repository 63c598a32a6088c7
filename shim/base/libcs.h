/*
 * What C libraries don't have in common, as far as this library wraps or needs it: types that glibc and musl declare
 * differently; and declarations and functions that some don't have (glibc before 2.35, musl). The functions are
 * system calls then. A program may find our wrapper by its name where there would be none without us, and it works.
 */
#pragma once

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "pool/base/kernel.h"

#ifdef __GLIBC__
typedef __rlimit_resource_t rlimit_resource; /* of getrlimit() */
typedef unsigned long ioctl_request;
typedef int messages_flags;				  /* of sendmmsg() and recvmmsg() */
#define LIO_LIST(name) struct aiocb *const name[restrict] /* of lio_listio() */
#else
typedef int rlimit_resource;
typedef int ioctl_request;
typedef unsigned messages_flags;
#define LIO_LIST(name) struct aiocb *restrict const *restrict name
#endif

/* musl has no such flag, and needs none: it always looks for a name in the order of the program's libraries. */
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif
#ifndef AIO_PRIO_DELTA_MAX
#define AIO_PRIO_DELTA_MAX 20
#endif

int close_range(unsigned first, unsigned last, int flags);
void closefrom(int first);
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout, const sigset_t *mask);
int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags);
pid_t _Fork(void);
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags);

/* Puts those in the gaps of the tables of real functions (real.h), once these are bound. */
void libcs_fill_gaps(void);
