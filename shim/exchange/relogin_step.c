/* What comes and goes during a login that is carried over; see relogin.h. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/exchange/relogin_private.h"
#include "shim/kept/pool.h"
#include "shim/sock/sock.h"

#define FIRST_OK 0x00
#define FIRST_ERROR 0xff
#define ERROR_ACCESS_DENIED 1045
#define NUMBER 3 /* where a packet's stands */

static bool send_whole(const struct relogin *relogin, int fd, const uint8_t *bytes, size_t length)
{
	ssize_t n = length ? real.send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;

	if (n > 0 && relogin->sock->conn)
		relogin->sock->conn->ledger.sent += (size_t)n;
	return n > 0 && (size_t)n == length;
}

static void take(const struct relogin *relogin, int fd, size_t length)
{
	uint8_t bytes[RELOGIN_PACKET_MAX];
	ssize_t n = length ? real.recv(fd, bytes, length, MSG_DONTWAIT) : 0;

	if (n > 0 && relogin->sock->conn)
		relogin->sock->conn->ledger.received += (size_t)n;
}

/* The server's packet, as far as it is here: what is held, then what the kernel has. */
struct arrived {
	uint8_t bytes[RELOGIN_PACKET_MAX];
	size_t length;
	size_t n_kernel;
};

/* The rest will come: what is here is taken out, so that waiting waits. */
static enum relogin_step hold(struct relogin *relogin, int fd, const struct arrived *arrived)
{
	if (arrived->length == sizeof(arrived->bytes))
		return RELOGIN_ENDED;
	memcpy(relogin->held, arrived->bytes, arrived->length);
	relogin->n_held = (uint16_t)arrived->length;
	relogin->has_woken = true;
	take(relogin, fd, arrived->n_kernel);
	return RELOGIN_AGAIN;
}

/* For the first `length` bytes that have arrived the program reads what is in `shown`. */
static enum relogin_step show(struct relogin *relogin, const struct arrived *arrived, size_t length, size_t n_shown,
			      enum relogin_phase next)
{
	relogin->n_shown = (uint16_t)n_shown;
	relogin->shown_at = 0;
	relogin->n_kernel = (uint16_t)(length - (arrived->length - arrived->n_kernel));
	relogin->n_held = 0;
	relogin->has_woken = false;
	relogin->next = next;
	return RELOGIN_SHOWN;
}

/* The bytes behind it are for the program. */
static enum relogin_step pass_fence(struct relogin *relogin, int fd, const struct arrived *arrived, size_t length)
{
	take(relogin, fd, length - (arrived->length - arrived->n_kernel));
	relogin->n_held = 0;
	relogin->is_behind = false;
	relogin->has_woken = true;
	return RELOGIN_AGAIN;
}

static enum relogin_step take_fence(struct relogin *relogin, int fd, const struct arrived *arrived)
{
	const struct login *login = relogin->sock->conn->login;
	size_t length;

	switch (mysql_read_answer(&relogin->fence, arrived->bytes, arrived->length, &length)) {
	case MYSQL_ANSWER_PARTIAL:
		return hold(relogin, fd, arrived);
	case MYSQL_ANSWER_GOOD:
		if (relogin->is_behind)
			return pass_fence(relogin, fd, arrived, length);
		relogin->was_wrong = length != arrived->length;
		if (relogin->was_wrong)
			return RELOGIN_ENDED;
		memcpy(relogin->shown, login->greeting, login->greeting_length);
		return show(relogin, arrived, length, login->greeting_length, RELOGIN_RESPONSE);
	case MYSQL_ANSWER_WRONG:
		relogin->was_wrong = true;
		break;
	case MYSQL_ANSWER_NEVER:
		relogin->sock->conn->destination->lacks_reset = true;
		break;
	}
	return RELOGIN_ENDED;
}

/* A packet of the server's as it is, but for its number. */
static enum relogin_step show_packet(struct relogin *relogin, const struct arrived *arrived, size_t length,
				     enum relogin_phase next)
{
	memcpy(relogin->shown, arrived->bytes, length);
	relogin->shown[NUMBER] = relogin->to_program++;
	relogin->to_server = (uint8_t)(arrived->bytes[NUMBER] + 1);
	return show(relogin, arrived, length, length, next);
}

/* It is asked for the scramble that the program has given, and gets it. */
static enum relogin_step answer_switch(struct relogin *relogin, int fd, const struct arrived *arrived, size_t length)
{
	uint8_t answer[MYSQL_HEAD + MYSQL_SCRAMBLE];
	uint8_t number = (uint8_t)(arrived->bytes[NUMBER] + 1);
	size_t n = mysql_write_answer(relogin->scramble, number, answer, sizeof(answer));

