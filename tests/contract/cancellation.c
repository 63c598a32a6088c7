/* Cancellation at each call: the calls that act upon a pending request are those of a bare run, and they act before
 * they have done anything. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int the_fd;
static char bytes[4096];
static const char request[] = "GET /bytes/20 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

static long call_read(void)
{
	return read(the_fd, bytes, 10);
}
static long call_readv(void)
{
	return readv(the_fd, &(struct iovec){bytes, 10}, 1);
}
static long call_recv(void)
{
	return recv(the_fd, bytes, 10, 0);
}
static long call_recvfrom(void)
{
	return recvfrom(the_fd, bytes, 10, 0, NULL, NULL);
}
static long call_recvmsg(void)
{
	struct iovec piece = {bytes, 10};

	return recvmsg(the_fd, &(struct msghdr){.msg_iov = &piece, .msg_iovlen = 1}, 0);
}
static long call_recvmmsg(void)
{
	struct iovec piece = {bytes, 10};

	return recvmmsg(the_fd, &(struct mmsghdr){.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}}, 1, 0, NULL);
}
static long call_write(void)
{
	return write(the_fd, request, sizeof request - 1);
}
static long call_writev(void)
{
	return writev(the_fd, &(struct iovec){(void *)request, sizeof request - 1}, 1);
}
static long call_send(void)
{
	return send(the_fd, request, sizeof request - 1, MSG_NOSIGNAL);
}
static long call_sendto(void)
{
	return sendto(the_fd, request, sizeof request - 1, MSG_NOSIGNAL, NULL, 0);
}
static long call_sendmsg(void)
{
	struct iovec piece = {(void *)request, sizeof request - 1};

	return sendmsg(the_fd, &(struct msghdr){.msg_iov = &piece, .msg_iovlen = 1}, MSG_NOSIGNAL);
}
static long call_sendmmsg(void)
{
	struct iovec piece = {(void *)request, sizeof request - 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};

	return sendmmsg(the_fd, &message, 1, MSG_NOSIGNAL);
}
static long call_poll(void)
{
	return poll(&(struct pollfd){.fd = the_fd, .events = POLLIN | POLLOUT}, 1, 100);
}
static long call_ppoll(void)
{
	return ppoll(&(struct pollfd){.fd = the_fd, .events = POLLIN | POLLOUT}, 1, NULL, NULL);
}
static long call_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(the_fd, &set);
	return select(the_fd + 1, NULL, &set, NULL, NULL);
}
static long call_pselect(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(the_fd, &set);
	return pselect(the_fd + 1, NULL, &set, NULL, NULL, NULL);
}
static long call_splice(void)
{
	return splice(the_fd, NULL, 1, NULL, 0, 0);
}
static long call_close(void)
{
	return close(the_fd);
}
static long call_connect(void)
{
	return connect(the_fd, (struct sockaddr *)&probe_server, sizeof probe_server);
}

/* None of these is a cancellation point. */
static long call_shutdown(void)
{
	return shutdown(the_fd, SHUT_RD);
}
static long call_dup(void)
{
	int copy = dup(the_fd);

	return copy < 0 ? copy : 1;
}
static long call_getsockopt(void)
{
	int value;

	return getsockopt(the_fd, SOL_SOCKET, SO_ERROR, &value, &(socklen_t){sizeof value});
}
static long call_setsockopt(void)
{
	return setsockopt(the_fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}
static long call_getsockname(void)
{
	struct sockaddr_in name;

	return getsockname(the_fd, (struct sockaddr *)&name, &(socklen_t){sizeof name});
}
static long call_fcntl(void)
{
	return fcntl(the_fd, F_GETFL);
}
static long call_ioctl(void)
{
	int waiting;

	return ioctl(the_fd, FIONREAD, &waiting);
}
static long call_bind(void)
{
	return bind(the_fd, (struct sockaddr *)&probe_server, sizeof probe_server);
}
static long call_listen(void)
{
	return listen(the_fd, 1);
}
static long call_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? fd : close(fd);
}

struct call {
	const char *name;
	long (*make)(void);
};

static void *make_cancelled(void *argument)
{
	const struct call *call = argument;
	long result;

	pthread_cancel(pthread_self());
	result = call->make();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	say("%s: not cancelled, %ld", call->name, result);
	return NULL;
}

