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

int target_write(pid_t thread, uint64_t address, const void *from, size_t length)
{
	struct iovec local = {(void *)from, length}, remote = {(void *)(uintptr_t)address, length};

	return outcome(process_vm_writev(thread, &local, 1, &remote, 1, 0), length);
}

/* Before Linux 6.9 a pidfd is a process's only. -1 and errno. */
static int open_process_of(pid_t thread)
{
	const char *field;
	char text[4096];

	errno = ESRCH;
	if (!proc_file_read(thread, "status", text, sizeof(text)))
		return -1;
	field = strstr(text, "\nTgid:");
	return field ? (int)syscall(SYS_pidfd_open, atoi(field + strlen("\nTgid:")), 0) : -1;
}

static int open_thread(pid_t thread)
{
	static bool knows_threads = true;
	int pidfd = -1;

	if (knows_threads) {
		pidfd = (int)syscall(SYS_pidfd_open, thread, PIDFD_OF_THREAD);
		knows_threads = pidfd >= 0 || errno != EINVAL;
	}
	return knows_threads ? pidfd : open_process_of(thread);
}

int target_take_fd(pid_t thread, int fd)
{
	int pidfd = open_thread(thread), taken, error;

	if (pidfd < 0)
		return -errno;
	taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	error = errno;
	close(pidfd);
	return taken < 0 ? -error : taken;
}
