/* See real.h. */
#include "shim/base/real.h"

#include <errno.h>
#include <stddef.h>

#include "shim/base/alone.h"
#include "shim/base/libcs.h"
#include "shim/base/symbols.h"

/* Placeholder until the table is bound: the first call binds it. Constructors of other libraries run before ours, and
 * an allocator's set-up even before those. */
#define FIRST(result, name, parameters, arguments)  \
	static result first_##name parameters       \
	{                                           \
		real_bind();                        \
		if (real.name != first_##name)      \
			return real.name arguments; \
		errno = ENOSYS;                     \
		return -1;                          \
	}

FIRST(ssize_t, read, (int fd, void *buffer, size_t length), (fd, buffer, length))
FIRST(ssize_t, write, (int fd, const void *buffer, size_t length), (fd, buffer, length))
FIRST(int, close, (int fd), (fd))
FIRST(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n))
FIRST(ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n))
FIRST(ssize_t, recv, (int fd, void *buffer, size_t length, int flags), (fd, buffer, length, flags))
FIRST(ssize_t, recvfrom,
      (int fd, void *buffer, size_t length, int flags, struct sockaddr *address, socklen_t *address_length),
      (fd, buffer, length, flags, address, address_length))
FIRST(ssize_t, send, (int fd, const void *buffer, size_t length, int flags), (fd, buffer, length, flags))
FIRST(ssize_t, sendto,
      (int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address, socklen_t address_length),
      (fd, buffer, length, flags, address, address_length))

struct real real = {
	.read = first_read,
	.write = first_write,
	.close = first_close,
	.readv = first_readv,
	.writev = first_writev,
	.recv = first_recv,
	.recvfrom = first_recvfrom,
	.send = first_send,
	.sendto = first_sendto,
};

#define AS_TEXT(name) #name "\0"
#define AS_OFFSET_IN_REAL(name) offsetof(struct real, name),
#define AS_OFFSET_IN_LIBC(name) offsetof(struct libc, name),
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
#define NEXT(F) \
	F(read) F(write) F(close) F(readv) F(writev) F(recv) F(recvfrom) F(recvmsg) F(recvmmsg) F(send) \
	F(sendto) F(sendmsg) F(sendmmsg) F(preadv2) F(pwritev2) F(sendfile) F(splice) \
	F(__read_chk) F(__recv_chk) F(__recvfrom_chk) F(socket) F(connect) F(bind) F(listen) F(shutdown) \
	F(getsockopt) F(setsockopt) F(getpeername) F(getsockname) F(ioctl) F(dup) F(dup2) F(dup3) F(fcntl) \
	F(fcntl64) F(close_range) F(closefrom) F(epoll_ctl) F(epoll_wait) F(epoll_pwait) F(epoll_pwait2) \
	F(poll) F(ppoll) F(select) F(pselect) F(__poll_chk) F(__ppoll_chk) F(getrlimit) F(setrlimit) \
	F(prlimit) F(sysconf) F(_Fork) F(_exit) F(clone) F(setuid) F(seteuid) F(setreuid) F(setresuid) \
	F(setfsuid) F(setns) F(unshare) F(system) F(popen) F(prctl) F(execve) F(execvpe) F(fexecve) F(execveat) \
	F(posix_spawn) F(posix_spawnp) F(aio_read) F(aio_write) F(lio_listio) \
	F(fdopen) F(fclose) F(vdprintf) F(__vdprintf_chk) F(dlopen) F(syscall)

#define OWN(F) \
	F(clock_gettime) F(geteuid) F(getuid) F(fstat) F(madvise) F(mmap) F(mremap) F(munmap) F(nanosleep) \
	F(open) F(readlink) F(socketpair) F(stat) F(syscall)
/* clang-format on */

static const char next_names[] = NEXT(AS_TEXT);
static const uint16_t next_offsets[] = {NEXT(AS_OFFSET_IN_REAL)};
static const char own_names[] = OWN(AS_TEXT);
static const uint16_t own_offsets[] = {OWN(AS_OFFSET_IN_LIBC)};

_Static_assert(LENGTH(next_offsets) == sizeof(struct real) / sizeof(void *), "each function is bound");
_Static_assert(LENGTH(own_offsets) == sizeof(struct libc) / sizeof(void *), "each function is bound");

struct libc libc;

void real_bind(void)
{
	const struct symbols_list next = {next_names, next_offsets, LENGTH(next_offsets)};
	const struct symbols_list own = {own_names, own_offsets, LENGTH(own_offsets)};

	symbols_bind_next(&next, &real);
	symbols_bind_libc(&own, &libc);
	libcs_fill_gaps();
	alone_bind();
}
