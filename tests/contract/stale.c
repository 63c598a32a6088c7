/* Servers of our own that end a kept connection at its second request, give up early, or never accept. */
#include "tests/lib/probe.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <sys/syscall.h>

/* A small answer and its end, printed in one line as the program sees them. */
static void drain(const char *what, int fd)
{
	char bytes[4096];
	long total = 0, n;
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	while ((n = poll(&pollfd, 1, 3000)) == 1 && (n = read(fd, bytes, sizeof bytes)) > 0)
		total += n;
	say("%s: %s, then %s", what, total ? "an answer" : "nothing", n == 0 ? "EOF or nothing" : error_name(errno));
}

static bool ends_in_order; /* by FIN, not by RST */
static bool resets_idle;   /* ends it behind the first answer */
static int own_listener = -1;
static struct sockaddr_in own_address;

/* Answers the first request of a connection, and ends it at the second one without a byte. */
static void *serve_once(void *argument)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";
	static const char closing[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	int fd = (int)(intptr_t)argument;
	struct linger reset = {1, 0};
	char bytes[4096];
	long n = syscall(SYS_recvfrom, fd, bytes, sizeof bytes - 1, 0, NULL, NULL);

	if (n > 0) {
		bytes[n] = 0;
		if (strstr(bytes, "Connection: close")) {
			send(fd, closing, sizeof closing - 1, MSG_NOSIGNAL);
		} else {
			send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
			if (!resets_idle)
				n = syscall(SYS_recvfrom, fd, bytes, sizeof bytes - 1, 0, NULL, NULL);
			if (n > 0)
				usleep(20000);
			if (n > 0 && !ends_in_order)
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		}
	}
	close(fd);
	return NULL;
}

static void *serve_own(void *unused)
{
	int fd;

	(void)unused;
	while ((fd = accept(own_listener, NULL, NULL)) >= 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, serve_once, (void *)(intptr_t)fd);
		pthread_detach(thread);
	}
	return NULL;
}

static void listen_own(int backlog)
{
	socklen_t length = sizeof own_address;

	/* The raw system calls bypass the shim, which leaves connections to the process's own ports alone, and which
	 * takes a call on a socket that it follows for the function's: to the shim this server has to be foreign. */
	own_listener = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	own_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	bind(own_listener, (struct sockaddr *)&own_address, sizeof own_address);
	syscall(SYS_listen, own_listener, backlog);
	getsockname(own_listener, (struct sockaddr *)&own_address, &length);
}

static void begin_own_server(void)
{
	pthread_t thread;

	listen_own(128);
	pthread_create(&thread, NULL, serve_own, NULL);
	pthread_detach(thread);
}

static int dial_own(void)
{
	int fd = probe_socket();

	if (connect(fd, (struct sockaddr *)&own_address, sizeof own_address))
		say("connect: %s", error_name(errno));
	return fd;
}

static void exchange_own(void)
{
	char bytes[256];
	int fd = dial_own();

	probe_ask(fd, "/");
	while (read(fd, bytes, sizeof bytes) > 0)
		;
	close(fd);
}

/* A server that gives up if the client seems to have gone: nginx does so (499) before a slow upstream. */
static void *serve_impatient(void *unused)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	char bytes[4096];
	int fd;

	(void)unused;
	while ((fd = accept(own_listener, NULL, NULL)) >= 0) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN | POLLRDHUP};

		poll(&pollfd, 1, 1000);
		syscall(SYS_recvfrom, fd, bytes, sizeof bytes, 0, NULL, NULL);
		usleep(150000);
		poll(&pollfd, 1, 0);
		if (!(pollfd.revents & POLLRDHUP))
			send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
		while (syscall(SYS_recvfrom, fd, bytes, sizeof bytes, MSG_DONTWAIT, NULL, NULL) > 0)
			;
		close(fd);
	}
	return NULL;
}

static int dial_impatient(void)
{
	pthread_t thread;

	listen_own(16);
	pthread_create(&thread, NULL, serve_impatient, NULL);
	pthread_detach(thread);
	return dial_own();
}

static void run_impatient_stream(void)
{
	int fd = dial_impatient();
	char line[256] = "nothing";
	FILE *stream;

	probe_ask(fd, "/");
	stream = fdopen(fd, "r");
	say("%s", fgets(line, sizeof line, stream) ? "a line" : "no line");
	fclose(stream);
}

/* Some programs end a body with an empty line that is not counted (RFC 9112 2.2). */
static void run_impatient_empty_line(void)
{
	static const char post[] = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
	int fd = dial_impatient();

	CALL(write(fd, post, sizeof post - 1));
	CALL(write(fd, "\r\n", 2));
	probe_wait_end("answer", fd);
	close(fd);
}

/* A one-shot registration: the stale connection's end was its only event. */
static void run_oneshot_stale(void)
{
	int set = epoll_create1(0), fd;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT};

	begin_own_server();
	exchange_own();
	fd = dial_own();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	probe_ask(fd, "/");
	event.data.fd = fd;
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	say("events %d", epoll_wait(set, &event, 1, 3000));
	drain("answer", fd);
	close(fd);
	close(set);
}

