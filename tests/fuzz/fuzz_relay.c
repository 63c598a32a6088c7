/*
 * Both sides of the relay on any bytes: up to three programs and the server send stretches of the input, end,
 * half-close and reset in any order, over real sockets of this machine. Input: steps of an operation, a length and
 * as many bytes.
 *   - The relay never turns in circles: without anything new it soon has no more events;
 *   - no program gets more bytes than the server has sent, and the server no more than the programs have, apart from
 *     what is sent again, what keeps an HTTP/1.0 connection, and a field in the head of an answer;
 *   - when all have gone, the relay has no client, no connection but idle ones, and no more descriptors than at first.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/exchange.h"
#include "tools/relay/link.h"
#include "tools/relay/upstream.h"

#define MUST(condition) ((condition) ? (void)0 : abort())
#define INPUT_MAX 4096
/* The shortest head that gets a field, and that. */
#define LEAST_HEAD (sizeof("HTTP/1.1 204\r\nDate:\r\n\r\n") - 1)
#define FIELD (sizeof("Connection: close\r\n") - 1)
#define N_PROGRAMS 3
#define N_CONNECTIONS 32
/* Rounds without an end mean that the relay turns in circles. */
#define MAX_ROUNDS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum operation {
	PROGRAM_SENDS,
	PROGRAM_ENDS,
	PROGRAM_HALF_ENDS,
	PROGRAM_RESETS,
	SERVER_SENDS,
	SERVER_ENDS,
	SERVER_RESETS
};

static int front = -1, server = -1; /* listeners: where programs connect, and where the relay does */
static struct destination_key key;
static int programs[N_PROGRAMS], connections[N_CONNECTIONS];
static unsigned n_connections;
static size_t sent, received;

/* On a loopback address that no listener of ours has had: no connection of ours is in TIME_WAIT there. */
static int listen_on(struct sockaddr_in *address)
{
	static uint32_t next = INADDR_LOOPBACK;
	static const struct linger abrupt = {1, 0};
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(next++)};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
	MUST(bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, 64) == 0);
	MUST(getsockname(fd, (struct sockaddr *)address, &length) == 0);
	return fd;
}

static void begin(void)
{
	struct sockaddr_in address;

	setenv("HOLDLINE_STATS", "off", 1);
	setenv("HOLDLINE_POOL", "local", 1);
	setenv("HOLDLINE_PIPELINE", "4", 1);
	setenv("HOLDLINE_MAX_CONNS_PER_HOST", "2", 1);
	MUST(relay_core_begin("fuzz", upstream_close_fd) == 0 && link_begin() == 0);
	front = listen_on(&address);
	server = listen_on(&address);
	MUST(fcntl(server, F_SETFL, O_NONBLOCK) == 0);
	key.netns_cookie = relay_core.netns_cookie;
	key.euid = relay_own_user();
	MUST(destination_key_set_peer(&key, (struct sockaddr *)&address, sizeof(address)) == 0);
}

static void reset(int fd)
{
	static const struct linger abrupt = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
	close(fd);
}

/* Reads all that has come. */
static size_t drain(int fd)
{
	static char bytes[65536];
	size_t sum = 0;
	ssize_t n;

	while (fd >= 0 && (n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}

static void accept_all(void)
{
	int fd;

	while (n_connections < N_CONNECTIONS && (fd = accept4(server, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		connections[n_connections++] = fd;
}

static void let_relay_work(void)
{
	unsigned rounds = 0;

	do {
		MUST(rounds++ < MAX_ROUNDS);
		exchange_serve_queue();
		accept_all();
		for (unsigned i = 0; i < N_PROGRAMS; i++)
			received += drain(programs[i]);
		for (unsigned i = 0; i < n_connections; i++)
			drain(connections[i]);
	} while (link_wait(0) > 0);
	MUST(received <= sent + sent / LEAST_HEAD * FIELD);
}

static int connect_program(void)
{
	struct connection_ends ends = {0};
	socklen_t length = sizeof(ends.ours);
	int program = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ours;
	struct client *client;

	MUST(getsockname(front, (struct sockaddr *)&ends.ours, &length) == 0);
	/* All ports may be in TIME_WAIT towards that address. */
	if (connect(program, (struct sockaddr *)&ends.ours, length) < 0) {
		close(program);
		close(front);
		front = listen_on((struct sockaddr_in *)&ends.ours);
		program = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		MUST(connect(program, (struct sockaddr *)&ends.ours, length) == 0);
	}
	length = sizeof(ends.program);
	ours = accept4(front, (struct sockaddr *)&ends.program, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	MUST(ours >= 0);
	client = client_expect(&key, &ends, NULL);
	MUST(client);
	client_accept(client, ours);
	return program;
}

static void program_step(enum operation operation, int *program, const char *bytes, size_t length)
{
	if (*program < 0)
		*program = connect_program();
	if (operation == PROGRAM_SENDS)
		(void)!send(*program, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (operation == PROGRAM_HALF_ENDS)
		shutdown(*program, SHUT_WR);
	else {
		received += drain(*program);
		(operation == PROGRAM_RESETS ? reset : (void (*)(int))close)(*program);
		*program = -1;
	}
}

static void server_step(enum operation operation, unsigned which, const char *bytes, size_t length)
{
	int *connection = &connections[which];

	if (operation == SERVER_SENDS) {
		ssize_t n = send(*connection, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		sent += n > 0 ? (size_t)n : 0;
		return;
	}
	if (operation == SERVER_RESETS)
		reset(*connection);
	else
		close(*connection);
	*connection = connections[--n_connections];
}

static void walk(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 2 <= size;) {
		enum operation operation = data[at] % 7;
		unsigned which = data[at] / 7;
		size_t length = data[at + 1];

		at += 2;
		if (operation != PROGRAM_SENDS && operation != SERVER_SENDS)
			length = 0;
		if (length > size - at)
			length = size - at;
		if (operation <= PROGRAM_RESETS)
			program_step(operation, &programs[which % N_PROGRAMS], (const char *)data + at, length);
		else if (n_connections)
			server_step(operation, n_connections - 1 - which % n_connections, (const char *)data + at,
				    length);
		at += length;
		let_relay_work();
	}
}

static unsigned count_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned n_at_first;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (front < 0)
		begin();
	sent = received = 0;
	for (unsigned i = 0; i < N_PROGRAMS; i++)
		programs[i] = -1;
	walk(data, size);
	for (unsigned i = 0; i < N_PROGRAMS; i++)
		if (programs[i] >= 0)
			reset(programs[i]);
	memset(programs, -1, sizeof(programs));
	/* Whoever waits for a connection gets one, and its end. */
	for (unsigned round = 0; round < MAX_ROUNDS && client_is_any(); round++) {
		let_relay_work();
		while (n_connections)
			reset(connections[--n_connections]);
	}
	MUST(!client_is_any());
	let_relay_work();
	while (n_connections)
		reset(connections[--n_connections]);
	let_relay_work();
	MUST(relay_core.pool.n_idle == 0);
	if (!n_at_first)
		n_at_first = count_descriptors();
	/* Netlink's comes later, and the fuzzer has some files of its own. */
	MUST(count_descriptors() <= n_at_first + 8);
	return 0;
}
