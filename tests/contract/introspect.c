/* Everything else that can be asked of a socket, before and after its exchange has ended: its identity does not
 * change. */
#include "tests/lib/probe.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <sys/vfs.h>

static char bytes[4096];

static int connected(void)
{
	return probe_dial();
}

static int finished(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	probe_settle();
	return fd;
}

static void print_kind(const char *when, int fd)
{
	struct statfs system = {0};
	struct stat status = {0};
	char path[64], target[64] = "";

	say("%s:", when);
	CALL(fstat(fd, &status));
	say("mode %o links %lu size %ld uid %d", status.st_mode, (unsigned long)status.st_nlink, (long)status.st_size,
	    status.st_uid == geteuid());
	CALL(fstatfs(fd, &system));
	say("file system %lx", (unsigned long)system.f_type);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof target - 1) < 0)
		say("no link");
	say("%.8s", target);
	CALL(isatty(fd));
	CALL(sockatmark(fd));
	CALL(isfdtype(fd, S_IFSOCK));
	CALL(lseek(fd, 0, SEEK_END));
	CALL(pread(fd, bytes, 1, 0));
	CALL(pwrite(fd, bytes, 1, 0));
	CALL(fsync(fd));
	CALL(fdatasync(fd));
	CALL(ftruncate(fd, 0));
	CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	CALL(fallocate(fd, 0, 0, 1));
	CALL(getdtablesize() > fd);
}

