/* The connections that the broker holds: who owns them, who gets them, when they end. See broker.h. */
#include <string.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "pool/broker/private.h"
#include "pool/conn/ending.h"
#include "pool/conn/idle_timeout.h"
#include "pool/conn/ledger.h"
#include "pool/conn/login_memory.h"
#include "pool/tls/farewell.h"
#include "pool/tls/state.h"

void held_salt_key(const struct broker_process *process, uint64_t session, struct destination_key *key)
{
	key->netns_cookie ^= session;
	if (process->is_private)
		key->netns_cookie ^= (uint64_t)process->number << 32;
}

/* The owner's slot now belongs to another connection. */
static void detach(struct held *held)
{
	if (!held->owner)
		return;
	atomic_store(&held->owner->region->is_held[held->slot], 0);
	held->owner->held[held->slot] = NULL;
	held->owner = NULL;
}

/* Closes our duplicate; a process that uses the connection keeps its own descriptor. */
void held_forget(struct broker *broker, struct held *held)
{
	detach(held);
	shelved_remove(broker, held);
	broker->sys->close(held->fd);
	held->fd = -1;
	if (held->session >= 0) {
		broker->sys->close(held->session);
		broker->n_sessions--;
	}
	DL_DELETE2(held->destination->held, held, destination_prev, destination_next);
	DL_DELETE2(broker->oldest, held, age_prev, age_next);
	held->destination->n_held--;
	broker_board_count(&broker->counts, &held->destination->base.key, -1);
	broker->n_held--;
	arena_put(&broker->held_arena, held);
}

/* Its contents are not looked at, but for the farewell. */
static void take_farewell(const struct broker *broker, const struct held *held, struct pool_farewell *farewell)
{
	struct tls_state *state;

	farewell->length = 0;
	if (held->session < 0)
		return;
	state = broker->sys->map_shared(held->session, TLS_STATE_SIZE);
	if (!state)
		return;
	if (!login_memory_farewell(state, farewell) && !tls_farewell_take(state, farewell))
		farewell->length = 0;
	broker->sys->unmap(state, TLS_STATE_SIZE);
}

/* Ends a connection that the broker owns. */
static void end(struct broker *broker, struct held *held)
{
	struct pool_farewell farewell;

	take_farewell(broker, held, &farewell);
	ending_make(broker->sys, held->fd, &held->contents.ledger, held->may_have_holders, &farewell);
	held_forget(broker, held);
}

