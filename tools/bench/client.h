/* The client of `holdline bench`: plain blocking sockets, a thread for each connection at once. */
#pragma once

#include <stdbool.h>

enum bench_kind { BENCH_SHORT, BENCH_LONG };

struct bench_task {
	enum bench_kind kind;
	const char *host, *port, *path;
	unsigned n_requests;
	unsigned n_at_once;
};

struct bench_outcome {
	double seconds;
	unsigned n_failed;
	unsigned n_connected; /* connect() calls that succeeded, as a program sees it */
};

/* Makes all requests. 0, or -errno: the host is unknown, or there is no memory. */
int bench_client_run(const struct bench_task *task, struct bench_outcome *outcome) __attribute__((warn_unused_result));
