/* Unexpected behaviour of programs: cases that once broke the promise. Those that need a misbehaving server bring their
 * own. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <linux/seccomp.h>

extern char **environ;

/* A small answer and its end, printed in one line as the program sees them. */
static void drain(const char *what, int fd)
{
	char bytes[4096];
	long total = 0, n;
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	while ((n = poll(&pollfd, 1, 3000)) == 1 && (n = read(fd, bytes, sizeof bytes)) > 0)
		total += n;
	say("%s: %s, then %s", what, total ? "an answer" : "nothing",
	    n == 0 ? "EOF or nothing" : strerrorname_np(errno));
}

static void wait_end(const char *what, int fd)
{
	char bytes[4096];
	long total = 0, n;
	struct timeval limit = {3, 0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		total += n;
	say("%s: %s, then %s", what, total ? "an answer" : "nothing", n == 0 ? "EOF" : strerrorname_np(errno));
}

/* ---- A server of our own: answers the first request of a connection; ends it at the second one without a byte.
 * ---- */

static int own_listener = -1;
static struct sockaddr_in own_address;

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
			n = syscall(SYS_recvfrom, fd, bytes, sizeof bytes - 1, 0, NULL, NULL);
			if (n > 0)
				usleep(20000);
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

	own_listener = socket(AF_INET, SOCK_STREAM, 0);
	own_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	bind(own_listener, (struct sockaddr *)&own_address, sizeof own_address);
	/* The raw syscall bypasses the shim, which leaves connections to the process's own ports alone: to the shim
	 * this server must be a foreign one. */
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
		say("connect: %s", strerrorname_np(errno));
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
	wait_end("answer", fd);
	close(fd);
}

/* ---- Uploads ---- */

static const char post_head[] = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";

static const char *ten(void)
{
	return "0123456789";
}

static int begin_upload(void)
{
	int fd = probe_dial();

	signal(SIGPIPE, SIG_IGN);
	CALL(write(fd, post_head, sizeof post_head - 1));
	return fd;
}

static void end_upload(int fd)
{
	probe_settle();
	CALL(write(fd, ten(), 5));
	probe_settle();
	CALL(write(fd, ten() + 5, 5));
	wait_end("upload", fd);
	close(fd);
}

/* A helper that is started with an environment of its own, while this program uploads. */
static void run_upload_and_spawn(void)
{
	int fd = begin_upload(), status = -1;
	char *arguments[] = {"true", NULL}, *none[] = {NULL};
	posix_spawn_file_actions_t actions;
	pid_t child;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	CALL(posix_spawn(&child, "/bin/true", &actions, NULL, arguments, none));
	waitpid(child, &status, 0);
	say("child %d", status);
	end_upload(fd);
}

static void run_upload_and_vfork(void)
{
	int fd = begin_upload(), status = -1;
	char *arguments[] = {"true", NULL}, *none[] = {NULL};
	pid_t child = vfork();

	if (child == 0) {
		execve("/bin/true", arguments, none);
		_exit(1);
	}
	waitpid(child, &status, 0);
	say("child %d", status);
	end_upload(fd);
}

static void run_upload_by_stream(void)
{
	int fd = begin_upload();
	FILE *stream = fdopen(fd, "r+");

	say("fwrite %zu", fwrite(ten(), 1, 5, stream));
	CALL(fflush(stream));
	probe_settle();
	say("fwrite %zu", fwrite(ten() + 5, 1, 5, stream));
	CALL(fflush(stream));
	wait_end("upload", fd);
	fclose(stream);
}

static void run_upload_chunked_sendfile(void)
{
	static const char head[] =
		"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
	FILE *file = tmpfile();
	int fd = probe_dial();
	off_t offset = 0;

	signal(SIGPIPE, SIG_IGN);
	fwrite(ten(), 1, 10, file);
	fflush(file);
	CALL(write(fd, head, sizeof head - 1));
	CALL(write(fd, "a\r\n", 3));
	CALL(sendfile(fd, fileno(file), &offset, 10));
	probe_settle();
	CALL(write(fd, "\r\n", 2));
	probe_settle();
	CALL(write(fd, "0\r\n\r\n", 5));
	wait_end("upload", fd);
	close(fd);
	fclose(file);
}

