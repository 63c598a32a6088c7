/* Requests that may not be sent twice: in pieces, by streams and files, while others wait for the answer, and without
 * room for descriptors. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

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
	probe_wait_end("upload", fd);
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
	probe_wait_end("upload", fd);
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
	probe_wait_end("upload", fd);
	close(fd);
	fclose(file);
}

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
	probe_wait_end("answer", shared_fd);
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
	probe_wait_end("answer", fd);
	closefrom(3);
}

static const struct probe_case cases[] = {
	{"upload-and-spawn", run_upload_and_spawn},   {"upload-and-vfork", run_upload_and_vfork},
	{"upload-by-stream", run_upload_by_stream},   {"upload-chunked-sendfile", run_upload_chunked_sendfile},
	{"post-reader-waits", run_post_reader_waits}, {"post-poller-waits", run_post_poller_waits},
	{"post-epoll-waits", run_post_epoll_waits},   {"post-without-room", run_post_without_room},
};
PROBE_MAIN(cases)
