/* See sharing.h. */
#include "tools/relay/sharing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/borrow.h"
#include "pool/proto/protocol.h"
#include "pool/share/board_view.h"
#include "pool/share/client.h"
#include "tools/broker/path.h"
#include "tools/relay/core.h"

/* How long a broker that was no use is left alone. */
#define DOWN_NS (10 * SECOND_NS)
#define LOOK_AGAIN_NS SECOND_NS
/* Within that the broker gives ports back; and how often it is asked to. */
#define RELIEF_MS 2
#define RELIEF_EVERY_NS (20 * MILLISECOND_NS)

static struct slots_entry entries[SLOTS_PER_REGION];
static struct broker_client client; /* without memory to share until the broker's welcome */
static struct broker_board_view board;
static uint64_t next_look_ns;
static uint64_t down_until_ns; /* UINT64_MAX: for good */
static const char *name;

void sharing_begin(const char *program)
{
	name = program;
	broker_client_init(&client, relay_core.pool.sys, entries);
	if (relay_core.config.broker_path[0] && relay_core.config.pool == CONFIG_POOL_SHARED)
		relay_core.pool.broker = &client;
}

static bool is_shared(const struct destination *destination)
{
	return relay_core.pool.broker && !destination->policy->max_conns_per_host;
}

static void mark_down(void)
{
	if (down_until_ns != UINT64_MAX)
		down_until_ns = relay_now_ns() + DOWN_NS;
}

/* The broker is no use. */
static void disconnect(void)
{
	int fd = client.fd;

	mark_down();
	if (fd < 0)
		return;
	idle_pool_disconnect(&relay_core.pool);
	close(fd);
}

/* `first`: what is asked with the first words; NULL: nothing. */
static void introduce(const struct destination_key *first)
{
	int fd;

	if (!relay_core.pool.broker || client.fd >= 0 || relay_now_ns() < down_until_ns)
		return;
	fd = broker_path_connect(relay_core.config.broker_path);
	if (fd >= 0 && broker_client_trusts(client.sys, fd, relay_own_user()) &&
	    broker_client_introduce(&client, fd, &relay_core.config, name,
				    broker_client_program_number(name, strlen(name)), first) == 0)
		return;
	if (fd >= 0)
		close(fd);
	mark_down();
}

void sharing_introduce(void)
{
	introduce(NULL);
}

static bool establish(const struct destination_key *first)
{
	int fd, error;

	introduce(first);
	fd = client.fd;
	if (fd < 0 || client.slots.region)
		return fd >= 0;
	error = broker_client_await_welcome(&client, BROKER_PATIENCE_MS);
	if (!error)
		return true;
	close(fd);
	mark_down();
	if (error == -EPROTONOSUPPORT)
		down_until_ns = UINT64_MAX;
	return false;
}

/* Skips hopeless questions: what nobody else holds cannot be had. */
static bool is_worth_asking(const struct destination *destination)
{
	uint64_t now_ns = relay_now_ns();
	uint32_t n_held;

	if (!is_shared(destination) || (client.fd < 0 && now_ns < down_until_ns))
		return false;
	if (now_ns >= next_look_ns) {
		next_look_ns = now_ns + LOOK_AGAIN_NS;
		broker_board_view_look(&board, client.sys, relay_core.config.broker_path, relay_own_user());
	}
	n_held = broker_board_view_n_held(&board, &destination->key);
	return n_held && n_held > slots_n_held(&client.slots, destination, false);
}

struct conn *sharing_take(const struct destination *destination)
{
	struct conn *conn;
	int answer, fd;

	if (!is_worth_asking(destination) || !establish(&destination->key))
		return NULL;
	conn = borrow_prepare(&relay_core.pool, &destination->key, relay_now_ns());
	if (!conn) {
		/* Nobody waits for what comes of a question that was asked already. */
		if (client.is_asked)
			disconnect();
		return NULL;
	}
	answer = broker_client_lease(&client, conn, habit_looks_often(&destination->looks, RELAY_WHO), &fd);
	if (answer < 0 && answer != -EMFILE)
		disconnect();
	conn = borrow_conclude(&relay_core.pool, conn, answer, fd);
	/* Of a program with the library, which speaks something else there. */
	if (conn && conn->protocol != PROTOCOL_HTTP1) {
		idle_pool_end(&relay_core.pool, conn);
		conn = NULL;
	}
	return conn;
}

void sharing_offer(struct conn *conn)
{
	int error;

	if (!is_shared(conn->destination) || conn->slot >= 0 || !establish(NULL))
		return;
	error = broker_client_offer(&client, conn, conn->began_unfit);
	/* It has gone: another one may have come. */
	if (error && error != -EAGAIN)
		disconnect();
}

void sharing_note_look(const struct destination *destination)
{
	if (is_shared(destination))
		broker_client_looked(&client, &destination->key);
}

void sharing_relieve(const struct destination_key *key)
{
	static uint64_t next_ns;
	uint64_t now_ns = relay_now_ns();

	if (!relay_core.pool.broker || now_ns < next_ns || !establish(NULL))
		return;
	next_ns = now_ns + RELIEF_EVERY_NS;
	broker_client_relieve(&client, key, false);
	poll(NULL, 0, RELIEF_MS);
}

/* What was on its way when it was parked may have arrived. */
static void offer_the_rest(void)
{
	struct conn *conn, *next;

	for (conn = relay_core.pool.oldest; conn; conn = next) {
		next = conn->age_next;
		if (conn->slot >= 0 || ledger_check(client.sys, conn->fd, &conn->ledger, NULL) != LEDGER_EXACT)
			continue;
		sharing_offer(conn);
		/* Together with the broker any of them may have gone. */
		if (client.fd < 0)
			return;
	}
}

void sharing_end(void)
{
	offer_the_rest();
	idle_pool_let_go(&relay_core.pool);
}