/* ---- Threads ---- */

static int shared_fd;

static void *receive(void *unused)
{
	char bytes[4096];
	long n, total = 0;

	(void)unused;
	while ((n = recv(shared_fd, bytes, sizeof bytes, 0)) > 0)
		total += n;
	return (void *)(intptr_t)(n < 0 ? -errno : total > 0);
}

static void post_and_join(void *(*wait)(void *))
{
	pthread_t thread;
	void *result;

	shared_fd = probe_dial();
	errno = 4242;
	pthread_create(&thread, NULL, wait, NULL);
	probe_settle();
	CALL(write(shared_fd, post_head, sizeof post_head - 1));
	CALL(write(shared_fd, ten(), 10));
	pthread_join(thread, &result);
	say("waiter: %ld", (long)result);
	wait_end("answer", shared_fd);
	close(shared_fd);
}

static void run_post_reader_waits(void)
{
	post_and_join(receive);
}

static void *poll_in(void *unused)
{
	struct pollfd pollfd = {.fd = shared_fd, .events = POLLIN};

	(void)unused;
	return (void *)(intptr_t)(poll(&pollfd, 1, 3000) == 1 ? pollfd.revents : -1);
}

static void run_post_poller_waits(void)
{
	post_and_join(poll_in);
}

static void *epoll_in(void *unused)
{
	int set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = shared_fd};
	int n;

	(void)unused;
	epoll_ctl(set, EPOLL_CTL_ADD, shared_fd, &event);
	n = epoll_wait(set, &event, 1, 3000);
	close(set);
	return (void *)(intptr_t)(n == 1 ? (int)event.events : -1);
}

static void run_post_epoll_waits(void)
{
	post_and_join(epoll_in);
}

static _Atomic(bool) stop;

static void *exchanges(void *unused)
{
	char bytes[4096];

	(void)unused;
	while (!stop) {
		int fd = probe_dial();

		probe_ask(fd, "/bytes/10");
		while (read(fd, bytes, sizeof bytes) > 0)
			;
		close(fd);
	}
	return NULL;
}

/* Helpers are started while other threads are in the middle of exchanges. */
static void run_spawn_among_exchanges(void)
{
	char *arguments[] = {"true", NULL};
	pthread_t threads[4];
	posix_spawn_file_actions_t actions;

	stop = false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, exchanges, NULL);
	for (int i = 0; i < 400; i++) {
		int status;
		pid_t child;

		if (posix_spawn(&child, "/nowhere/at/all", &actions, NULL, arguments, environ) == 0)
			waitpid(child, &status, 0);
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say("alive");
}

static void *send_post(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)(send(shared_fd, post_head, sizeof post_head - 1, MSG_NOSIGNAL) < 0 ? -1 : 0);
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
	wait_end("answer", other);
	close(other);
	close(own_listener);
	close(accepted);
}

static void *poll_forever(void *unused)
{
	struct pollfd pollfd = {.fd = shared_fd, .events = POLLRDHUP};

	(void)unused;
	return (void *)(intptr_t)poll(&pollfd, 1, -1);
}

/* A thread begins to wait for the end just when another one reads it. */
static void run_poll_at_the_end(void)
{
	long lost = 0;

	for (int i = 0; i < 1500; i++) {
		struct timespec limit;
		pthread_t thread;
		char bytes[512];

		shared_fd = probe_dial();
		probe_ask(shared_fd, "/bytes/10");
		recv(shared_fd, bytes, 1, MSG_PEEK);
		pthread_create(&thread, NULL, poll_forever, NULL);
		for (volatile int spin = 0; spin < i % 300 * 100; spin++)
			;
		while (read(shared_fd, bytes, sizeof bytes) > 0)
			;
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec++;
		if (pthread_timedjoin_np(thread, NULL, &limit)) {
			lost++;
			pthread_cancel(thread);
			pthread_join(thread, NULL);
		}
		close(shared_fd);
		if (lost)
			break;
	}
	say("lost %ld", lost);
}

