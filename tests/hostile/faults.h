/*
 * What the fault server and its client agree on: the framings, and a page of shared memory by which the client says what is to go wrong
 * with its next request and the server counts what it was asked. Beside the connection, so that no byte of that is about the test.
 */
#ifndef TESTS_HOSTILE_FAULTS_H
#define TESTS_HOSTILE_FAULTS_H

#include <stdatomic.h>
#include <stddef.h>

enum fault {
	FAULT_NONE,
	FAULT_REQUEST_FIN, /* the server hangs up when it has read so many bytes of the request */
	FAULT_REQUEST_RST,
	FAULT_REQUEST_SPLIT, /* the client sends so many bytes, and then the rest */
	FAULT_REQUEST_PAUSE, /* with a pause in between */
	FAULT_ANSWER_FIN,    /* the server hangs up when it has sent so many bytes of the answer */
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

/* A request and its answer. Without an answer's end in its own bytes, the server hangs up behind it. */
struct framing {
	const char *name, *request, *answer;
	size_t request_length, answer_length;
	/* What follows the end of the answer is surplus; 0: nothing does. */
	size_t surplus_length;
	/* Closed by the server although the request allows for more. */
	int server_closes;
	/* The program knows the end, and waits for no end of file. */
	int is_kept;
	/* May be sent again by itself (RFC 9110 9.2.2). */
	int is_idempotent;
};

extern const struct framing faults_framings[];
extern const size_t faults_n_framings;
extern const char *const faults_names[N_FAULTS];

/* Maps the file. NULL if that can't be. */
struct plan *faults_map(const char *path);
#endif