	take(relogin, fd, length - (arrived->length - arrived->n_kernel));
	relogin->n_held = 0;
	relogin->has_woken = relogin->was_asked = true;
	if (!relogin->is_ahead && !send_whole(relogin, fd, answer, n))
		return RELOGIN_ENDED;
	return RELOGIN_AGAIN;
}

/* It has judged the scramble of somebody whom it has let in so before: a fresh connection would hear the same, and
 * count as one more wrong password. */
static bool has_judged(const struct relogin *relogin, const struct arrived *arrived)
{
	const uint8_t *number = arrived->bytes + MYSQL_HEAD + 1;

	return relogin->is_ahead && relogin->was_asked && arrived->length > MYSQL_HEAD + 2 &&
	       (number[0] | number[1] << 8) == ERROR_ACCESS_DENIED;
}

static enum relogin_step take_reply(struct relogin *relogin, int fd, const struct arrived *arrived)
{
	size_t length = mysql_packet_length(arrived->bytes, arrived->length);
	unsigned first = arrived->length > MYSQL_HEAD ? arrived->bytes[MYSQL_HEAD] : FIRST_ERROR;

	if (!length)
		return hold(relogin, fd, arrived);
	if (!relogin->is_fresh && mysql_asks_for_same(arrived->bytes, length, &relogin->greeting))
		return answer_switch(relogin, fd, arrived, length);
	/* What was sent ahead has been taken for something else. */
	if (first == FIRST_OK && relogin->is_ahead && !relogin->was_asked)
		return RELOGIN_ENDED;
	if (first == FIRST_OK)
		return show_packet(relogin, arrived, length, RELOGIN_DONE);
	/* A fresh connection may know better. */
	if (first == FIRST_ERROR && relogin_can_begin_anew(relogin) && !has_judged(relogin, arrived))
		return RELOGIN_ENDED;
	/* The scramble was taken for the answer to something else. */
	if (first != FIRST_ERROR && relogin->is_ahead)
		return RELOGIN_ENDED;
	relogin->has_shown = true;
	return show_packet(relogin, arrived, length, first == FIRST_ERROR ? RELOGIN_FAILED : RELOGIN_TALK);
}

static enum relogin_step take_fresh(struct relogin *relogin, int fd, const struct arrived *arrived)
{
	size_t length = mysql_packet_length(arrived->bytes, arrived->length), n;

	if (!length)
		return hold(relogin, fd, arrived);
	relogin->has_shown = true;
	if (arrived->bytes[MYSQL_HEAD] == FIRST_ERROR)
		return show_packet(relogin, arrived, length, RELOGIN_FAILED);
	if (length > sizeof(relogin->fresh_packet) || !mysql_read_greeting(arrived->bytes, length, &relogin->fresh))
		return RELOGIN_ENDED;
	/* The program has answered what another kind of server is able to. */
	if (relogin->fresh.capabilities != relogin->greeting.capabilities ||
	    relogin->fresh.extended != relogin->greeting.extended)
		return RELOGIN_ENDED;
	memcpy(relogin->fresh_packet, arrived->bytes, length);
	relogin->n_fresh = (uint16_t)length;
	n = mysql_write_switch(&relogin->fresh, relogin->to_program++, relogin->shown, sizeof(relogin->shown));
	return show(relogin, arrived, length, n, RELOGIN_SWITCHED);
}

static bool receive(const struct relogin *relogin, int fd, struct arrived *arrived, enum relogin_step *step)
{
	ssize_t n;

	memcpy(arrived->bytes, relogin->held, relogin->n_held);
	n = real.recv(fd, arrived->bytes + relogin->n_held, sizeof(arrived->bytes) - relogin->n_held,
		      MSG_PEEK | MSG_DONTWAIT);
	*step = n < 0 && (errno == EAGAIN || errno == EINTR) ? RELOGIN_WAIT : RELOGIN_ENDED;
	arrived->n_kernel = n > 0 ? (size_t)n : 0;
	arrived->length = relogin->n_held + arrived->n_kernel;
	return n > 0;
}

static bool has_whole(const uint8_t *bytes, size_t length)
{
	return mysql_packet_length(bytes, length) > 0;
}

static bool has_hung_up(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLRDHUP};

	return REAL(poll)(&entry, 1, 0) > 0;
}

static enum relogin_step look_once(struct relogin *relogin, int fd)
{
	enum relogin_step step;
	struct arrived arrived;

	if (relogin_n_unread(relogin))
		return RELOGIN_SHOWN;
	if (!relogin->sock->conn)
		return RELOGIN_ENDED;
	if (relogin->phase == RELOGIN_FRESH && !has_whole(relogin->response, relogin->n_response))
		return has_hung_up(fd) ? RELOGIN_ENDED : RELOGIN_PAUSE;
	if (!receive(relogin, fd, &arrived, &step))
		return step;
	if (relogin->is_behind)
		return take_fence(relogin, fd, &arrived);
	switch (relogin->phase) {
	case RELOGIN_FENCE:
		return take_fence(relogin, fd, &arrived);
	case RELOGIN_TALK:
		return take_reply(relogin, fd, &arrived);
	case RELOGIN_FRESH:
		return take_fresh(relogin, fd, &arrived);
	case RELOGIN_RESPONSE: /* it has not been asked for anything */
	case RELOGIN_SWITCHED:
	case RELOGIN_DONE:
	case RELOGIN_FAILED:
		break;
	}
	return RELOGIN_ENDED;
}

