/* dlsym(RTLD_NEXT) for all of them, and system calls for the hot ones until then. See real.h. */
#include "shim/real.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <sys/syscall.h>
#include <unistd.h>

/* syscall(2) is ours as well by the time that these run; it goes on to the C library's, which sets errno. */
static long boot_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	static long (*next)(long, ...);

	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return next(number, a, b, c, d, e, f);
}

static ssize_t boot_read(int fd, void *buffer, size_t length)
{
	return boot_syscall(SYS_read, fd, (long)buffer, (long)length, 0, 0, 0);
}

static ssize_t boot_write(int fd, const void *buffer, size_t length)
{
	return boot_syscall(SYS_write, fd, (long)buffer, (long)length, 0, 0, 0);
}

static int boot_close(int fd)
{
	return (int)boot_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static ssize_t boot_readv(int fd, const struct iovec *iov, int n)
{
	return boot_syscall(SYS_readv, fd, (long)iov, n, 0, 0, 0);
}

static ssize_t boot_writev(int fd, const struct iovec *iov, int n)
{
	return boot_syscall(SYS_writev, fd, (long)iov, n, 0, 0, 0);
}

static ssize_t boot_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
			     socklen_t *address_length)
{
	return boot_syscall(SYS_recvfrom, fd, (long)buffer, (long)length, flags, (long)address, (long)address_length);
}

static ssize_t boot_recv(int fd, void *buffer, size_t length, int flags)
{
	return boot_recvfrom(fd, buffer, length, flags, NULL, NULL);
}

static ssize_t boot_sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
			   socklen_t address_length)
{
	return boot_syscall(SYS_sendto, fd, (long)buffer, (long)length, flags, (long)address, address_length);
}

static ssize_t boot_send(int fd, const void *buffer, size_t length, int flags)
{
	return boot_sendto(fd, buffer, length, flags, NULL, 0);
}

struct real real = {
	.read = boot_read,
	.write = boot_write,
	.close = boot_close,
	.readv = boot_readv,
	.writev = boot_writev,
	.recv = boot_recv,
	.recvfrom = boot_recvfrom,
	.send = boot_send,
	.sendto = boot_sendto,
};

#define BIND(name)                                                      \
	do {                                                            \
		void *next_##name = dlsym(RTLD_NEXT, #name);            \
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
	BIND(io_uring_queue_init);
	BIND(io_uring_queue_init_params);
	BIND(fdopen);
	BIND(fclose);
	BIND(vdprintf);
	BIND(__vdprintf_chk);
	BIND(dlopen);
	BIND(syscall);
}

void *real_of_libc(const char *name)
{
	static void *libc;

	if (!libc && real.dlopen)
		libc = real.dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
	return libc ? dlsym(libc, name) : NULL;
}

void real_bind(void)
{
	bind_transfers();
	bind_sockets();
	bind_readiness();
	bind_processes();
	bind_libraries();
}

/* Our times are other processes' times too, and count from the same beginning for all: not those of a library that makes its
 * program believe in another day (libfaketime), and that must not be called before its own constructor. */
void real_bind_clock(void)
{
	real.clock_gettime = (__typeof__(real.clock_gettime))real_of_libc("clock_gettime");
}
