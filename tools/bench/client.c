/* See client.h. A request that fails is counted and its connection closed; the others go on. */
#include "tools/bench/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pool/proto/http1/framing.h"
#include "tools/base/clock.h"

struct worker {
	pthread_t thread;
	const struct bench_task *task;
	const struct addrinfo *address;
	const char *request;
	unsigned n_requests;
	unsigned n_failed, n_connected;
	int fd; /* -1: none */
	struct framing framing;
};

static void hang_up(struct worker *worker)
{
	if (worker->fd >= 0)
		close(worker->fd);
	worker->fd = -1;
}

static bool connect_worker(struct worker *worker)
{
	static const int on = 1;
	const struct addrinfo *address = worker->address;

	if (worker->fd >= 0)
		return true;
	worker->fd = socket(address->ai_family, SOCK_STREAM, 0);
	if (worker->fd < 0)
		return false;
	setsockopt(worker->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(worker->fd, address->ai_addr, address->ai_addrlen) < 0) {
		hang_up(worker);
		return false;
	}
	framing_init(&worker->framing, false);
	worker->n_connected++;
	return true;
}

static bool send_request(struct worker *worker)
{
	size_t length = strlen(worker->request), sent = 0;

	while (sent < length) {
		ssize_t n = send(worker->fd, worker->request + sent, length - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	framing_feed_request(&worker->framing, worker->request, length, NULL);
	return true;
}

/* Reads the whole answer; on a short connection up to the end of file, as such programs do. */
static bool receive_answer(struct worker *worker)
{
	char bytes[16384];
	ssize_t n;

	while ((n = recv(worker->fd, bytes, sizeof(bytes), 0)) > 0) {
		framing_feed_response(&worker->framing, bytes, (size_t)n, NULL);
		if (worker->framing.response_ended && worker->task->kind == BENCH_LONG)
			return true;
	}
	framing_feed_response_end(&worker->framing);
	return n == 0 && worker->framing.response_ended;
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < worker->n_requests; i++) {
		bool is_done = connect_worker(worker) && send_request(worker) && receive_answer(worker) &&
			       worker->framing.response.parser.status_code < 400;

		worker->n_failed += !is_done;
		if (!is_done || worker->task->kind == BENCH_SHORT || worker->framing.server_closes)
			hang_up(worker);
	}
	hang_up(worker);
	return NULL;
}

/* One works in this thread: a program that asks for one thing after the other has no more. */
static int run_workers(const struct bench_task *task, struct worker *workers, struct bench_outcome *outcome)
{
	unsigned n_started = 1;
	double begin = clock_now_s(CLOCK_MONOTONIC);

	while (n_started < task->n_at_once &&
	       pthread_create(&workers[n_started].thread, NULL, work, &workers[n_started]) == 0)
		n_started++;
	work(&workers[0]);
	for (unsigned i = 0; i < n_started; i++) {
		if (i)
			pthread_join(workers[i].thread, NULL);
		outcome->n_failed += workers[i].n_failed;
		outcome->n_connected += workers[i].n_connected;
	}
	outcome->seconds = clock_now_s(CLOCK_MONOTONIC) - begin;
	return n_started == task->n_at_once ? 0 : -EAGAIN;
}

int bench_client_run(const struct bench_task *task, struct bench_outcome *outcome)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
	struct worker *workers = calloc(task->n_at_once, sizeof(*workers));
	char *request = NULL;
	int error = -ENOMEM;

	memset(outcome, 0, sizeof(*outcome));
	if (getaddrinfo(task->host, task->port, &hints, &address)) {
		free(workers);
		return -EHOSTUNREACH;
	}
	if (asprintf(&request, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", task->path, task->host,
		     task->kind == BENCH_SHORT ? "Connection: close\r\n" : "") < 0)
		request = NULL;
	for (unsigned i = 0; workers && i < task->n_at_once; i++)
		workers[i] = (struct worker){
			.task = task,
			.address = address,
			.request = request,
			.n_requests = task->n_requests / task->n_at_once + (i < task->n_requests % task->n_at_once),
			.fd = -1,
		};
	if (workers && request)
		error = run_workers(task, workers, outcome);
	free(request);
	free(workers);
	freeaddrinfo(address);
	return error;
}
