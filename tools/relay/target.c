/* See target.h. */
#include "tools/relay/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pool/base/kernel.h"
#include "tools/base/proc_file.h"

/* linux/pidfd.h, Linux 6.9; not in the headers of today. */
#define PIDFD_OF_THREAD O_EXCL

static int outcome(ssize_t n, size_t length)
{
	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EFAULT;
}

int target_read(pid_t thread, uint64_t address, void *to, size_t length)
{
	struct iovec local = {to, length}, remote = {(void *)(uintptr_t)address, length};

	return outcome(process_vm_readv(thread, &local, 1, &remote, 1, 0), length);
}

int target_write(pid_t thread, const struct iovec *parts, const struct iovec *places, size_t n)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++)
		length += parts[i].iov_len;
	return outcome(process_vm_writev(thread, parts, n, places, n, 0), length);
}

pid_t target_process(pid_t thread)
{
	const char *field;
	char text[4096];

	field = proc_file_read(thread, "status", text, sizeof(text)) ? strstr(text, "\nTgid:") : NULL;
	return field ? atoi(field + strlen("\nTgid:")) : -1;
}

/* Before Linux 6.9 a pidfd is a process's only. -1 and errno. */
static int open_process_of(pid_t thread)
{
	pid_t process = target_process(thread);

	errno = ESRCH;
	return process < 0 ? -1 : (int)syscall(SYS_pidfd_open, process, 0);
}

/* -ENOSYS where the kernel knows none of threads. */
static int open_thread(pid_t thread)
{
	static bool knows_none;
	int pidfd = knows_none ? -ENOSYS : (int)syscall(SYS_pidfd_open, thread, PIDFD_OF_THREAD);

	if (pidfd == -1)
		pidfd = -errno;
	if (pidfd == -EINVAL)
		knows_none = true;
	return knows_none ? -ENOSYS : pidfd;
}

static int take(int pidfd, int fd)
{
	int taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return taken < 0 ? -errno : taken;
}

static int take_of_process(pid_t thread, int fd)
{
	int pidfd = open_process_of(thread), taken;

	if (pidfd < 0)
		return -errno;
	taken = take(pidfd, fd);
	close(pidfd);
	return taken;
}

/* The threads that called last. A kept descriptor is never another thread's: it is of the thread, not of its number. */
static struct known {
	pid_t thread;
	int pidfd;
} known[16];

/* Keeps a descriptor of the thread. 0 or -errno. */
static int know(struct known *of, pid_t thread)
{
	int pidfd = open_thread(thread);

	if (pidfd < 0)
		return pidfd;
	if (of->thread)
		close(of->pidfd);
	*of = (struct known){thread, pidfd};
	return 0;
}

int target_take_fd(pid_t thread, int fd)
{
	struct known *of = &known[(unsigned)thread % (sizeof(known) / sizeof(known[0]))];
	int taken = of->thread == thread ? take(of->pidfd, fd) : -ESRCH, error;

	/* A number of a thread that has gone may be another's now. */
	if (taken != -ESRCH)
		return taken;
	error = know(of, thread);
	if (error == -ENOSYS)
		return take_of_process(thread, fd);
	return error ? error : take(of->pidfd, fd);
}
