/*
 * The names for files of more than two gigabytes. Where a program's offsets have 64 bits anyhow they are second names,
 * with the same structures: glibc declares these anew, and musl makes macros of the names. So this file uses none of
 * the C library's declarations of them.
 */
#include <stdarg.h>
#include <sys/types.h>

#include "shim/wrap/wrap.h"

/* clang-format off */
#define SECOND(result, name, parameters, arguments)     \
	result name parameters;                         \
	result name##64 parameters;                     \
	EXPORT result name##64 parameters { return name arguments; }
/* clang-format on */

_Static_assert(sizeof(off_t) == 8, "a 64-bit machine");

ssize_t preadv2(int fd, const void *iov, int n, off_t offset, int flags);
ssize_t preadv64v2(int fd, const void *iov, int n, off_t offset, int flags);
EXPORT ssize_t preadv64v2(int fd, const void *iov, int n, off_t offset, int flags)
{
	return preadv2(fd, iov, n, offset, flags);
}

ssize_t pwritev2(int fd, const void *iov, int n, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const void *iov, int n, off_t offset, int flags);
EXPORT ssize_t pwritev64v2(int fd, const void *iov, int n, off_t offset, int flags)
{
	return pwritev2(fd, iov, n, offset, flags);
}

SECOND(int, aio_read, (void *control), (control))
SECOND(int, aio_write, (void *control), (control))
SECOND(int, lio_listio, (int mode, void *list, int n, void *event), (mode, list, n, event))
SECOND(int, getrlimit, (unsigned resource, void *limit), (resource, limit))
SECOND(int, setrlimit, (unsigned resource, const void *limit), (resource, limit))
SECOND(int, prlimit, (pid_t pid, unsigned resource, const void *set, void *get), (pid, resource, set, get))
SECOND(ssize_t, sendfile, (int out, int in, off_t *offset, size_t length), (out, in, offset, length))