/* ---- Destinations ---- */

/* A socket whose first address refuses may be connected to another one (Linux). The success says nothing about the
 * first address. */
static void run_second_address(void)
{
	struct sockaddr_in closed = probe_server;
	socklen_t length = sizeof closed;
	int fd, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd pollfd;
	char bytes[512];

	closed.sin_port = 0;
	bind(listener, (struct sockaddr *)&closed, sizeof closed);
	getsockname(listener, (struct sockaddr *)&closed, &length);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&closed, sizeof closed);
	pollfd = (struct pollfd){fd, POLLOUT, 0};
	poll(&pollfd, 1, 1000);
	connect(fd, (struct sockaddr *)&closed, sizeof closed);
	connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server);
	poll(&pollfd, 1, 1000);
	fcntl(fd, F_SETFL, 0);
	probe_ask(fd, "/bytes/10");
	while (read(fd, bytes, sizeof bytes) > 0)
		;
	close(fd);
	fd = probe_socket();
	CALL(connect(fd, (struct sockaddr *)&closed, sizeof closed));
	close(fd);
	close(listener);
}

static void run_beyond_the_limit(void)
{
	struct rlimit old, low;
	int high, fd, other, first = -1;
	struct sockaddr_in local, local_other;
	socklen_t length = sizeof local;

	probe_exchange("/bytes/10");
	first = dup(0);
	high = fcntl(0, F_DUPFD, first + 40);
	for (fd = probe_socket(); fd < first + 20; fd = probe_socket())
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (int i = first + 1; i < fd; i++)
		close(i);
	close(high);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = (rlim_t)first + 10;
	CALL(setrlimit(RLIMIT_NOFILE, &low));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	other = probe_socket();
	getsockname(fd, (struct sockaddr *)&local, &length);
	length = sizeof local_other;
	getsockname(other, (struct sockaddr *)&local_other, &length);
	say("two sockets are one: %d", local.sin_port == local_other.sin_port);
	CALL(connect(other, (struct sockaddr *)&probe_server, sizeof probe_server));
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
	close(other);
	close(first);
}

/* ---- Readiness ---- */

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

