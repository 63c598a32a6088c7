/* See libcs.h. Raw system calls are no cancellation points, as the functions would be that are missing. */
#include "shim/base/libcs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

#include "shim/base/fd_list.h"
#include "shim/base/real.h"

#define KERNEL_SIGSET_SIZE 8

static int call_close_range(unsigned first, unsigned last, int flags)
{
	return (int)libc.syscall(SYS_close_range, first, last, flags);
}

/* Of a list of the process's descriptors; true if it closed any. */
static bool close_listed(const char *list, long length, int first, int keep)
{
	bool any = false;
	int fd;

	for (long at = 0; (fd = fd_list_next(list, length, &at)) >= 0;) {
		if (fd >= first && fd != keep) {
			libc.syscall(SYS_close, fd);
			any = true;
		}
	}
	return any;
}

/* Before Linux 5.9. The list is read anew where descriptors were closed, since that moves the rest of it. */
static void close_each(int first)
{
	_Alignas(8) char list[2048];
	int folder = (int)libc.syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long n;

	while (folder >= 0 && (n = libc.syscall(SYS_getdents64, folder, list, sizeof(list))) > 0)
		if (close_listed(list, n, first, folder))
			libc.syscall(SYS_lseek, folder, 0, SEEK_SET);
	if (folder >= 0)
		libc.syscall(SYS_close, folder);
}

static void call_closefrom(int first)
{
	if (first < 0)
		first = 0;
	if (libc.syscall(SYS_close_range, first, UINT_MAX, 0) < 0)
		close_each(first);
}

static int call_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
			     const sigset_t *mask)
{
	return (int)libc.syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, KERNEL_SIGSET_SIZE);
}

static int call_execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags)
{
	return (int)libc.syscall(SYS_execveat, directory, path, arguments, environment, flags);
}

static pid_t call_fork(void)
{
	return (pid_t)libc.syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* The kernel takes the upper half of the offset in an argument of its own, which 64-bit machines ignore. */
static ssize_t call_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return libc.syscall(SYS_preadv2, fd, iov, n, offset, 0, flags);
}

static ssize_t call_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return libc.syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

static int call_fstat(int fd, struct stat *status)
{
	return (int)libc.syscall(SYS_fstat, fd, status);
}

static int call_stat(const char *path, struct stat *status)
{
	return (int)libc.syscall(SYS_newfstatat, AT_FDCWD, path, status, 0);
}

#define FILL(pointer, function)                 \
	do {                                    \
		if (!(pointer))                 \
			(pointer) = (function); \
	} while (0)

void libcs_fill_gaps(void)
{
	FILL(real.close_range, call_close_range);
	FILL(real.closefrom, call_closefrom);
	FILL(real.epoll_pwait2, call_epoll_pwait2);
	FILL(real.execveat, call_execveat);
	FILL(real._Fork, call_fork);
	FILL(real.preadv2, call_preadv2);
	FILL(real.pwritev2, call_pwritev2);
	/* glibc has had functions of these two names since 2.33. */
	FILL(libc.fstat, call_fstat);
	FILL(libc.stat, call_stat);
}