static void make_each(const struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pthread_t thread;
		void *result = NULL;

		pthread_create(&thread, NULL, make_cancelled, (void *)&calls[i]);
		pthread_join(thread, &result);
		if (result == PTHREAD_CANCELED)
			say("%s: cancelled", calls[i].name);
	}
}

#define CALLS(...) \
	make_each((const struct call[]){__VA_ARGS__}, sizeof((struct call[]){__VA_ARGS__}) / sizeof(struct call))
#define C(name)                    \
	{                          \
#name, call_##name \
	}
#define RECEIVING C(read), C(readv), C(recv), C(recvfrom), C(recvmsg), C(recvmmsg)
#define SENDING C(write), C(writev), C(send), C(sendto), C(sendmsg), C(sendmmsg)
#define WAITING C(poll), C(ppoll), C(select), C(pselect), C(splice)
#define OTHERS C(dup), C(getsockopt), C(setsockopt), C(getsockname), C(fcntl), C(ioctl), C(bind), C(listen), C(socket)

/* The cancelled calls sent nothing: the only answer is that of the present request. */
static void run_connected(void)
{
	the_fd = probe_dial();
	CALLS(SENDING, WAITING, OTHERS);
	probe_ask(the_fd, "/bytes/30");
	probe_drain(the_fd);
	CALL(close(the_fd));
}

/* The cancelled calls took no byte. */
static void run_answered(void)
{
	the_fd = probe_dial();
	probe_ask(the_fd, "/bytes/30");
	probe_settle();
	CALLS(RECEIVING, WAITING, OTHERS);
	probe_drain(the_fd);
	CALL(close(the_fd));
}

static void run_finished(void)
{
	the_fd = probe_dial();
	probe_ask(the_fd, "/bytes/30");
	probe_drain(the_fd);
	probe_settle();
	CALLS(RECEIVING, SENDING, WAITING, OTHERS);
	CALLS(C(shutdown));
	probe_drain(the_fd);
	CALL(close(the_fd));
}

/* A cancelled close() has closed nothing. */
static void run_close(void)
{
	the_fd = probe_dial();
	CALLS(C(close));
	probe_ask(the_fd, "/bytes/30");
	CALLS(C(close));
	probe_drain(the_fd);
	CALLS(C(close));
	CALL(fcntl(the_fd, F_GETFD));
	probe_read(the_fd, 10);
	CALL(close(the_fd));
	the_fd = probe_socket();
	CALLS(C(close));
	CALL(close(the_fd));
}

/* A cancelled connect() has connected nothing. */
static void run_connect(void)
{
	struct sockaddr_in peer;

	the_fd = probe_socket();
	CALLS(C(connect));
	CALL(getpeername(the_fd, (struct sockaddr *)&peer, &(socklen_t){sizeof peer}));
	CALL(connect(the_fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	CALLS(C(connect));
	probe_ask(the_fd, "/bytes/30");
	probe_drain(the_fd);
	CALL(close(the_fd));
}

static void *sleep_in_call(void *argument)
{
	const struct call *call = argument;
	long result = call->make();

	say("%s came back: %ld", call->name, result);
	return NULL;
}

/* Cancelled in its sleep: the data that arrives later is complete for another thread. */
static void run_asleep(void)
{
	static const struct call calls[] = {RECEIVING};

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		pthread_t thread;
		void *result;

		the_fd = probe_dial();
		pthread_create(&thread, NULL, sleep_in_call, (void *)&calls[i]);
		probe_settle();
		pthread_cancel(thread);
		pthread_join(thread, &result);
		say("%s: cancelled %d", calls[i].name, result == PTHREAD_CANCELED);
		probe_ask(the_fd, "/bytes/30");
		probe_drain(the_fd);
		CALL(close(the_fd));
	}
	probe_exchange("/bytes/10");
}

static long call_wait_in_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(the_fd, &event, 1, 1000);
}
static long call_pwait_in_epoll(void)
{
	struct epoll_event event;

	return epoll_pwait(the_fd, &event, 1, 1000, NULL);
}
static long call_pwait2_in_epoll(void)
{
	struct epoll_event event;

	return epoll_pwait2(the_fd, &event, 1, &(struct timespec){1, 0}, NULL);
}

