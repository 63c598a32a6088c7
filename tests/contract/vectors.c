/* Scattered and gathered I/O, many messages per call, and bodies that never pass through the program. */
#include "tests/lib/probe.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static char request[] =
	"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz";

/* Cuts `text` into pieces of `size`. */
static int cut(struct iovec *pieces, int n, char *text, size_t length, size_t size)
{
	int i = 0;

	for (size_t at = 0; at < length && i < n; at += size, i++)
		pieces[i] = (struct iovec){text + at, length - at < size ? length - at : size};
	return i;
}

static void run_writev(void)
{
	struct iovec pieces[128];

	for (size_t size = 1; size < 60; size += 13) {
		int fd = probe_dial(), n = cut(pieces, 128, request, sizeof request - 1, size);

		CALL(writev(fd, pieces, n));
		probe_drain(fd);
		CALL(close(fd));
	}
}

static void run_readv(void)
{
	char bytes[1000];
	struct iovec pieces[100];

	for (size_t size = 1; size < 400; size = size * 3 + 1) {
		int fd = probe_dial(), n = cut(pieces, 100, bytes, sizeof bytes, size);

		probe_ask(fd, "/bytes/100");
		probe_settle();
		memset(bytes, 0, sizeof bytes);
		while (CALL(readv(fd, pieces, n)) > 0)
			;
		say("%.30s", bytes + (size > 4 ? 0 : 1));
		CALL(close(fd));
	}
}

static void run_vector_errors(void)
{
	struct iovec piece = {request, 10}, bad = {(void *)8, 10}, two[2] = {{request, 10}, {(void *)8, 10}};
	int fd = probe_dial();

	CALL(writev(fd, NULL, 1));
	CALL(writev(fd, &piece, -1));
	CALL(writev(fd, &piece, 5000));
	CALL(writev(fd, &piece, 0));
	CALL(writev(fd, &bad, 1));
	CALL(readv(fd, &piece, -1));
	CALL(readv(fd, (struct iovec *)8, 1));
	probe_ask(fd, "/bytes/100");
	probe_settle();
	CALL(readv(fd, &bad, 1));
	CALL(readv(fd, two, 2));
	CALL(readv(fd, &piece, 0));
	probe_drain(fd);
	CALL(readv(fd, &bad, 1));
	CALL(close(fd));
}

static void run_messages(void)
{
	char bytes[100], name[64];
	struct iovec pieces[128], piece = {bytes, sizeof bytes};
	struct msghdr message = {.msg_iov = pieces};
	int fd = probe_dial();

	message.msg_iovlen = (size_t)cut(pieces, 128, request, sizeof request - 1, 9);
	CALL(sendmsg(fd, &message, MSG_NOSIGNAL));
	probe_settle();
	message.msg_iov = &piece;
	message.msg_iovlen = 1;
	for (;;) {
		message.msg_name = name;
		message.msg_namelen = sizeof name;
		message.msg_flags = -1;
		long n = CALL(recvmsg(fd, &message, 0));

		say("flags %x name %u control %zu", (unsigned)message.msg_flags, message.msg_namelen,
		    (size_t)message.msg_controllen);
		if (n <= 0)
			break;
	}
	CALL(sendmsg(fd, NULL, MSG_NOSIGNAL));
	CALL(recvmsg(fd, NULL, 0));
	CALL(recvmsg(fd, (struct msghdr *)8, 0));
	CALL(close(fd));
}

