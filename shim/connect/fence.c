/* See fence.h. */
#include "shim/connect/fence.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/config/config.h"
#include "pool/conn/conn.h"
#include "pool/conn/destination.h"
#include "pool/proto/protocol.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/kept/pool.h"
#include "shim/sock/options.h"

/* So many wrong answers in a row, and the server is taken for one without RESET (a proxy may just close). */
#define FAILURES_MAX 3
/* A server that is busy would let the program's command wait as long. */
#define SHORTEST_WAIT_NS (20 * MILLISECOND_NS)
#define LONGEST_WAIT_NS SECOND_NS
/* By a program that does not block. */
#define UNNOTICED_NS (200 * MICROSECOND_NS)
#define WAITS_MAX 4 /* where signals interrupt it */

#define ANSWER_MAX 512
#define READS_MAX 16

/* Nobody on the other side can guess it: from the random bytes that the kernel gives each program (getauxval(3)). */
static uint64_t make_nonce(const struct conn *conn)
{
	static _Atomic(uint64_t) n_made;
	const void *place = (const void *)getauxval(AT_RANDOM);
	uint64_t random[2] = {0}, nonce;

	if (place)
		memcpy(random, place, sizeof(random));
	nonce = (random[0] ^ conn->cookie ^ guard_clock_ns() ^ ++n_made << 48) * UINT64_C(0x9e3779b97f4a7c15);
	return (random[1] ^ nonce ^ nonce >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static bool send_command(struct conn *conn)
{
	char command[PROTOCOL_RESET_MAX];
	size_t length = protocols[conn->protocol]->write_fence(&conn->fence, command);
	ssize_t n;

	/* Behind a command that has no answer it would wait for the acknowledgement, which has time (Nagle's algorithm
	 * and delayed acknowledgements: 40 ms). */
	if (options_send_at_once(conn, conn->fd))
		return false;
	n = real.send(conn->fd, command, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		conn->ledger.sent += (size_t)n;
	return n == (ssize_t)length;
}

bool fence_send_reset(struct conn *conn, const struct protocol_state *state)
{
	int saved = errno;
	bool is_sent;

	protocol_of(state)->reset(state, make_nonce(conn), &conn->fence);
	is_sent = send_command(conn);
	errno = saved;
	return is_sent;
}

static void note_outcome(struct conn *conn, enum fence_proof proof)
{
	struct destination *destination = conn->destination;

	if (!pool_enter(guard_now_ns()))
		return;
	switch (proof) {
	case FENCE_PROOF_GOOD:
		destination->n_fences_failed = 0;
		conn->fences_proven |= fence_kind(&conn->fence);
		break;
	case FENCE_PROOF_WRONG:
		destination->lacks_reset |= conn->fence.is_plain && ++destination->n_fences_failed >= FAILURES_MAX;
		break;
	case FENCE_PROOF_NEVER:
		destination->lacks_reset = true;
		break;
	}
	pool_leave();
}

/* Some of what has come of the answer, at most so much. False: something else, or the end. */
static bool read_answer(struct conn *conn, int fd, size_t most, bool *is_empty)
{
	char answer[ANSWER_MAX]; /* also of a wrong one, which may say why */
	ssize_t n = real.recv(fd, answer, most < sizeof(answer) ? most : sizeof(answer), MSG_DONTWAIT);
	enum fence_proof proof = FENCE_PROOF_WRONG;

	*is_empty = n < 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	conn->ledger.received += (size_t)n;
	if (n > 0)
		proof = protocols[conn->protocol]->prove(&conn->fence, answer, (size_t)n);
	if (proof != FENCE_PROOF_GOOD || !fence_n_awaited(&conn->fence))
		note_outcome(conn, proof);
	return proof == FENCE_PROOF_GOOD;
}

/* Takes out what has come of the answer: FENCE_GOOD, FENCE_AWAITED or FENCE_WRONG. `is_last`: nothing may be behind
 * it. */
static enum fence_result take_answer(struct conn *conn, int fd, bool is_last)
{
	bool is_empty = false;

	/* A server that never ends its answer is not to keep us here; one of known length ends by itself. */
	for (int i = 0; (i < READS_MAX || !is_last) && !is_empty && fence_n_awaited(&conn->fence); i++)
		if (!read_answer(conn, fd, is_last ? ANSWER_MAX : fence_n_awaited(&conn->fence), &is_empty))
			return FENCE_WRONG;
	if (fence_n_awaited(&conn->fence))
		return FENCE_AWAITED;
	conn->fence = (struct fence){0};
	return FENCE_GOOD;
}

static enum fence_result look(struct conn *conn)
{
	struct ledger_reading reading;
	enum fence_result result = take_answer(conn, conn->fd, true);

	if (result != FENCE_GOOD)
		return result;
	if (ledger_check(&sock_pool_sys, conn->fd, &conn->ledger, &reading) != LEDGER_EXACT)
		return FENCE_GONE;
	return reading.last_data_ms <= FENCE_YOUNG_MS ? FENCE_GOOD : FENCE_COLD;
}

enum fence_result fence_look(struct conn *conn)
{
	int saved = errno;
	enum fence_result result = look(conn);

	errno = saved;
	return result;
}

enum fence_result fence_take_answer(struct conn *conn, int fd)
{
	return take_answer(conn, fd, false);
}

bool fence_may_be_ahead(const struct conn *conn, uintptr_t caller, uint64_t now_ns)
{
	return conn->fenced_by == caller && protocols[conn->protocol]->knows_each_reply &&
	       fence_has_known_length(&conn->fence) && (conn->fences_proven & fence_kind(&conn->fence)) &&
	       now_ns - conn->idle_since_ns < fence_patience_ns(conn, true);
}

_Atomic(bool) fence_was_ahead;

bool fence_ask(struct conn *conn)
{
	int saved = errno;
	bool is_sent;

	if (conn->destination->lacks_reset)
		return false;
	protocols[conn->protocol]->validate(make_nonce(conn), &conn->fence);
	is_sent = send_command(conn);
	errno = saved;
	return is_sent;
}

uint64_t fence_patience_ns(const struct conn *conn, bool blocks)
{
	struct ledger_reading reading = {0};
	uint64_t round_trip_ns, longest_ns;

	if (ledger_check(&sock_pool_sys, conn->fd, &conn->ledger, &reading) == LEDGER_UNKNOWN)
		return 0;
	round_trip_ns = reading.rtt_us * MICROSECOND_NS;
	if (!blocks)
		return round_trip_ns <= UNNOTICED_NS ? UNNOTICED_NS : 0;
	longest_ns = SHORTEST_WAIT_NS + 2 * round_trip_ns;
	return longest_ns < LONGEST_WAIT_NS ? longest_ns : LONGEST_WAIT_NS;
}

void fence_wait(int fd, uint64_t longest_ns)
{
	struct timespec longest = {(time_t)(longest_ns / SECOND_NS), (long)(longest_ns % SECOND_NS)};
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < WAITS_MAX && REAL(ppoll)(&entry, 1, &longest, NULL) < 0 && errno == EINTR; i++)
		;
}
