/* The same calls by other names: by syscall number, with positions, by libraries that read and write for a program. The
 * bytes and the end are the same. */
#include "tests/lib/probe.h"

#include <aio.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char bytes[8192];
static const char request[] = "GET /bytes/100 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
#define LENGTH (sizeof request - 1)

/* A read that never ends must be a failure, not a hanging test. */
static int dial(void)
{
	struct timeval limit = {2, 0};
	int fd = probe_dial();

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

static struct iovec piece(size_t length)
{
	return (struct iovec){bytes, length};
}

static long raw_read(int fd)
{
	return syscall(SYS_read, fd, bytes, 50);
}
static long raw_readv(int fd)
{
	struct iovec vector = piece(50);

	return syscall(SYS_readv, fd, &vector, 1);
}
static long raw_recvfrom(int fd)
{
	return syscall(SYS_recvfrom, fd, bytes, 50, 0, NULL, NULL);
}
static long raw_recvmsg(int fd)
{
	struct iovec vector = piece(50);
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	return syscall(SYS_recvmsg, fd, &message, 0);
}
static long raw_recvmmsg(int fd)
{
	struct iovec vector = piece(50);
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
	long n = syscall(SYS_recvmmsg, fd, &message, 1, 0, NULL);

	return n == 1 ? message.msg_len : n;
}
static long raw_preadv2(int fd)
{
	struct iovec vector = piece(50);

	return syscall(SYS_preadv2, fd, &vector, 1, -1L, -1L, 0);
}
static long libc_preadv2(int fd)
{
	struct iovec vector = piece(50);

	return preadv2(fd, &vector, 1, -1, 0);
}
static long libc_preadv64v2(int fd)
{
	struct iovec vector = piece(50);

	return preadv64v2(fd, &vector, 1, -1, 0);
}
static long libc_aio(int fd)
{
	struct aiocb control = {.aio_fildes = fd, .aio_buf = bytes, .aio_nbytes = 50};
	const struct aiocb *const list[] = {&control};

	if (aio_read(&control) || aio_suspend(list, 1, &(struct timespec){3, 0}))
		return -1;
	return aio_error(&control) ? (errno = aio_error(&control), -1) : aio_return(&control);
}

static const struct {
	const char *name;
	long (*receive)(int fd);
} receivers[] = {
	{"raw read", raw_read},		{"raw readv", raw_readv},
	{"raw recvfrom", raw_recvfrom}, {"raw recvmsg", raw_recvmsg},
	{"raw recvmmsg", raw_recvmmsg}, {"raw preadv2", raw_preadv2},
	{"libc preadv2", libc_preadv2}, {"libc preadv64v2", libc_preadv64v2},
	{"libc aio_read", libc_aio},
};

static void receive_all(size_t i, int fd, bool is_all)
{
	long n, total = 0;

	while ((n = receivers[i].receive(fd)) > 0) {
		total += n;
		if (!is_all)
			break;
	}
	say("%s: %ld bytes, then %ld %s", receivers[i].name, total, n < 0 ? n : n > 0, n < 0 ? error_name(errno) : "");
}

static void run_receiving(void)
{
	for (size_t i = 0; i < sizeof receivers / sizeof *receivers; i++) {
		int fd = dial();

		probe_ask(fd, "/bytes/100");
		receive_all(i, fd, true);
		CALL(close(fd));
		probe_exchange("/bytes/10");
	}
}

/* Begun by another name and ended as usual, and the other way round. */
static void run_mixed(void)
{
	for (size_t i = 0; i < sizeof receivers / sizeof *receivers; i++) {
		int fd = dial();

		probe_ask(fd, "/bytes/100");
		receive_all(i, fd, false);
		probe_drain(fd);
		CALL(close(fd));
		fd = dial();
		probe_ask(fd, "/bytes/100");
		CALL(recv(fd, bytes, 30, MSG_WAITALL));
		receive_all(i, fd, true);
		CALL(close(fd));
	}
}

static long send_raw_write(int fd)
{
	return syscall(SYS_write, fd, request, LENGTH);
}
static long send_raw_writev(int fd)
{
	struct iovec vector = {(void *)request, LENGTH};

	return syscall(SYS_writev, fd, &vector, 1);
}
static long send_raw_sendto(int fd)
{
	return syscall(SYS_sendto, fd, request, LENGTH, MSG_NOSIGNAL, NULL, 0);
}
static long send_raw_sendmsg(int fd)
{
	struct iovec vector = {(void *)request, LENGTH};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	return syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}
static long send_raw_sendmmsg(int fd)
{
	struct iovec vector = {(void *)request, LENGTH};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
	long n = syscall(SYS_sendmmsg, fd, &message, 1, MSG_NOSIGNAL);

	return n == 1 ? message.msg_len : n;
}
static long send_raw_pwritev2(int fd)
{
	struct iovec vector = {(void *)request, LENGTH};

	return syscall(SYS_pwritev2, fd, &vector, 1, -1L, -1L, 0);
}
static long send_pwritev2(int fd)
{
	struct iovec vector = {(void *)request, LENGTH};

	return pwritev2(fd, &vector, 1, -1, 0);
}
static long send_aio(int fd)
{
	struct aiocb control = {.aio_fildes = fd, .aio_buf = (void *)request, .aio_nbytes = LENGTH};
	const struct aiocb *const list[] = {&control};

	if (aio_write(&control) || aio_suspend(list, 1, &(struct timespec){3, 0}))
		return -1;
	return aio_error(&control) ? (errno = aio_error(&control), -1) : aio_return(&control);
}

static long (*const senders[])(int fd) = {send_raw_write,    send_raw_writev,	send_raw_sendto, send_raw_sendmsg,
					  send_raw_sendmmsg, send_raw_pwritev2, send_pwritev2,	 send_aio};

static void run_sending(void)
{
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
		int fd = dial();

		say("%zu: %ld", i, senders[i](fd));
		probe_drain(fd);
		CALL(close(fd));
		probe_exchange("/bytes/10");
	}
}

