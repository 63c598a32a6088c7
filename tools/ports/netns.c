/* See netns.h. */
#include "tools/ports/netns.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/kernel.h"

static bool is_ours(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

int netns_enter(pid_t pid)
{
	int error = 0, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return -errno;
	/* Without privilege, a namespace made together with a user namespace can be entered together with that. */
	if (!is_ours(pid) && setns(pidfd, CLONE_NEWNET) != 0 && setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET) != 0)
		error = -errno;
	close(pidfd);
	return error;
}

uint64_t netns_cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

uint64_t netns_own_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = fd < 0 ? 0 : netns_cookie_of(fd);

	if (fd >= 0)
		close(fd);
	return cookie;
}