static void run_epoll(void)
{
	int fd = probe_dial();
	struct epoll_event event = {.events = EPOLLIN};

	the_fd = epoll_create1(0);
	CALL(epoll_ctl(the_fd, EPOLL_CTL_ADD, fd, &event));
	probe_ask(fd, "/bytes/30");
	probe_settle();
	CALLS(C(wait_in_epoll), C(pwait_in_epoll), C(pwait2_in_epoll));
	probe_print_epoll("after", the_fd, 100);
	probe_drain(fd);
	CALLS(C(wait_in_epoll), C(pwait_in_epoll), C(pwait2_in_epoll));
	CALL(close(fd));
	CALL(close(the_fd));
}

/* A large upload is cancelled while it waits for room: the bytes that went out are whole, the connection must be
 * closed. */
static void *upload(void *body)
{
	static const char head[] =
		"POST /sleep/300 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n";

	send(the_fd, head, sizeof head - 1, MSG_NOSIGNAL);
	while (send(the_fd, body, 1000000, MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void run_upload(void)
{
	char *body = calloc(1, 1000000);
	pthread_t thread;
	void *result;

	for (int i = 0; i < 3; i++) {
		the_fd = probe_dial();
		pthread_create(&thread, NULL, upload, body);
		usleep(3000);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		CALL(close(the_fd));
	}
	free(body);
	the_fd = probe_dial();
	probe_ask(the_fd, "/bytes/30");
	probe_drain(the_fd);
	CALL(close(the_fd));
}

/* ---- A server that resets a connection at its second request, and then accepts no new ones. ---- */

static int listener;
static struct sockaddr_in address;

static void *serve(void *unused)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	struct linger reset = {1, 0};
	int fd = accept(listener, NULL, NULL);

	(void)unused;
	syscall(SYS_recvfrom, fd, bytes, sizeof bytes, 0, NULL, NULL);
	send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
	syscall(SYS_recvfrom, fd, bytes, sizeof bytes, 0, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	return NULL;
}

static int dial_own(void)
{
	int fd = probe_socket();

	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	return fd;
}

static void *ask_and_read(void *unused)
{
	(void)unused;
	probe_ask_keep(the_fd, "/");
	if (read(the_fd, bytes, sizeof bytes) >= 0)
		say("read came back");
	return NULL;
}

/* The kept connection turns out dead, and a fresh dial gets no answer; then the thread is cancelled. */
static void run_replacing(void)
{
	socklen_t length = sizeof address;
	struct timespec limit;
	int filler[4];
	pthread_t server, thread;
	char answer[100];

	listener = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); /* past the shim: see stale.c */
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	bind(listener, (struct sockaddr *)&address, sizeof address);
	syscall(SYS_listen, listener, 0);
	getsockname(listener, (struct sockaddr *)&address, &length);
	pthread_create(&server, NULL, serve, NULL);
	the_fd = dial_own();
	probe_ask_keep(the_fd, "/");
	CALL(read(the_fd, answer, sizeof answer) > 0);
	close(the_fd);
	the_fd = dial_own();
	for (int i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(filler[i], (struct sockaddr *)&address, sizeof address) == 0)
			say("connected at once");
	}
	pthread_create(&thread, NULL, ask_and_read, NULL);
	usleep(100000);
	pthread_cancel(thread);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 3;
	CALL(pthread_timedjoin_np(thread, NULL, &limit));
	CALL(fcntl(the_fd, F_GETFD));
	probe_poll("still there", the_fd, POLLPRI, 100);
	CALL(close(the_fd));
	for (int i = 0; i < 4; i++)
		close(filler[i]);
	pthread_cancel(server);
	close(listener);
	probe_exchange("/bytes/10");
	the_fd = probe_dial();
	probe_ask(the_fd, "/bytes/30");
	probe_drain(the_fd);
	CALL(close(the_fd));
}

static const struct probe_case cases[] = {
	{"connected", run_connected}, {"answered", run_answered}, {"finished", run_finished},
	{"close", run_close},	      {"connect", run_connect},	  {"asleep", run_asleep},
	{"epoll", run_epoll},	      {"upload", run_upload},	  {"replacing", run_replacing},
};
PROBE_MAIN(cases)