/* A child closes its inherited descriptors; the parent still waits for the end. */
static void child_closes(bool range)
{
	int set = epoll_create1(0), fd = probe_dial(), status;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
	char bytes[65536];
	size_t length = 0;
	pid_t child;

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	probe_ask(fd, "/bytes/10");
	do
		length += (size_t)read(fd, bytes + length, sizeof bytes - length);
	while (bytes[length] = 0, !strstr(bytes, "\r\n\r\n"));
	child = fork();
	if (child == 0) {
		if (range)
			closefrom(3);
		else
			close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	probe_settle();
	probe_print_epoll("after the child", set, 1000);
	wait_end("parent", fd);
	close(fd);
	close(set);
}

static void run_child_closes(void)
{
	child_closes(false);
}

static void run_child_closes_all(void)
{
	child_closes(true);
}

static void run_child_closes_new(void)
{
	int set = epoll_create1(0), fd = probe_socket(), status;
	struct epoll_event event = {.events = EPOLLIN};
	pid_t child;

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	probe_print_epoll("new", set, 100);
	child = fork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	say("events %d", epoll_wait(set, &event, 1, 2000));
	wait_end("parent", fd);
	close(fd);
	close(set);
}

/* ---- Processes, limits, boxes ---- */

static void run_fork_cancel_state(void)
{
	int status, old = -1;
	pid_t child;

	probe_exchange("/bytes/10");
	child = fork();
	if (child == 0) {
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
		_exit(old == PTHREAD_CANCEL_ENABLE ? 0 : 1);
	}
	waitpid(child, &status, 0);
	say("child %d", WEXITSTATUS(status));
}

static void fill(int keep)
{
	int fd, n = 0, last[8];

	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last[n++ % 8] = fd;
	for (int i = 0; i < keep; i++)
		close(last[(n - 1 - i) % 8]);
}

/* All descriptors are in use: the program keeps those that it has. */
static void run_post_without_room(void)
{
	struct rlimit low = {64, 64};
	int fd;

	setrlimit(RLIMIT_NOFILE, &low);
	probe_exchange("/bytes/10");
	fd = probe_dial();
	fill(0);
	CALL(write(fd, post_head, sizeof post_head - 1));
	CALL(write(fd, ten(), 10));
	wait_end("answer", fd);
	closefrom(3);
}

/* Sixteen connections at once, then none; all of their descriptors are the program's again. */
static void run_all_numbers(void)
{
	struct rlimit low = {64, 64};
	int fds[64], n;

	setrlimit(RLIMIT_NOFILE, &low);
	closefrom(3);
	for (int i = 0; i < 16; i++)
		fds[i] = probe_dial();
	for (int i = 0; i < 16; i++) {
		char bytes[512];

		probe_ask(fds[i], "/bytes/10");
		while (read(fds[i], bytes, sizeof bytes) > 0)
			;
		close(fds[i]);
	}
	for (n = 0; n < 64; n++)
		if ((fds[n] = open("/dev/null", O_RDONLY)) < 0)
			break;
	say("opened %d", n);
	closefrom(3);
}

static void run_sandbox(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int fd = probe_dial();
		char bytes[512];
		static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		write(fd, request, sizeof request - 1);
		while (read(fd, bytes, sizeof bytes) > 0)
			;
		syscall(SYS_exit, 0);
	}
	waitpid(child, &status, 0);
	say("child signal %d status %d", WTERMSIG(status), WEXITSTATUS(status));
}

static void run_oneshot_without_proc(void)
{
	int set, fd, status;
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
	char bytes[4096];
	pid_t child = fork();

	if (child == 0) {
		if (geteuid() != 0 || chroot("/var/empty") || chdir("/"))
			if (geteuid() != 0 || chroot("/tmp") || chdir("/"))
				_exit(0);
		set = epoll_create1(0);
		fd = probe_dial();
		epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
		probe_ask(fd, "/bytes/10");
		say("events %d", epoll_wait(set, &event, 1, 1000));
		CALL(read(fd, bytes, 4096) > 0);
		probe_settle();
		say("events %d", epoll_wait(set, &event, 1, 100));
		_exit(0);
	}
	waitpid(child, &status, 0);
}

static void run_system_reads(void)
{
	char command[64];
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	snprintf(command, sizeof command, "timeout 4 tail -c 10 <&%d", fd);
	say("status %d", system(command));
	close(fd);
}

static void run_raw_epoll(void)
{
	int set = epoll_create1(0), fd = probe_dial();
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET};
	char bytes[4096];

	syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event);
	probe_ask(fd, "/bytes/10");
	probe_poll("answer", fd, POLLIN, 1000);
	CALL(read(fd, bytes, sizeof bytes) > 0);
	probe_settle();
	say("end %d", epoll_wait(set, &event, 1, 2000));
	close(fd);
	close(set);
}

static void run_raw_read(void)
{
	int fd = probe_dial();
	struct timeval limit = {2, 0};
	char bytes[4096];
	long n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	probe_ask(fd, "/bytes/10");
	while ((n = syscall(SYS_read, fd, bytes, sizeof bytes)) > 0)
		;
	say("end %ld", n);
	close(fd);
}

static sigjmp_buf jump;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(jump, 1);
}

