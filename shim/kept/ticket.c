/* See ticket.h. */
#include "shim/kept/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/share/wire.h"
#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/real.h"
#include "shim/kept/shared.h"

#define NO_TICKET ((struct ticket){.fd = -1})

bool ticket_ask(struct ticket *ticket, const struct destination_key *key, uint32_t max_conns, bool is_forced,
		int patience_ms)
{
	*ticket = NO_TICKET;
	ticket->conn = shared_ask_ticket(key, max_conns, is_forced, patience_ms, &ticket->fd);
	return ticket->conn;
}

struct ticket_answer ticket_read(struct ticket *ticket)
{
	struct ticket_answer answer;

	answer.kind = shared_read_ticket(ticket->fd, &ticket->number, &answer.fd);
	return answer;
}

static struct ticket_answer await(struct ticket *ticket, struct deadline deadline)
{
	struct pollfd entry = {.fd = ticket->fd, .events = POLLIN};
	struct ticket_answer answer = ticket_read(ticket);

	while (answer.kind == -EAGAIN) {
		int left_ms = deadline_left_ms(deadline, guard_now_ns());

		if (!left_ms)
			return (struct ticket_answer){-ETIMEDOUT, -1};
		/* After a signal it goes on, as a connect() that is restarted. */
		if (REAL(poll)(&entry, 1, left_ms) < 0 && errno != EINTR)
			return (struct ticket_answer){-errno, -1};
		answer = ticket_read(ticket);
	}
	return answer;
}

struct ticket_answer ticket_await(struct ticket *ticket, int patience_ms)
{
	return await(ticket, deadline_after(guard_now_ns(), (uint64_t)patience_ms * MILLISECOND_NS));
}

/* Unlike poll(), a receive is restarted or interrupted by the same signals as the connect() that it stands for. */
static struct ticket_answer await_by_receiving(struct ticket *ticket)
{
	struct ticket_answer answer = {-ECONNRESET, -1};
	char byte;

	do {
		if (real.recv(ticket->fd, &byte, sizeof(byte), MSG_PEEK) < 0) {
			answer.kind = errno == EINTR ? -EINTR : -ECONNRESET;
			break;
		}
		answer = ticket_read(ticket);
	} while (answer.kind == -EAGAIN || answer.kind == BROKER_QUEUED);
	return answer;
}

struct ticket_answer ticket_await_turn(struct ticket *ticket, uint64_t timeout_ns)
{
	struct deadline deadline = deadline_after(guard_now_ns(), timeout_ns);
	struct ticket_answer answer;

	/* Without O_NONBLOCK. */
	if (!timeout_ns && real.fcntl(ticket->fd, F_SETFL, O_RDWR) == 0)
		return await_by_receiving(ticket);
	do
		answer = await(ticket, deadline);
	while (answer.kind == BROKER_QUEUED);
	return answer;
}

struct conn *ticket_conclude(struct ticket *ticket, struct ticket_answer answer)
{
	struct conn *conn = ticket->conn;

	ticket->conn = NULL;
	if (conn)
		return shared_conclude(conn, answer.fd);
	ticket_refuse(answer);
	return NULL;
}

void ticket_refuse(struct ticket_answer answer)
{
	shared_refuse(answer.fd);
}

void ticket_give_back(struct ticket *ticket)
{
	if (ticket->conn)
		shared_give_up(ticket->conn);
	/* A child may have inherited the descriptor: shut it down, so that the broker sees the end all the same. */
	if (ticket->fd >= 0) {
		real.shutdown(ticket->fd, SHUT_RDWR);
		fdtable_close_internal(ticket->fd);
	}
	*ticket = NO_TICKET;
}