/* Connected, shut down and queried by syscall number. */
static void run_life(void)
{
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), value = 1, other;

	CALL(syscall(SYS_connect, fd, &probe_server, sizeof probe_server));
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	CALL(syscall(SYS_close, fd));
	fd = probe_socket();
	CALL(syscall(SYS_connect, fd, &probe_server, sizeof probe_server));
	CALL(syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	CALL(syscall(SYS_getpeername, fd, &name, &length));
	say("family %d port %d", name.sin_family, name.sin_port == probe_server.sin_port);
	length = sizeof name;
	CALL(syscall(SYS_getsockname, fd, &name, &length));
	say("family %d", name.sin_family);
	length = sizeof value;
	CALL(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &value, &length));
	say("domain %d", value);
	CALL(syscall(SYS_ioctl, fd, FIONREAD, &value));
	CALL(syscall(SYS_shutdown, fd, SHUT_RDWR));
	other = (int)syscall(SYS_dup, fd);
	CALL(other > fd);
	CALL(syscall(SYS_close, other));
	CALL(syscall(SYS_close_range, fd, fd, 0));
	CALL(syscall(SYS_close, fd));
	fd = probe_dial();
	CALL(syscall(SYS_shutdown, fd, SHUT_WR));
	probe_drain(fd);
	CALL(close(fd));
}

