/* What test programs call and not every C library has: as programs bring it along, by system calls. */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __GLIBC__
#define HAS_GLIBC(major, minor) __GLIBC_PREREQ(major, minor)
#else
#define HAS_GLIBC(major, minor) 0
#endif

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1u << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif
#ifndef _SC_MINSIGSTKSZ
#define _SC_MINSIGSTKSZ _SC_PAGESIZE
#endif

#if !HAS_GLIBC(2, 34)
static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

static inline void closefrom(int first)
{
	close_range(first > 0 ? (unsigned)first : 0, ~0u, 0);
}
#endif

#if !HAS_GLIBC(2, 34) && defined(__GLIBC__)
static inline pid_t _Fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
#endif

#if !HAS_GLIBC(2, 35)
static inline int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
			       const sigset_t *mask)
{
	return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, 8);
}
#endif

#ifndef __GLIBC__
static inline ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return syscall(SYS_preadv2, fd, iov, n, offset, 0, flags);
}

static inline ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

static inline int execveat(int at, const char *path, char *const arguments[], char *const environment[], int flags)
{
	return (int)syscall(SYS_execveat, at, path, arguments, environment, flags);
}

static inline int isfdtype(int fd, int type)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -1 : (status.st_mode & S_IFMT) == (mode_t)type;
}

#define preadv64v2 preadv2
#define pwritev64v2 pwritev2
#endif