static void run_sendmmsg(void)
{
	struct iovec pieces[3];
	struct mmsghdr messages[3] = {0};
	int fd = probe_dial();

	cut(pieces, 3, request, sizeof request - 1, (sizeof request + 1) / 3);
	for (int i = 0; i < 3; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
	CALL(sendmmsg(fd, messages, 3, MSG_NOSIGNAL));
	for (int i = 0; i < 3; i++)
		say("%u of %zu", messages[i].msg_len, pieces[i].iov_len);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_recvmmsg(void)
{
	char bytes[3][60];
	struct iovec pieces[3];
	struct mmsghdr messages[3] = {0};
	int fd = probe_dial();

	for (int i = 0; i < 3; i++) {
		pieces[i] = (struct iovec){bytes[i], sizeof bytes[i]};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
	}
	probe_ask(fd, "/bytes/100");
	probe_settle();
	for (int round = 0; round < 3; round++) {
		CALL(recvmmsg(fd, messages, 3, 0, NULL));
		say("%u %u %u", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
	}
	CALL(close(fd));
}

static void run_sendto(void)
{
	int fd = probe_dial();

	CALL(sendto(fd, request, sizeof request - 1, 0, NULL, 0));
	probe_drain(fd);
	CALL(close(fd));
	fd = probe_dial();
	CALL(sendto(fd, request, sizeof request - 1, 0, (struct sockaddr *)&probe_server, sizeof probe_server));
	probe_drain(fd);
	CALL(close(fd));
}

static void run_fast_open(void)
{
	int fd = probe_socket();

	CALL(sendto(fd, request, sizeof request - 1, MSG_FASTOPEN, (struct sockaddr *)&probe_server,
		    sizeof probe_server));
	probe_drain(fd);
	CALL(close(fd));
	fd = probe_socket();
	CALL(sendto(fd, request, sizeof request - 1, MSG_NOSIGNAL, (struct sockaddr *)&probe_server,
		    sizeof probe_server));
	CALL(close(fd));
}

static void run_more(void)
{
	int fd = probe_dial(), on = 1, off = 0;

	CALL(send(fd, request, 30, MSG_MORE));
	CALL(send(fd, request + 30, 40, MSG_MORE));
	CALL(send(fd, request + 70, sizeof request - 71, 0));
	probe_drain(fd);
	CALL(close(fd));
	fd = probe_dial();
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	CALL(send(fd, request, 30, 0));
	CALL(send(fd, request + 30, sizeof request - 31, 0));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
	probe_drain(fd);
	CALL(close(fd));
}

static int body_file(size_t length)
{
	FILE *file = tmpfile();
	int fd;

	for (size_t i = 0; i < length; i++)
		fputc('a' + (int)(i % 26), file);
	fflush(file);
	fd = dup(fileno(file));
	fclose(file);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void send_head(int fd, int length)
{
	char head[128];
	int n = snprintf(head, sizeof head,
			 "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", length);

	CALL(send(fd, head, (size_t)n, MSG_MORE | MSG_NOSIGNAL));
}

static void run_sendfile(void)
{
	int fd = probe_dial(), file = body_file(5000);
	off_t offset = 0;

	send_head(fd, 5000);
	CALL(sendfile(fd, file, &offset, 2000));
	CALL(sendfile(fd, file, &offset, 9000));
	CALL(sendfile(fd, file, &offset, 9000));
	say("offset %ld", (long)offset);
	probe_drain(fd);
	CALL(close(fd));
	CALL(close(file));
	probe_exchange("/bytes/10");
}

/* The whole request is in a file: its `close` passes unseen. */
static void run_sendfile_head(void)
{
	FILE *file = tmpfile();
	int fd = probe_dial();

	fputs(request, file);
	fflush(file);
	lseek(fileno(file), 0, SEEK_SET);
	CALL(sendfile(fd, fileno(file), NULL, sizeof request - 1));
	probe_drain(fd);
	CALL(close(fd));
	fclose(file);
	probe_exchange("/bytes/10");
}

static void run_splice_in(void)
{
	int fd = probe_dial(), pipes[2];

	CALL(pipe(pipes));
	send_head(fd, 26);
	CALL(write(pipes[1], request + sizeof request - 27, 26));
	CALL(splice(pipes[0], NULL, fd, NULL, 26, 0));
	probe_drain(fd);
	CALL(close(fd));
	CALL(close(pipes[0]));
	CALL(close(pipes[1]));
	probe_exchange("/bytes/10");
}

static void splice_out(const char *path, size_t read_before)
{
	int fd = probe_dial(), pipes[2];
	char bytes[4096];
	long n, total = 0;

	CALL(pipe(pipes));
	probe_ask(fd, path);
	if (read_before) {
		probe_settle();
		probe_read(fd, read_before);
	}
	while ((n = splice(fd, NULL, pipes[1], NULL, 1000, 0)) > 0) {
		total += n;
		while (n > 0)
			n -= read(pipes[0], bytes, (size_t)n);
	}
	say("%ld bytes, end %ld %s", total, n, n ? error_name(errno) : "EOF");
	probe_poll("spliced", fd, POLLIN | POLLRDHUP, 500);
	CALL(close(fd));
	CALL(close(pipes[0]));
	CALL(close(pipes[1]));
	probe_exchange("/bytes/10");
}

static void run_splice_out(void)
{
	splice_out("/bytes/3000", 20);
}

/* Only the kernel moves the bytes that tell where the answer ends. */
static void run_splice_head(void)
{
	splice_out("/attended/3000", 0);
}

static void run_splice_chunk(void)
{
	splice_out("/attended-chunk/30000", 0);
}

static void run_splice_errors(void)
{
	int fd = probe_dial(), null = open("/dev/null", O_WRONLY), pipes[2];
	off64_t offset = 0;

	CALL(pipe(pipes));
	probe_ask(fd, "/chunked/100");
	CALL(splice(fd, NULL, null, NULL, 1000, 0));
	CALL(splice(fd, &offset, pipes[1], NULL, 1000, 0));
	CALL(splice(fd, NULL, pipes[1], &offset, 1000, 0));
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, 0x8000));
	CALL(splice(fd, NULL, -1, NULL, 1000, 0));
	CALL(splice(fd, NULL, pipes[1], NULL, 0, 0));
	probe_drain(fd);
	CALL(close(fd));
	fd = probe_dial_nonblocking();
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, 0));
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, SPLICE_F_NONBLOCK));
	CALL(close(fd));
	CALL(close(null));
	CALL(close(pipes[0]));
	CALL(close(pipes[1]));
}

