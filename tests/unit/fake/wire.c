/* See wire.h. */
#include "tests/unit/fake/wire.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MILLISECOND 1000000ull

struct fake_wire fake_wire;
int fake_wire_fds[2];

void fake_wire_start(void)
{
	memset(&fake_wire, 0, sizeof(fake_wire));
	fake_wire.now_ns = 1000000 * MILLISECOND;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fake_wire_fds), 0);
}

void fake_wire_stop(void)
{
	for (int i = 0; i < 2; i++)
		if (fake_wire_fds[i] >= 0)
			close(fake_wire_fds[i]);
}

unsigned fake_wire_n_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

void fake_wire_send(int fd, const void *packet, size_t length, const int *passed, unsigned n)
{
	struct iovec iov = {(void *)packet, length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		char bytes[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr aligned;
	} control = {{0}};

	ck_assert_uint_le(n, 64);
	if (n) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(header), passed, n * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)length);
}

int fake_wire_memory(uint64_t length)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)length), 0);
	return fd;
}

static bool is_interrupted(void)
{
	if (!fake_wire.n_interrupted)
		return false;
	fake_wire.n_interrupted--;
	errno = EINTR;
	return true;
}

static ssize_t wire_sendmsg(int fd, const struct msghdr *message, int flags)
{
	fake_wire.n_sent++;
	return is_interrupted() ? -1 : sendmsg(fd, message, flags);
}

static ssize_t wire_recvmsg(int fd, struct msghdr *message, int flags)
{
	fake_wire.n_received++;
	return is_interrupted() ? -1 : recvmsg(fd, message, flags);
}

static int wire_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	void (*happens)(void) = fake_wire.on_poll;

	fake_wire.n_polled++;
	ck_assert_int_gt(timeout_ms, 0);
	if (is_interrupted())
		return -1;
	if (fake_wire.poll_error) {
		errno = fake_wire.poll_error;
		return -1;
	}
	fake_wire.on_poll = NULL;
	if (happens)
		happens();
	else
		fake_wire.now_ns += (uint64_t)timeout_ms * MILLISECOND;
	return poll(fds, n, 0);
}

static uint64_t wire_now_ns(void)
{
	return fake_wire.now_ns;
}

static void *wire_map_shared(int fd, uint64_t length)
{
	void *memory = fake_wire.map_fails ? MAP_FAILED : mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void wire_unmap(void *memory, uint64_t length)
{
	ck_assert_int_eq(munmap(memory, length), 0);
}

const struct pool_sys fake_wire_sys = {
	.close = close,
	.now_ns = wire_now_ns,
	.unmap = wire_unmap,
	.sendmsg = wire_sendmsg,
	.recvmsg = wire_recvmsg,
	.poll = wire_poll,
	.map_shared = wire_map_shared,
};