#define MANY 40

static void run_many_stale(void)
{
	struct pollfd fds[MANY];
	int answered = 0, left = MANY;

	begin_own_server();
	for (int i = 0; i < MANY; i++)
		fds[i] = (struct pollfd){.fd = dial_own(), .events = POLLIN};
	for (int i = 0; i < MANY; i++) {
		char bytes[256];

		probe_ask(fds[i].fd, "/");
		while (read(fds[i].fd, bytes, sizeof bytes) > 0)
			;
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i].fd);
	for (int i = 0; i < MANY; i++) {
		fds[i] = (struct pollfd){.fd = dial_own(), .events = POLLIN};
		probe_ask(fds[i].fd, "/");
	}
	while (left && poll(fds, MANY, 3000) > 0)
		for (int i = 0; i < MANY; i++) {
			char bytes[256];

			if (!fds[i].revents)
				continue;
			answered += read(fds[i].fd, bytes, sizeof bytes) > 0;
			close(fds[i].fd);
			fds[i].fd = -1;
			left--;
		}
	say("answered %d of %d", answered, MANY);
}

enum kind { BY_POLL, BY_SELECT, BY_PSELECT, BY_EPOLL };

/* Asks for nothing but to read. */
static int wait_to_read(int fd, enum kind kind)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN};
	struct timespec limit = {3, 0};
	struct timeval timeout = {3, 0};
	fd_set reads;
	int epfd, ready;

	FD_ZERO(&reads);
	FD_SET(fd, &reads);
	switch (kind) {
	case BY_POLL:
		return poll(&pollfd, 1, 3000);
	case BY_SELECT:
		return select(fd + 1, &reads, NULL, NULL, &timeout);
	case BY_PSELECT:
		return pselect(fd + 1, &reads, NULL, NULL, &limit, NULL);
	case BY_EPOLL:
		break;
	}
	epfd = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	ready = epoll_wait(epfd, &event, 1, 3000);
	close(epfd);
	return ready;
}

/* A program that gives up where a readable socket has nothing to read. */
static void run_readable_stale(void)
{
	char bytes[256];

	begin_own_server();
	for (int i = 0; i < 8; i++) {
		int fd;

		ends_in_order = i < 4;
		exchange_own();
		fd = dial_own();
		CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		probe_ask(fd, "/");
		CALL(wait_to_read(fd, i % 4));
		CALL(read(fd, bytes, sizeof bytes) > 0);
		close(fd);
	}
}

static const char *const questions[] = {"SIOCOUTQ", "FIONREAD", "SO_ERROR", "TCP_INFO"};

/* Asks how much of the request is left, as httping does, or the like. */
static bool has_settled(int fd, int how)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof info;
	int n = -1;

	switch (how) {
	case 0:
		return ioctl(fd, SIOCOUTQ, &n) == 0 && n == 0;
	case 1:
		return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
	case 2:
		length = sizeof n;
		return getsockopt(fd, SOL_SOCKET, SO_ERROR, &n, &length) == 0 && n == 0;
	default:
		return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state != TCP_CLOSE &&
		       !info.tcpi_unacked;
	}
}

/* A program that asks what has become of its request, and doesn't wait in the kernel. */
static void run_asked_stale(void)
{
	begin_own_server();
	for (int i = 0; i < 16; i++) {
		bool has = false;
		int fd;

		ends_in_order = i & 1;
		exchange_own();
		fd = dial_own();
		if (i & 2)
			CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		probe_ask(fd, "/");
		usleep(60000);
		/* An error is told once. */
		for (int k = 0; k < (i >> 2 == 2 ? 1 : 500) && !has; k++) {
			has = has_settled(fd, i >> 2);
			usleep(2000);
		}
		say("asked %s: %s", questions[i >> 2], has ? "yes" : "never");
		drain("answer", fd);
		close(fd);
	}
}

/* A program that watches its socket by two sets, of which one is gone by then. */
static void run_set_gone_stale(void)
{
	begin_own_server();
	for (int i = 0; i < 4; i++) {
		int gone = epoll_create1(0), set = epoll_create1(0), fd;
		struct epoll_event event = {.events = EPOLLIN};

		ends_in_order = i & 1;
		exchange_own();
		fd = dial_own();
		CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		CALL(epoll_ctl(gone, EPOLL_CTL_ADD, fd, &event));
		CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
		probe_ask(fd, "/");
		close(gone);
		CALL(epoll_wait(set, &event, 1, 3000));
		drain("answer", fd);
		close(fd);
		close(set);
	}
}

/* A program that knows its set by another number, and goes on waiting for the end there. */
static void run_set_moved(void)
{
	for (int i = 0; i < 3; i++) {
		int first = epoll_create1(0), set, fd = probe_dial();
		struct epoll_event event = {.events = EPOLLIN};
		char bytes[4096];
		ssize_t n;

		CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		CALL(epoll_ctl(first, EPOLL_CTL_ADD, fd, &event));
		set = dup(first);
		close(first);
		probe_ask(fd, "/bytes/10");
		do {
			if (epoll_wait(set, &event, 1, 3000) != 1) {
				say("hears nothing");
				break;
			}
			n = read(fd, bytes, sizeof bytes);
		} while (n > 0 || (n < 0 && errno == EAGAIN));
		close(fd);
		close(set);
	}
}