/* The kernel checks the pipe before it waits for the socket; an error of the pipe is not the connection's end. */
static void run_splice_refused(void)
{
	char bytes[4096] = {0};
	int fd = probe_dial(), pipes[2];

	signal(SIGPIPE, SIG_IGN);
	CALL(pipe(pipes));
	probe_ask(fd, "/slow-two-pieces/300");
	CALL(splice(fd, NULL, pipes[0], NULL, 1000, 0));
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	while (write(pipes[1], bytes, sizeof bytes) > 0)
		;
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, SPLICE_F_NONBLOCK));
	CALL(close(pipes[0]));
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, 0));
	probe_settle();
	CALL(splice(fd, NULL, pipes[1], NULL, 1000, 0));
	probe_drain(fd);
	CALL(close(fd));
	CALL(close(pipes[1]));
	signal(SIGPIPE, SIG_DFL);
}

/* Behind bytes that were edited. */
static void run_control_later(void)
{
	static const char head[] = "GET /sleep/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec piece = {(char *)"X: y\r\n\r\n", 8};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = probe_dial();

	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IPV6, .cmsg_type = 1};
	CALL(write(fd, head, sizeof head - 1));
	CALL(sendmsg(fd, &message, 0));
	CALL(write(fd, (void *)8, 10));
	piece.iov_len = 0;
	CALL(sendmsg(fd, &message, 0));
	probe_drain(fd);
	CALL(close(fd));
}

/* A control message that sockets don't know. */
static void run_control(void)
{
	static const char ask[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec piece = {(char *)ask, sizeof ask - 1};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = probe_dial();

	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = 4242};
	CALL(sendmsg(fd, &message, 0));
	header->cmsg_level = IPPROTO_IPV6;
	CALL(sendmsg(fd, &message, 0));
	probe_drain(fd);
	CALL(close(fd));
}

static void run_short_writes(void)
{
	int fd, size = 4096;
	size_t length = 3000000, at = 0;
	char *body = malloc(length);

	memset(body, 'x', length);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CALL(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server) && errno != EINPROGRESS)
		say("connect failed");
	probe_poll("connected", fd, POLLOUT, 1000);
	send_head(fd, (int)length);
	while (at < length) {
		struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
		long n = send(fd, body + at, length - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EAGAIN || poll(&pollfd, 1, 5000) != 1)
			break;
	}
	say("sent %zu", at);
	probe_drain(fd);
	CALL(close(fd));
	free(body);
}

static const struct probe_case cases[] = {
	{"writev", run_writev},
	{"readv", run_readv},
	{"vector-errors", run_vector_errors},
	{"messages", run_messages},
	{"sendmmsg", run_sendmmsg},
	{"recvmmsg", run_recvmmsg},
	{"sendto", run_sendto},
	{"fast-open", run_fast_open},
	{"more", run_more},
	{"sendfile", run_sendfile},
	{"sendfile-head", run_sendfile_head},
	{"splice-in", run_splice_in},
	{"splice-out", run_splice_out},
	{"splice-head", run_splice_head},
	{"splice-chunk", run_splice_chunk},
	{"splice-errors", run_splice_errors},
	{"splice-refused", run_splice_refused},
	{"control", run_control},
	{"control-later", run_control_later},
	{"short-writes", run_short_writes},
};
PROBE_MAIN(cases)
