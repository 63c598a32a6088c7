/* See real.h. */
#include "shim/real.h"

#include <errno.h>

#include "shim/symbols.h"

/* What stands in the table until it is bound: the first call binds it. Other libraries' constructors run before ours, and an
 * allocator's initialisation even before those. */
#define FIRST(result, name, parameters, arguments)                   \
	static result first_##name parameters                        \
	{                                                            \
		real_bind();                                         \
		if (real.name != first_##name)                       \
			return real.name arguments;                  \
		errno = ENOSYS;                                      \
		return -1;                                           \
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

#define BIND(name)                                                      \
	do {                                                            \
		void *next_##name = symbols_find_next(#name);           \
		if (next_##name)                                        \
			real.name = (__typeof__(real.name))next_##name; \
	} while (0)

static void bind_transfers(void)
{
	BIND(read);
	BIND(write);
	BIND(close);
	BIND(readv);
	BIND(writev);
	BIND(recv);
	BIND(recvfrom);
	BIND(recvmsg);
	BIND(recvmmsg);
	BIND(send);
	BIND(sendto);
	BIND(sendmsg);
	BIND(sendmmsg);
	BIND(preadv2);
	BIND(pwritev2);
	BIND(sendfile);
	BIND(sendfile64);
	BIND(splice);
	BIND(__read_chk);
	BIND(__recv_chk);
	BIND(__recvfrom_chk);
}

static void bind_sockets(void)
{
	BIND(socket);
	BIND(connect);
	BIND(bind);
	BIND(listen);
	BIND(shutdown);
	BIND(getsockopt);
	BIND(setsockopt);
	BIND(getpeername);
	BIND(getsockname);
	BIND(ioctl);
	BIND(dup);
	BIND(dup2);
	BIND(dup3);
	BIND(fcntl);
	BIND(fcntl64);
	BIND(close_range);
	BIND(closefrom);
}

static void bind_readiness(void)
{
	BIND(epoll_ctl);
	BIND(epoll_wait);
	BIND(epoll_pwait);
	BIND(epoll_pwait2);
	BIND(poll);
	BIND(ppoll);
	BIND(select);
	BIND(pselect);
	BIND(__poll_chk);
	BIND(__ppoll_chk);
}

static void bind_processes(void)
{
	BIND(getrlimit);
	BIND(setrlimit);
	BIND(prlimit);
	BIND(sysconf);
	BIND(_Fork);
	BIND(clone);
	BIND(setuid);
	BIND(seteuid);
	BIND(setreuid);
	BIND(setresuid);
	BIND(setns);
	BIND(unshare);
	BIND(system);
	BIND(popen);
	BIND(prctl);
	BIND(execve);
	BIND(execvpe);
	BIND(fexecve);
	BIND(execveat);
	BIND(posix_spawn);
	BIND(posix_spawnp);
}

static void bind_libraries(void)
{
	BIND(aio_read);
	BIND(aio_write);
	BIND(aio_read64);
	BIND(aio_write64);
	BIND(lio_listio);
	BIND(lio_listio64);
	BIND(fdopen);
	BIND(fclose);
	BIND(vdprintf);
	BIND(__vdprintf_chk);
	BIND(dlopen);
	BIND(syscall);
}

#define BIND_OWN(name) libc.name = (__typeof__(libc.name))symbols_find_in_libc(#name)

struct libc libc;

static void bind_own(void)
{
	BIND_OWN(clock_gettime);
	BIND_OWN(geteuid);
	BIND_OWN(getuid);
	BIND_OWN(fstat);
	BIND_OWN(madvise);
	BIND_OWN(mmap);
	BIND_OWN(mremap);
	BIND_OWN(munmap);
	BIND_OWN(nanosleep);
	BIND_OWN(open);
	BIND_OWN(readlink);
	BIND_OWN(sched_yield);
	BIND_OWN(socketpair);
	BIND_OWN(stat);
	BIND_OWN(syscall);
}

void real_bind(void)
{
	bind_transfers();
	bind_sockets();
	bind_readiness();
	bind_processes();
	bind_libraries();
	bind_own();
}
