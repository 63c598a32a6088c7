/* See watched.h. */
#include "shim/sock/watched.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "shim/base/fd_list.h"
#include "shim/base/real.h"

/* Beyond so many calls there are more descriptors than the answer is worth. */
#define READS_MAX 4
#define ROOM 4096

/* A set says so when it is asked to watch the same file by the same number again. */
static bool is_watching(int epfd, int fd)
{
	struct epoll_event nothing = {.events = EPOLLONESHOT};

	if (real.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &nothing) == 0)
		return real.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) < 0;
	/* It is no set, or is closed by now. */
	return errno != EINVAL && errno != EBADF;
}

static bool any_is_watching(const char *entries, long length, int fd)
{
	int number;

	for (long at = 0; (number = fd_list_next(entries, length, &at)) >= 0;)
		if (number != fd && is_watching(number, fd))
			return true;
	return false;
}

bool watched_by_none(int fd)
{
	_Alignas(struct fd_list_entry) char entries[ROOM];
	int saved = errno, list = libc.open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_watched = list < 0;
	long length = 1;

	for (int i = 0; i < READS_MAX && !is_watched && length > 0; i++) {
		length = libc.syscall(SYS_getdents64, list, entries, sizeof(entries));
		is_watched = any_is_watching(entries, length, fd);
	}
	if (list >= 0)
		real.close(list);
	errno = saved;
	return !is_watched && length == 0;
}