/* Whoever waits for an edge (EPOLLET) is not told again of what has come already. */
enum relogin_step relogin_look(struct relogin *relogin, int fd)
{
	enum relogin_step step;

	do
		step = look_once(relogin, fd);
	while (step == RELOGIN_AGAIN);
	return step;
}

bool relogin_show_ahead(struct relogin *relogin)
{
	const struct login *login = relogin->sock->conn ? relogin->sock->conn->login : NULL;

	if (relogin->phase != RELOGIN_FENCE || relogin->is_behind || !login)
		return false;
	memcpy(relogin->shown, login->greeting, login->greeting_length);
	relogin->n_shown = login->greeting_length;
	relogin->shown_at = relogin->n_kernel = 0;
	relogin->has_woken = false;
	relogin->is_behind = true;
	relogin->next = RELOGIN_RESPONSE;
	return true;
}

void relogin_end_shown(struct relogin *relogin, int fd)
{
	take(relogin, fd, relogin->n_kernel);
	relogin->n_shown = relogin->shown_at = relogin->n_kernel = 0;
	relogin->has_greeted = true;
	relogin->phase = relogin->next;
}

bool relogin_can_begin_anew(const struct relogin *relogin)
{
	if (relogin->has_shown || relogin->is_fresh)
		return false;
	/* Its answer has still to come, or is one that can be had again. */
	return relogin->phase == RELOGIN_RESPONSE || relogin->scramble.at;
}

/* Those whose logins were seen to need no other answer. */
static bool is_known_user(const struct relogin *relogin)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	bool is_known = pool && login_habits_know_user(&relogin->sock->conn->destination->logins, relogin->user);

	if (pool)
		pool_leave();
	return is_known;
}

bool relogin_submit(struct relogin *relogin, int fd)
{
	uint8_t bytes[RELOGIN_RESPONSE_MAX + RELOGIN_PACKET_MAX];
	struct mysql_response response;
	bool is_sent;
	size_t n;

	relogin->to_program = (uint8_t)(relogin->response[NUMBER] + 1);
	if (!mysql_read_response(relogin->response, relogin->n_response, &response) ||
	    !mysql_response_is_native(&response) || !relogin->sock->conn)
		return false;
	relogin->scramble = response.scramble;
	relogin->user = mysql_user_number(&response);
	if (relogin->phase != RELOGIN_RESPONSE || !login_is_alike(&response.login, relogin->sock->conn->login))
		return false;
	n = mysql_write_change_user(&response, bytes, sizeof(bytes));
	relogin->is_ahead = n && is_known_user(relogin);
	if (relogin->is_ahead)
		n += mysql_write_answer(response.scramble, 2, bytes + n, sizeof(bytes) - n);
	relogin->phase = RELOGIN_TALK;
	is_sent = send_whole(relogin, fd, bytes, n);
	explicit_bzero(bytes, sizeof(bytes));
	return is_sent;
}

/* The program has been asked for the scramble of a fresh connection's salt. */
static bool submit_fresh(struct relogin *relogin, int fd, struct mysql_bytes scramble)
{
	uint8_t bytes[RELOGIN_RESPONSE_MAX + RELOGIN_PACKET_MAX];
	struct mysql_response response;
	bool is_sent;

	if (!mysql_read_response(relogin->response, relogin->n_response, &response) || scramble.length > UINT8_MAX / 2)
		return false;
	is_sent = send_whole(relogin, fd, bytes, mysql_write_response(&response, scramble, bytes, sizeof(bytes)));
	explicit_bzero(bytes, sizeof(bytes));
	return is_sent;
}

bool relogin_forward(struct relogin *relogin, int fd)
{
	struct mysql_bytes payload = {relogin->answer + MYSQL_HEAD, (size_t)relogin->n_answer - MYSQL_HEAD};
	bool is_sent;

	relogin->to_program = (uint8_t)(relogin->answer[NUMBER] + 1);
	if (relogin->phase == RELOGIN_SWITCHED) {
		relogin->phase = RELOGIN_TALK;
		is_sent = submit_fresh(relogin, fd, payload);
	} else {
		relogin->answer[NUMBER] = relogin->to_server;
		is_sent = relogin->phase == RELOGIN_TALK && send_whole(relogin, fd, relogin->answer, relogin->n_answer);
	}
	relogin->n_answer = 0;
	return is_sent;
}
