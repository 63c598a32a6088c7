/*
 * A program of many threads that makes requests in many ways, a connection each, forks, and kills its children: soak
 * PORT N_REQUESTS N_THREADS. It checks that each answer is whole and belongs to its own request. Prints the number of
 * requests now and then; the last line says `ok N failed N children N killed N`.
 */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define REPORT_EVERY 10000
#define CHILD_EVERY 997

static struct sockaddr_in server = {.sin_family = AF_INET};
static atomic_long n_begun, n_ok, n_failed, n_children, n_killed;
static long n_wanted;

struct answer {
	char bytes[40000];
	size_t length;
};

static void fail(const char *what, long id)
{
	int error = errno;

	if (n_failed++ < 10)
		say("request %ld: %s: %s", id, what, error_name(error));
}

static int dial(bool waits)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0)
		return fd;
	if (fd >= 0 && errno == EINPROGRESS && poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 20000) == 1)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Reads to the end of file. */
static bool read_answer(int fd, struct answer *answer)
{
	ssize_t n;

	answer->length = 0;
	for (;;) {
		n = recv(fd, answer->bytes + answer->length, sizeof(answer->bytes) - 1 - answer->length, 0);
		if (n == 0)
			break;
		if (n < 0 && errno == EAGAIN && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20000) == 1)
			continue;
		if (n < 0)
			return false;
		answer->length += (size_t)n;
	}
	answer->bytes[answer->length] = 0;
	return true;
}

/* An echo of our own token: one answer and no more. */
static bool is_own(const struct answer *answer, const char *mark)
{
	const char *body = strstr(answer->bytes, "\r\n\r\n");

	errno = 0;
	return body && strncmp(answer->bytes, "HTTP/1.1 200", 12) == 0 && strstr(body, mark) &&
	       !strstr(answer->bytes + 1, "HTTP/1.1 ");
}

static bool is_whole(const struct answer *answer, size_t body_length)
{
	const char *body = strstr(answer->bytes, "\r\n\r\n");

	errno = 0;
	return body && strncmp(answer->bytes, "HTTP/1.1 200", 12) == 0 &&
	       answer->length == (size_t)(body + 4 - answer->bytes) + body_length;
}

static bool send_text(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* One request, in one of several ways. Returns NULL, or the error. */
static const char *ask(long id, unsigned kind, struct answer *answer)
{
	char request[256], mark[64] = "";
	int fd = dial(kind & 1), other;
	const char *wrong = NULL;

	if (fd < 0)
		return "connect";
	switch (kind >> 1 & 7) {
	case 0: /* the answer is abandoned */
		wrong = send_text(fd, "GET /bytes/20000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") ? NULL
													   : "send";
		break;
	case 1: /* a POST, which must not be done twice */
		snprintf(request, sizeof(request),
			 "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nid=%07ld",
			 id);
		wrong = !send_text(fd, request)	   ? "send"
			: !read_answer(fd, answer) ? "recv"
			: is_whole(answer, 10)	   ? NULL
						   : "answer";
		break;
	case 2:
		wrong = !send_text(fd, "GET /bytes/20000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") ? "send"
			: !read_answer(fd, answer)							    ? "recv"
			: is_whole(answer, 20000)							    ? NULL
						  : "large answer";
		break;
	case 3: /* read via another descriptor than written */
		other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		wrong = !send_text(fd, "HEAD /bytes/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") ? "send"
													   : NULL;
		close(fd);
		fd = other;
		if (!wrong)
			wrong = !read_answer(fd, answer) ? "recv" : is_whole(answer, 0) ? NULL : "head";
		break;
	default: /* in two pieces, with a token that must come back */
		snprintf(mark, sizeof(mark), "X-Token: %ld-%d\r\n", id, (int)getpid());
		snprintf(request, sizeof(request), "Host: x\r\n%sConnection: close\r\n\r\n", mark);
		wrong = !send_text(fd, "GET /echo HTTP/1.1\r\n") || !send_text(fd, request) ? "send"
			: !read_answer(fd, answer)					    ? "recv"
			: is_own(answer, mark)						    ? NULL
											    : "not its own answer";
	}
	close(fd);
	return wrong;
}

static void run_child(long id, struct answer *answer)
{
	const char *wrong = NULL;

	for (unsigned i = 0; i < 4 && !wrong; i++)
		wrong = ask(id, 9 + i, answer);
	_exit(wrong ? 1 : 0);
}

/* A child that makes requests of its own, forked while all threads were at work; every other one is killed. */
static void have_child(long id, unsigned chance, struct answer *answer)
{
	bool is_killed = chance & 1;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		run_child(id, answer);
	if (pid < 0) {
		fail("fork", id);
		return;
	}
	n_children++;
	if (is_killed) {
		nanosleep(&(struct timespec){.tv_nsec = chance % 2000 * 1000}, NULL);
		kill(pid, SIGKILL);
		n_killed++;
	}
	errno = 0;
	if (waitpid(pid, &status, 0) != pid ||
	    (status && !(is_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)))
		fail("a child", id);
}

static void *work(void *argument)
{
	unsigned seed = (unsigned)(size_t)argument;
	struct answer *answer = malloc(sizeof(*answer));
	long id;

	while ((id = n_begun++) < n_wanted) {
		const char *wrong = ask(id, (unsigned)rand_r(&seed) >> 3, answer);

		if (wrong)
			fail(wrong, id);
		else
			n_ok++;
		if (id % CHILD_EVERY == 0)
			have_child(id, (unsigned)rand_r(&seed), answer);
		if (id % REPORT_EVERY == 0)
			say("requests %ld", id);
	}
	free(answer);
	return NULL;
}

int main(int argc, char **argv)
{
	int n_threads = argc == 4 ? atoi(argv[3]) : 0;
	pthread_t threads[256];

	if (n_threads < 1 || n_threads > 256)
		return 2;
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	n_wanted = atol(argv[2]);
	for (int i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(size_t)(i + 1)))
			return 2;
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	say("ok %ld failed %ld children %ld killed %ld", n_ok, n_failed, n_children, n_killed);
	return n_failed ? 1 : 0;
}