static void run_kind(void)
{
	int fd = probe_socket();

	print_kind("new", fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	print_kind("connected", fd);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	print_kind("finished", fd);
	CALL(close(fd));
	print_kind("closed", fd);
}

/* Servers' calls on a client's socket. */
static void run_as_server(void)
{
	int (*const stages[])(void) = {connected, finished};
	struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/nowhere/at/all"};
	struct sockaddr_in any = {.sin_family = AF_INET};

	for (int i = 0; i < 2; i++) {
		int fd = stages[i]();

		CALL(bind(fd, (struct sockaddr *)&any, sizeof any));
		CALL(bind(fd, (struct sockaddr *)&path, sizeof path));
		CALL(bind(fd, (struct sockaddr *)&any, 2));
		CALL(bind(fd, NULL, 0));
		CALL(listen(fd, 5));
		CALL(accept(fd, NULL, NULL));
		CALL(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
		CALL(close(fd));
	}
}

static const struct {
	const char *name;
	unsigned long request;
} requests[] = {
	{"FIONREAD", FIONREAD},
	{"SIOCOUTQ", SIOCOUTQ},
	{"SIOCOUTQNSD", SIOCOUTQNSD},
	{"SIOCATMARK", SIOCATMARK},
	{"SIOCGPGRP", SIOCGPGRP},
	{"FIOGETOWN", FIOGETOWN},
	{"SIOCGIFADDR", SIOCGIFADDR},
	{"SIOCGIFMTU", SIOCGIFMTU},
	{"SIOCGIFFLAGS", SIOCGIFFLAGS},
	{"SIOCGIFINDEX", SIOCGIFINDEX},
	{"TCGETS", TCGETS},
	{"TIOCGWINSZ", TIOCGWINSZ},
	{"SIOCGSTAMP", 0x8906},
	{"FS_IOC_GETFLAGS", 0x80086601},
	{"unknown", 0xabcdef},
};

static void run_requests(void)
{
	for (int stage = 0; stage < 2; stage++) {
		int fd = stage ? finished() : connected();

		for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
			struct ifreq argument = {.ifr_name = "lo"};
			int result;

			errno = 4242;
			result = ioctl(fd, requests[i].request, &argument);
			probe_result(requests[i].name, result, errno);
			if (result == 0)
				say("  %x", *(unsigned *)argument.ifr_addr.sa_data);
		}
		CALL(close(fd));
	}
}

static int page_file(void)
{
	int fd = memfd_create("page", MFD_CLOEXEC);

	if (write(fd, bytes, sizeof bytes) != sizeof bytes)
		say("no file");
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* The first bytes after the end are taken, whichever call moves them; then the connection is broken. */
static void run_sendfile(void)
{
	int fd = finished(), file = page_file();
	off_t at = 0;

	signal(SIGPIPE, SIG_IGN);
	CALL(sendfile(fd, file, &at, 5));
	probe_settle();
	probe_poll("after sendfile", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(sendfile(fd, file, &at, 5));
	CALL(send(fd, bytes, 5, MSG_NOSIGNAL));
	say("offset %ld", (long)at);
	CALL(close(fd));
	CALL(close(file));
}

static void run_splice(void)
{
	int fd = finished(), pipes[2];

	signal(SIGPIPE, SIG_IGN);
	CALL(pipe(pipes));
	CALL(splice(fd, NULL, pipes[1], NULL, 100, 0));
	CALL(splice(fd, NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK));
	CALL(write(pipes[1], bytes, 20));
	CALL(splice(pipes[0], NULL, fd, NULL, 5, 0));
	probe_settle();
	CALL(splice(pipes[0], NULL, fd, NULL, 5, 0));
	CALL(send(fd, bytes, 5, MSG_NOSIGNAL));
	CALL(close(fd));
	CALL(close(pipes[0]));
	CALL(close(pipes[1]));
}

/* From a socket to a file: refused. */
static void run_sendfile_from(void)
{
	int file = page_file();

	for (int stage = 0; stage < 2; stage++) {
		int fd = stage ? finished() : connected();

		CALL(sendfile(file, fd, NULL, 10));
		CALL(copy_file_range(fd, NULL, file, NULL, 10, 0));
		CALL(splice(fd, NULL, file, NULL, 10, 0));
		CALL(tee(fd, file, 10, 0));
		CALL(close(fd));
	}
	CALL(close(file));
}

/* Messages of one byte each after the end: one is taken, the next one reports the reset. */
static void run_sendmmsg(void)
{
	struct iovec piece = {bytes, 1};
	struct mmsghdr messages[3] = {0};
	int fd = finished();

	for (int i = 0; i < 3; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
	CALL(sendmmsg(fd, messages, 1, MSG_NOSIGNAL));
	probe_settle();
	CALL(sendmmsg(fd, messages, 3, MSG_NOSIGNAL));
	CALL(sendmmsg(fd, messages, 3, MSG_NOSIGNAL));
	CALL(close(fd));
}

/* With a destination address, with descriptors, with flags that TCP ignores or refuses. */
static void run_odd_sends(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec piece = {bytes, 1};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

	CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int));
	for (int i = 0; i < 4; i++) {
		int fd = finished();

		if (i == 0)
			CALL(sendto(fd, bytes, 1, MSG_NOSIGNAL, (struct sockaddr *)&probe_server, sizeof probe_server));
		if (i == 1)
			CALL(sendmsg(fd, &message, MSG_NOSIGNAL));
		if (i == 2)
			CALL(send(fd, bytes, 1, MSG_NOSIGNAL | MSG_DONTROUTE | MSG_CONFIRM | MSG_EOR));
		if (i == 3)
			CALL(send(fd, bytes, 1, MSG_NOSIGNAL | MSG_OOB));
		probe_settle();
		probe_poll("sent", fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 100);
		CALL(send(fd, bytes, 1, MSG_NOSIGNAL));
		CALL(close(fd));
	}
}

static void run_odd_receives(void)
{
	char control[256];
	struct iovec piece = {bytes, 10};
	struct sockaddr_storage name;

	for (int stage = 0; stage < 2; stage++) {
		int fd = stage ? finished() : connected(), on = 1;
		struct msghdr message = {.msg_iov = &piece,
					 .msg_iovlen = 1,
					 .msg_name = &name,
					 .msg_namelen = sizeof name,
					 .msg_control = control,
					 .msg_controllen = sizeof control};

		CALL(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
		CALL(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
		CALL(recvmsg(fd, &message, MSG_DONTWAIT));
		if (stage)
			say("name %u control %zu flags %x", message.msg_namelen, (size_t)message.msg_controllen,
			    (unsigned)message.msg_flags);
		CALL(recv(fd, bytes, 10, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
		CALL(recv(fd, bytes, 10, MSG_DONTWAIT | MSG_WAITFORONE));
		CALL(recv(fd, bytes, 10, MSG_ERRQUEUE));
		CALL(recv(fd, bytes, 10, MSG_OOB));
		CALL(close(fd));
	}
}

/* Every later read sees the end, any number of times, by any name. */
static void run_again_and_again(void)
{
	int fd = finished();
	struct iovec piece = {bytes, 10};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};

	for (int i = 0; i < 3; i++) {
		CALL(read(fd, bytes, 10));
		CALL(readv(fd, &piece, 1));
		CALL(recv(fd, bytes, 10, 0));
		CALL(recv(fd, bytes, 10, MSG_PEEK));
		CALL(recv(fd, bytes, 10, MSG_WAITALL));
		CALL(recv(fd, bytes, 10, MSG_TRUNC));
		CALL(recvfrom(fd, bytes, 10, 0, NULL, NULL));
		CALL(recvmsg(fd, &message.msg_hdr, 0));
		CALL(recvmmsg(fd, &message, 1, 0, NULL));
	}
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"kind", run_kind},
	{"as-server", run_as_server},
	{"requests", run_requests},
	{"sendfile", run_sendfile},
	{"splice", run_splice},
	{"sendfile-from", run_sendfile_from},
	{"sendmmsg", run_sendmmsg},
	{"odd-sends", run_odd_sends},
	{"odd-receives", run_odd_receives},
	{"again-and-again", run_again_and_again},
};
PROBE_MAIN(cases)