/* Queued bytes go out, then FIN. The process's SO_LINGER would make our own close() wait for that. */
void held_hang_up(struct broker *broker, const struct held *held)
{
	static const struct linger none;

	broker->sys->setsockopt(held->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (held->may_have_holders)
		broker->sys->shutdown(held->fd, SHUT_RDWR);
}

/* Takes an idle connection from its process. False if it is in use, or the broker has no claim to it. */
static bool take(struct broker *broker, struct held *held)
{
	uint64_t program;

	if (!held->owner)
		return held->place < 0 || shelved_take(broker, held);
	program = held->owner->program;
	if (!slots_take(held->owner->region, held->slot, held->generation, &held->contents))
		return false;
	detach(held);
	held->may_have_holders = true;
	/* A request was carried since this process got it. */
	if (held->contents.n_requests > held->n_requests_lent) {
		habit_streak_break(&held->destination->base.unfit);
		habit_looks_note(&held->destination->base.looks, program, false);
	}
	if (held->contents.keep_alive_timeout_ns)
		held->destination->base.keep_alive_timeout_ns = held->contents.keep_alive_timeout_ns;
	return true;
}

static bool is_expired(const struct held *held, uint64_t now_ns)
{
	const struct slot_contents *contents = &held->contents;

	/* A time in the future comes from another time namespace (time_namespaces(7)); there nothing would ever
	 * expire. */
	return now_ns >= contents->expires_ns || contents->idle_since_ns > now_ns + SECOND_NS ||
	       (now_ns > contents->idle_since_ns &&
		now_ns - contents->idle_since_ns >= idle_timeout_limit_ns(&held->destination->base));
}

/* The taken connection can't be lent now, but perhaps in a moment: back to idle. */
static bool is_for_later(struct broker *broker, const struct held *held, uint64_t now_ns)
{
	return !is_expired(held, now_ns) && held->contents.cookie == held->cookie &&
	       ledger_check_fenced(broker->sys, held->fd, &held->contents.ledger, &held->contents.fence, NULL) ==
		       LEDGER_IN_FLIGHT;
}

/* Likewise, but of one that the broker owns. */
static bool is_fit(struct broker *broker, const struct held *held, uint64_t now_ns)
{
	return !is_expired(held, now_ns) && held->contents.cookie == held->cookie &&
	       ledger_check_fenced(broker->sys, held->fd, &held->contents.ledger, &held->contents.fence, NULL) ==
		       LEDGER_EXACT;
}

static const struct slot_contents *contents_of(const struct broker *broker, const struct held *held)
{
	if (held->owner)
		return &held->owner->region->slots[held->slot].contents;
	return held->place >= 0 ? shelved_contents(broker, held) : &held->contents;
}

static enum slot_state state_of(const struct broker *broker, const struct held *held)
{
	if (held->owner)
		return slots_state(held->owner->region, held->slot, held->generation);
	return held->place >= 0 ? shelved_state(broker, held) : SLOT_IDLE;
}

/* Is a reuse as good a sign of a live server as a new handshake? (A connection that has ended is found out later.) */
static bool tells_the_truth(struct broker *broker, const struct held *held)
{
	const struct slot_contents *contents = contents_of(broker, held);
	struct ledger_reading reading = {.last_ack_ms = UINT32_MAX};

	return ledger_check(broker->sys, held->fd, &contents->ledger, &reading) == LEDGER_CLOSED ||
	       (reading.last_ack_ms <= HABIT_ALIVE_MS && !contents->was_looked_at);
}

bool held_wants_truth(const struct broker_destination *destination, const struct broker_process *process,
		      const struct broker_request *request)
{
	return (request->head.flags & BROKER_WANTS_TRUTH) ||
	       habit_looks_often(&destination->base.looks, process->program);
}

enum slot_state held_look(struct broker *broker, struct held *held, pid_t *user)
{
	held->contents = *contents_of(broker, held);
	*user = held->owner ? held->owner->pid : 0;
	if (held->place >= 0)
		*user = shelved_user(broker, held);
	return state_of(broker, held);
}

bool held_has_idle(const struct broker *broker, const struct broker_destination *destination)
{
	const struct held *held = destination->held;

	for (int i = 0; held && i < HELD_LOOKS; i++, held = held->destination_next)
		if (state_of(broker, held) == SLOT_IDLE)
			return true;
	return false;
}

void held_retire(struct broker *broker, struct broker_destination *destination, uint32_t looks)
{
	struct held *held = destination->held ? destination->held->destination_prev : NULL;

	for (uint32_t i = 0; held && i < looks; i++) {
		if (take(broker, held)) {
			end(broker, held);
			return;
		}
		held = held == destination->held ? NULL : held->destination_prev;
	}
}

/* The connection that has been idle for longest. */
static bool retire_oldest(struct broker *broker)
{
	struct held *held = broker->oldest;

	for (int i = 0; held && i < HELD_LOOKS; i++, held = held->age_next) {
		if (take(broker, held)) {
			end(broker, held);
			return true;
		}
	}
	return false;
}

static void move_to_front(struct broker *broker, struct held *held)
{
	DL_DELETE2(held->destination->held, held, destination_prev, destination_next);
	DL_PREPEND2(held->destination->held, held, destination_prev, destination_next);
	DL_DELETE2(broker->oldest, held, age_prev, age_next);
	DL_APPEND2(broker->oldest, held, age_prev, age_next);
}

static void give(struct broker *broker, struct broker_process *process, struct held *held,
		 const struct broker_request *request)
{
	held->owner = process;
	memcpy(held->parker_name, process->name, sizeof(held->parker_name));
	held->slot = (unsigned)request->slot;
	held->generation = request->generation;
	process->held[held->slot] = held;
	atomic_store(&process->region->is_held[held->slot], 1);
	move_to_front(broker, held);
}

/* Leases the newest fit connection of a destination to a process, into its slot. */
struct held *held_find(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		       const struct broker_request *request, uint32_t looks)
{
	uint64_t now_ns = broker->sys->now_ns();
	struct held *held = destination->held, *next;
	bool wants_truth = held_wants_truth(destination, process, request);

	for (uint32_t i = 0; held && i < looks; i++, held = next) {
		next = held->destination_next;
		if (wants_truth && state_of(broker, held) == SLOT_IDLE && !tells_the_truth(broker, held))
			continue;
		if (!take(broker, held))
			continue;
		if (!is_fit(broker, held, now_ns)) {
			if (!is_for_later(broker, held, now_ns))
				end(broker, held);
			continue;
		}
		if (destination->base.keep_alive_timeout_ns)
			held->contents.keep_alive_timeout_ns = destination->base.keep_alive_timeout_ns;
		/* The process may ask for any slot of its own; only the bounds are checked. */
		if (!slots_give(process->region, (unsigned)request->slot, request->generation, &held->contents))
			return NULL;
		give(broker, process, held, request);
		held->n_requests_lent = held->contents.n_requests;
		return held;
	}
	return NULL;
}

bool held_make_room(struct broker *broker, const struct broker_process *process, struct broker_destination *destination)
{
	uint32_t limit = broker->max_held;

	if (process->max_idle_conns_per_host && destination->n_held >= process->max_idle_conns_per_host)
		held_retire(broker, destination, HELD_LOOKS);
	if (process->max_idle_conns && process->max_idle_conns < limit)
		limit = process->max_idle_conns;
	return broker->n_held + broker->n_sessions < limit || retire_oldest(broker) ||
	       broker->n_held + broker->n_sessions < broker->max_held;
}

struct held *held_add(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		      const struct broker_request *request, int fd)
{
	struct held *held = arena_take(&broker->held_arena);

	if (!held)
		return NULL;
	memset(held, 0, sizeof(*held));
	held->fd = fd;
	held->session = -1;
	held->place = held->user_fd = -1;
	held->cookie = request->cookie;
	held->destination = destination;
	held->n_requests_lent = UINT32_MAX;
	DL_PREPEND2(destination->held, held, destination_prev, destination_next);
	DL_APPEND2(broker->oldest, held, age_prev, age_next);
	destination->n_held++;
	broker_board_count(&broker->counts, &destination->base.key, 1);
	broker->n_held++;
	give(broker, process, held, request);
	return held;
}

/* The owner has ended. A connection in use stays open if a child may go on using it; else it ends with the process,
 * even if a former owner still sleeps on its descriptor. */
void held_inherit(struct broker *broker, struct held *held)
{
	bool is_private = held->owner->is_private;
	bool may_have_holders = held->may_have_holders;

	if (!take(broker, held)) {
		if (held->owner->has_ended &&
		    slots_state(held->owner->region, held->slot, held->generation) == SLOT_LEASED)
			held_hang_up(broker, held);
		held_forget(broker, held);
		return;
	}
	held->may_have_holders = may_have_holders;
	if (is_private)
		end(broker, held);
	else
		shelved_put(broker, held);
}

/* The server ended, by FIN or RST, an idle connection that the broker owns. */
static void end_hung_up(struct broker *broker, struct held *held)
{
	uint64_t now_ns = broker->sys->now_ns();

	if (now_ns > held->contents.idle_since_ns)
		idle_timeout_closed(&held->destination->base, now_ns - held->contents.idle_since_ns);
	end(broker, held);
}

static bool is_used(enum slot_state state)
{
	return state == SLOT_LEASED || state == SLOT_SHARED || state == SLOT_ENDED;
}

void broker_note_end(struct broker *broker, struct held *held)
{
	static const struct ledger none;

	/* The object may have been reused for another connection since. */
	if (held->fd < 0 || ledger_check(broker->sys, held->fd, &none, NULL) != LEDGER_CLOSED)
		return;
	/* In use: its user sees the end, but may have looked for the last time just now. */
	if (take(broker, held))
		end_hung_up(broker, held);
	else if (is_used(state_of(broker, held)))
		held->has_hung_up = true;
	else
		held_forget(broker, held);
	tickets_serve(broker);
}

static void look_after_idle(struct broker *broker, struct held *held)
{
	if (held->place >= 0)
		shelved_look(broker, held);
	else
		shelved_put(broker, held);
}

static void look_after(struct broker *broker, struct held *held, uint64_t now_ns)
{
	switch (state_of(broker, held)) {
	case SLOT_LEASED:
	case SLOT_ENDED:
		if (held->place >= 0)
			shelved_look(broker, held);
		return;
	case SLOT_SHARED:
		/* Nobody says when the last of those ends it who use it. */
		if (held->place >= 0)
			held_forget(broker, held);
		return;
	case SLOT_FREE:
	case SLOT_TAKEN:
	case SLOT_LEFT:
		held_forget(broker, held);
		return;
	case SLOT_IDLE:
		break;
	}
	/* If its process swaps it out of idle and back meanwhile, a later time is found in the slot. */
	if (!held->has_hung_up) {
		held->contents = *contents_of(broker, held);
		if (!is_expired(held, now_ns)) {
			look_after_idle(broker, held);
			return;
		}
	}
	if (!take(broker, held))
		return;
	/* A hang-up in the middle of an exchange says nothing about the server's idle timeout. */
	if (held->has_hung_up || is_expired(held, now_ns))
		end(broker, held);
}

void broker_tick(struct broker *broker)
{
	uint64_t now_ns = broker->sys->now_ns();

	for (struct held *held = broker->oldest, *next; held; held = next) {
		next = held->age_next;
		look_after(broker, held, now_ns);
	}
	tickets_serve(broker);
}

void broker_look_at_shelf(struct broker *broker)
{
	uint64_t now_ns = broker->sys->now_ns();

	for (unsigned place = 0; place < SLOTS_ON_SHELF; place++)
		if (broker->laid[place])
			look_after(broker, broker->laid[place], now_ns);
	tickets_serve(broker);
}

void held_give_up(struct broker *broker, struct held *held)
{
	if (take(broker, held))
		end(broker, held);
	else
		held_forget(broker, held);
}

void held_relieve(struct broker *broker, const struct destination_key *key)
{
	int n = 0;

	for (struct held *held = broker->oldest, *next; held && n < HELD_LOOKS; held = next) {
		next = held->age_next;
		if (destination_key_is_same_peer(&held->destination->base.key, key) && take(broker, held)) {
			end(broker, held);
			n++;
		}
	}
}