/* A server that resets what it thinks idle, before the program, which expects an end of file, has read the answer. */
static void run_reset_behind_answer(void)
{
	char bytes[256];

	begin_own_server();
	resets_idle = true;
	for (int i = 0; i < 4; i++) {
		int fd = dial_own();

		if (i & 1)
			CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		probe_ask(fd, "/");
		usleep(60000);
		CALL(read(fd, bytes, 10));
		if (i & 2)
			CALL(read(fd, bytes, sizeof bytes) > 0);
		drain("the rest", fd);
		CALL(close(fd));
	}
}

/* A program that says that it will send nothing more, before or after the end that is not its connection's. */
static void run_half_closed_stale(void)
{
	begin_own_server();
	for (int i = 0; i < 8; i++) {
		int fd;

		ends_in_order = i & 1;
		exchange_own();
		fd = dial_own();
		if (i & 4)
			CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		probe_ask(fd, "/");
		if (i & 2)
			usleep(60000);
		CALL(shutdown(fd, SHUT_WR));
		drain("answer", fd);
		CALL(send(fd, "x", 1, MSG_NOSIGNAL));
		close(fd);
	}
}

/* What was set on the connection before it was replaced is set on the next one. */
static void run_set_on_stale(void)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_RCVBUF, 20000},
		{SOL_SOCKET, SO_PRIORITY, 3},
		{SOL_SOCKET, SO_MAX_PACING_RATE, 1 << 20},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_IP, IP_TOS, 0x10},
		{IPPROTO_IP, IP_TTL, 33},
		{IPPROTO_TCP, TCP_WINDOW_CLAMP, 9000},
	};

	begin_own_server();
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		int fd, value = 0;
		socklen_t length = sizeof value;
		char bytes[256];

		exchange_own();
		fd = dial_own();
		CALL(setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value));
		probe_ask(fd, "/");
		CALL(read(fd, bytes, sizeof bytes) > 0);
		CALL(getsockopt(fd, options[i].level, options[i].name, &value, &length));
		say("option %zu: %d", i, value);
		close(fd);
	}
}

static int shared_fd;

static void *send_post(void *unused)
{
	static const char head[] =
		"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";

	(void)unused;
	return (void *)(intptr_t)(send(shared_fd, head, sizeof head - 1, MSG_NOSIGNAL) < 0 ? -1 : 0);
}

/* A thread hangs in a call on a connection to a server that does not accept. Another thread closes that connection, and
 * its descriptor goes to a connection elsewhere, which must not be touched. */
static void run_given_up_elsewhere(void)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	int accepted, filler[4], other;
	char bytes[512];
	pthread_t thread;

	listen_own(0);
	shared_fd = dial_own();
	accepted = accept(own_listener, NULL, NULL);
	probe_ask(shared_fd, "/");
	CALL(read(accepted, bytes, sizeof bytes) > 0);
	send(accepted, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40, 0);
	CALL(recv(shared_fd, bytes, sizeof bytes, 0));
	close(shared_fd);
	shared_fd = dial_own();
	for (int i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(filler[i], (struct sockaddr *)&own_address, sizeof own_address);
	}
	usleep(100000);
	pthread_create(&thread, NULL, send_post, NULL);
	usleep(100000);
	close(shared_fd);
	other = probe_dial();
	say("the same number %d", other == shared_fd);
	for (int i = 0; i < 4; i++)
		close(filler[i]);
	for (int i = 0; i < 2; i++) {
		struct pollfd pollfd = {own_listener, POLLIN, 0};
		while (poll(&pollfd, 1, 1500) == 1)
			close(accept(own_listener, NULL, NULL));
	}
	pthread_join(thread, NULL);
	CALL(getpeername(other, (struct sockaddr *)&peer, &length));
	say("still with the same peer %d", ntohs(peer.sin_port) == probe_port);
	probe_ask(other, "/bytes/10");
	probe_wait_end("answer", other);
	close(other);
	close(own_listener);
	close(accepted);
}

static const struct probe_case cases[] = {
	{"impatient-stream", run_impatient_stream},
	{"impatient-empty-line", run_impatient_empty_line},
	{"oneshot-stale", run_oneshot_stale},
	{"many-stale", run_many_stale},
	{"given-up-elsewhere", run_given_up_elsewhere},
	{"readable-stale", run_readable_stale},
	{"asked-stale", run_asked_stale},
	{"set-gone-stale", run_set_gone_stale},
	{"set-moved", run_set_moved},
	{"reset-behind-answer", run_reset_behind_answer},
	{"half-closed-stale", run_half_closed_stale},
	{"set-on-stale", run_set_on_stale},
};
PROBE_MAIN(cases)