/* Readiness by syscall number, of a connection whose end the shim made. */
static void run_readiness(void)
{
	struct pollfd entry = {.events = POLLIN | POLLRDHUP};
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
	struct timespec patience = {1, 0};
	int set = (int)syscall(SYS_epoll_create1, 0), fd = dial();
	fd_set in;

	entry.fd = fd;
	CALL(syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(syscall(SYS_ppoll, &entry, 1, &patience, NULL, 8));
	say("revents %x", (unsigned)entry.revents);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	CALL(syscall(SYS_pselect6, fd + 1, &in, NULL, NULL, &patience, NULL));
	CALL(syscall(SYS_epoll_pwait, set, &event, 1, 1000, NULL, 8));
	say("events %x", event.events);
#ifdef SYS_poll
	struct timeval limit = {1, 0};

	CALL(syscall(SYS_poll, &entry, 1, 1000));
	CALL(syscall(SYS_select, fd + 1, &in, NULL, NULL, &limit));
	CALL(syscall(SYS_epoll_wait, set, &event, 1, 1000));
#endif
	CALL(syscall(SYS_close, fd));
	CALL(syscall(SYS_epoll_pwait, set, &event, 1, 20, NULL, 8));
	CALL(close(set));
}

/* ---- io_uring: submission and completion without a library, one operation at a time. ---- */

static struct {
	int fd;
	char *sq, *cq;
	struct io_uring_params parameters;
	struct io_uring_sqe *entries;
} ring;

static bool set_up_ring(void)
{
	struct io_uring_params *p = &ring.parameters;
	size_t size;

	memset(p, 0, sizeof *p);
	ring.fd = (int)syscall(SYS_io_uring_setup, 4, p);
	if (ring.fd < 0)
		return false;
	size = p->sq_off.array + p->sq_entries * sizeof(unsigned) + p->cq_off.cqes +
	       p->cq_entries * sizeof(struct io_uring_cqe);
	ring.sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	ring.cq = p->features & IORING_FEAT_SINGLE_MMAP
			  ? ring.sq
			  : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.entries = mmap(NULL, p->sq_entries * sizeof *ring.entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			    IORING_OFF_SQES);
	return ring.sq != MAP_FAILED && ring.cq != MAP_FAILED && ring.entries != MAP_FAILED;
}

static int through_ring(int operation, int fd, const void *buffer, unsigned length)
{
	struct io_uring_params *p = &ring.parameters;
	unsigned *tail = (unsigned *)(ring.sq + p->sq_off.tail), *head = (unsigned *)(ring.cq + p->cq_off.head);
	unsigned at = *tail & (p->sq_entries - 1);
	struct io_uring_cqe *completion;
	int result;

	ring.entries[at] = (struct io_uring_sqe){
		.opcode = (unsigned char)operation, .fd = fd, .addr = (uintptr_t)buffer, .len = length};
	((unsigned *)(ring.sq + p->sq_off.array))[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	completion = (struct io_uring_cqe *)(ring.cq + p->cq_off.cqes) + (*head & (p->cq_entries - 1));
	result = completion->res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* If the kernel allows it: everything through the ring, and answers through the ring to requests sent by a call. */
static void run_ring(void)
{
	if (!set_up_ring()) {
		say("no ring here");
		return;
	}
	for (int i = 0; i < 4; i++) {
		int fd = dial(), n, total = 0;

		if (i < 2)
			n = through_ring(IORING_OP_SEND, fd, request, LENGTH);
		else
			n = (int)send(fd, request, LENGTH, MSG_NOSIGNAL);
		say("sent %d", n);
		while ((n = through_ring(IORING_OP_RECV, fd, bytes, 50)) > 0)
			total += n;
		say("%d bytes, then %d", total, n);
		say("closed %d", through_ring(IORING_OP_CLOSE, fd, NULL, 0));
		CALL(close(fd));
		probe_exchange("/bytes/10");
	}
	close(ring.fd);
}

static void run_raw_read(void)
{
	int fd = probe_dial();
	struct timeval limit = {2, 0};
	long n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	probe_ask(fd, "/bytes/10");
	while ((n = syscall(SYS_read, fd, bytes, sizeof bytes)) > 0)
		;
	say("end %ld", n);
	close(fd);
}

static const struct probe_case cases[] = {
	{"receiving", run_receiving}, {"mixed", run_mixed}, {"sending", run_sending},	{"life", run_life},
	{"readiness", run_readiness}, {"ring", run_ring},   {"raw-read", run_raw_read},
};
PROBE_MAIN(cases)
