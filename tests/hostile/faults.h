/*
 * Shared by the fault server and its client: the framings, and a page of shared memory in which the client sets the
 * fault of its next request and the server counts requests. It is beside the connection, so that no byte of that is
 * about the test.
 */
#ifndef TESTS_HOSTILE_FAULTS_H
#define TESTS_HOSTILE_FAULTS_H

#include <stdatomic.h>
#include <stddef.h>

enum fault {
	FAULT_NONE,
	FAULT_REQUEST_FIN, /* the server hangs up when it has read this many bytes of the request */
	FAULT_REQUEST_RST,
	FAULT_REQUEST_SPLIT, /* the client sends this many bytes, and then the rest */
	FAULT_REQUEST_PAUSE, /* with a pause in between */
	FAULT_ANSWER_FIN,    /* the server hangs up when it has sent this many bytes of the answer */
	FAULT_ANSWER_RST,
	FAULT_ANSWER_SPLIT,
	FAULT_ANSWER_PAUSE,
	FAULT_ANSWER_DRIP, /* byte by byte */
	N_FAULTS
};

struct plan {
	_Atomic int fault, framing;
	_Atomic size_t position;
	_Atomic unsigned n_executed; /* requests that the server has read to their end since the client set this to 0 */
};

/* A request and its answer. If the answer's own bytes don't mark its end, the server hangs up behind it. */
struct framing {
	const char *name, *request, *answer;
	size_t request_length, answer_length;
	/* Bytes behind the end of the answer, the surplus; 0: none. */
	size_t surplus_length;
	/* The server closes although the request allows for more. */
	int server_closes;
	/* The program knows the end, and doesn't wait for the end of file. */
	int is_kept;
	/* The shim may send it again (RFC 9110 9.2.2). */
	int is_idempotent;
};

extern const struct framing faults_framings[];
extern const size_t faults_n_framings;
extern const char *const faults_names[N_FAULTS];

/* Maps the file. NULL: it can't be mapped. */
struct plan *faults_map(const char *path);
#endif