/* Time-outs by alarm and longjmp, at any moment: close() closes all the same, and the thread can be cancelled. */
static void run_jump_anywhere(void)
{
	struct itimerval off = {0};
	volatile int fd, kept = 0;
	int old = -1;

	signal(SIGALRM, jump_out);
	for (volatile int i = 0; i < 8000; i++) {
		struct itimerval soon = {.it_value.tv_usec = 1 + i * 7 % 300};
		char bytes[1024];

		fd = -1;
		if (!sigsetjmp(jump, 1)) {
			fd = probe_dial();
			setitimer(ITIMER_REAL, &soon, NULL);
			probe_ask(fd, "/bytes/10");
			while (read(fd, bytes, sizeof bytes) > 0)
				;
			setitimer(ITIMER_REAL, &off, NULL);
		}
		setitimer(ITIMER_REAL, &off, NULL);
		if (fd >= 0) {
			close(fd);
			kept += fcntl(fd, F_GETFD) >= 0;
		}
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	say("still open after close: %d, cancel state %d", kept, old);
}

static void *fork_often(void *unused)
{
	int old = -1, n = probe_is_heavy() ? 40 : 15;

	(void)unused;
	for (int i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	return (void *)(intptr_t)(old != PTHREAD_CANCEL_ENABLE);
}

/* Several threads of a large program fork at the same time. */
static void run_forkers(void)
{
	size_t size = 96u << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[6];
	long n_disabled = 0;

	madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = 1;
	probe_exchange("/bytes/10");
	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, fork_often, NULL);
	for (int i = 0; i < 6; i++) {
		void *result;

		pthread_join(threads[i], &result);
		n_disabled += (long)result;
	}
	say("threads that can't be cancelled any more: %ld", n_disabled);
	munmap(memory, size);
}

static _Atomic(int) step;

static void *in_own_network(void *unused)
{
	int fd;

	(void)unused;
	if (unshare(CLONE_NEWNET)) {
		step = 1;
		return NULL;
	}
	step = 1;
	while (step != 2)
		usleep(1000);
	fd = probe_socket();
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	close(fd);
	return NULL;
}

/* Network namespaces belong to threads. */
static void run_network_of_a_thread(void)
{
	pthread_t thread;

	step = 0;
	pthread_create(&thread, NULL, in_own_network, NULL);
	while (step != 1)
		usleep(1000);
	for (int i = 0; i < 3; i++)
		probe_exchange("/bytes/10");
	step = 2;
	pthread_join(thread, NULL);
}

static const struct probe_case cases[] = {
	{"jump-anywhere", run_jump_anywhere},
	{"forkers", run_forkers},
	{"network-of-a-thread", run_network_of_a_thread},
	{"impatient-stream", run_impatient_stream},
	{"impatient-empty-line", run_impatient_empty_line},
	{"upload-and-spawn", run_upload_and_spawn},
	{"upload-and-vfork", run_upload_and_vfork},
	{"upload-by-stream", run_upload_by_stream},
	{"upload-chunked-sendfile", run_upload_chunked_sendfile},
	{"post-reader-waits", run_post_reader_waits},
	{"post-poller-waits", run_post_poller_waits},
	{"post-epoll-waits", run_post_epoll_waits},
	{"spawn-among-exchanges", run_spawn_among_exchanges},
	{"given-up-elsewhere", run_given_up_elsewhere},
	{"poll-at-the-end", run_poll_at_the_end},
	{"second-address", run_second_address},
	{"beyond-the-limit", run_beyond_the_limit},
	{"oneshot-stale", run_oneshot_stale},
	{"many-stale", run_many_stale},
	{"child-closes", run_child_closes},
	{"child-closes-all", run_child_closes_all},
	{"child-closes-new", run_child_closes_new},
	{"fork-cancel-state", run_fork_cancel_state},
	{"post-without-room", run_post_without_room},
	{"all-numbers", run_all_numbers},
	{"sandbox", run_sandbox},
	{"oneshot-without-proc", run_oneshot_without_proc},
	{"system-reads", run_system_reads},
	{"raw-epoll", run_raw_epoll},
	{"raw-read", run_raw_read},
};
PROBE_MAIN(cases)
