/*
 * The next definition of every function that we interpose: the C library's, or that of another preload behind us;
 * and what we call of the C library's for ourselves, whoever is behind us.
 *
 * Bound once (symbols.h: no lock, no memory), before any thread of the program exists, by the constructor or by
 * the first call that comes before it: other libraries' constructors run first, and an allocator's initialisation.
 * Immutable afterwards. The hot ones bind themselves; the others are called through REAL(), but where a socket is
 * followed all are known to be bound.
 */
#pragma once

#include <aio.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "shim/base/libcs.h"
#include "shim/base/symbols.h"

struct real {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	int (*close)(int);
	ssize_t (*readv)(int, const struct iovec *, int);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*recv)(int, void *, size_t, int);
	ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
	ssize_t (*recvmsg)(int, struct msghdr *, int);
	int (*recvmmsg)(int, struct mmsghdr *, unsigned, messages_flags, struct timespec *);
	ssize_t (*send)(int, const void *, size_t, int);
	ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*sendmmsg)(int, struct mmsghdr *, unsigned, messages_flags);
	ssize_t (*preadv2)(int, const struct iovec *, int, off_t, int);
	ssize_t (*pwritev2)(int, const struct iovec *, int, off_t, int);
	ssize_t (*sendfile)(int, int, off_t *, size_t);
	ssize_t (*splice)(int, off_t *, int, off_t *, size_t, unsigned);

	int (*socket)(int, int, int);
	int (*connect)(int, const struct sockaddr *, socklen_t);
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*listen)(int, int);
	int (*shutdown)(int, int);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*ioctl)(int, ioctl_request, ...);

	int (*dup)(int);
	int (*dup2)(int, int);
	int (*dup3)(int, int, int);
	int (*fcntl)(int, int, ...);
	int (*fcntl64)(int, int, ...);
	int (*close_range)(unsigned, unsigned, int);
	void (*closefrom)(int);

	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
	int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
	int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
	int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);

	int (*getrlimit)(rlimit_resource, struct rlimit *);
	int (*setrlimit)(rlimit_resource, const struct rlimit *);
	int (*prlimit)(pid_t, rlimit_resource, const struct rlimit *, struct rlimit *);
	long (*sysconf)(int);
	pid_t (*_Fork)(void);
	void (*_exit)(int);
	int (*clone)(int (*)(void *), void *, int, void *, ...);
	int (*setuid)(uid_t);
	int (*seteuid)(uid_t);
	int (*setreuid)(uid_t, uid_t);
	int (*setresuid)(uid_t, uid_t, uid_t);
	int (*setfsuid)(uid_t);
	int (*setns)(int, int);
	int (*unshare)(int);
	int (*system)(const char *);
	FILE *(*popen)(const char *, const char *);
	int (*prctl)(int, ...);
	int (*execve)(const char *, char *const[], char *const[]);
	int (*execvpe)(const char *, char *const[], char *const[]);
	int (*fexecve)(int, char *const[], char *const[]);
	int (*execveat)(int, const char *, char *const[], char *const[], int);
	int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
			   char *const[], char *const[]);
	int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
			    char *const[], char *const[]);

	FILE *(*fdopen)(int, const char *);
	int (*fclose)(FILE *);
	int (*vdprintf)(int, const char *, va_list);
	int (*__vdprintf_chk)(int, int, const char *, va_list);
	int (*aio_read)(struct aiocb *);
	int (*aio_write)(struct aiocb *);
	int (*lio_listio)(int, LIO_LIST(), int, struct sigevent *);
	void *(*dlopen)(const char *, int);
	long (*syscall)(long, ...);

	ssize_t (*__read_chk)(int, void *, size_t, size_t);
	ssize_t (*__recv_chk)(int, void *, size_t, size_t, int);
	ssize_t (*__recvfrom_chk)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
	int (*__poll_chk)(struct pollfd *, nfds_t, int, size_t);
	int (*__ppoll_chk)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
};

extern struct real real;

/* The C library's own functions. This library needs the kernel's answers, not those of another preload (libfaketime's
 * clock, fakeroot's user, an allocator's mmap() hooks), and never the host's code. Bound with the others. */
struct libc {
	int (*clock_gettime)(clockid_t, struct timespec *);
	uid_t (*geteuid)(void);
	uid_t (*getuid)(void);
	int (*fstat)(int, struct stat *);
	int (*madvise)(void *, size_t, int);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mremap)(void *, size_t, size_t, int, ...);
	int (*munmap)(void *, size_t);
	int (*nanosleep)(const struct timespec *, struct timespec *);
	int (*open)(const char *, int, ...);
	ssize_t (*readlink)(const char *, char *, size_t);
	int (*socketpair)(int, int, int, int[2]);
	int (*stat)(const char *, struct stat *);
	long (*syscall)(long, ...);
};

extern struct libc libc;

/* Binds everything. Idempotent, async-signal-safe. */
void real_bind(void);

/* Functions of libdl and librt, which a program with a glibc before 2.34 may have by a plug-in alone: looked for at
 * each call where they were not there at the start, since that may be unloaded again. NULL: nobody has it. */
#define REAL_OR_LATE(name) \
	(__builtin_expect(REAL(name) != NULL, 1) ? real.name : (__typeof__(real.name))symbols_find_anywhere(#name))

/* For those that may be called before the constructor. */
#define REAL(name) (__builtin_expect(real.name != NULL, 1) ? real.name : (real_bind(), real.name))
