/*
 * The connections that lie on the shelf (pool/share/shelf.h): the broker's own, idle, for any process to take without
 * a word. The broker looks who has taken something when its bell is rung, and every half second: then it watches the
 * process's end, as it sees that of others by their connection to it.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "pool/broker/private.h"
#include "pool/conn/idle_timeout.h"

static bool has_looks(const struct habit_looks *looks)
{
	for (unsigned i = 0; i < HABIT_SITES; i++)
		if (looks->sites[i].looks)
			return true;
	return false;
}

/* A taker gets no other answer than "here it is": so none lies there where somebody only looks whether the server
 * is there, where nothing is to be kept, or where connections are counted. */
static bool is_for_anybody(const struct broker_destination *destination)
{
	return !habit_streak_lasts(&destination->base.unfit) && !has_looks(&destination->base.looks) &&
	       !destination->waiting && !destination->n_granted;
}

/* A free place for a destination's; -1: none. What the shelf itself says of that anybody may have written. */
static int find_place(const struct broker *broker, const struct destination_key *key)
{
	unsigned first = broker_board_shelf_place(broker->counts.salt, key);

	for (unsigned i = 0; broker->shelf && i < SHELF_LOOKS; i++)
		if (!broker->laid[(first + i) % SLOTS_ON_SHELF])
			return (int)((first + i) % SLOTS_ON_SHELF);
	return -1;
}

void shelved_put(struct broker *broker, struct held *held)
{
	const struct broker_destination *destination = held->destination;
	struct slot_contents contents = held->contents;
	uint64_t limit_ns = idle_timeout_limit_ns(&destination->base);

	if (held->owner || held->place >= 0 || held->session >= 0 || !is_for_anybody(destination))
		return;
	held->place = find_place(broker, &destination->base.key);
	if (held->place < 0)
		return;
	if (limit_ns < UINT64_MAX - contents.idle_since_ns && contents.idle_since_ns + limit_ns < contents.expires_ns)
		contents.expires_ns = contents.idle_since_ns + limit_ns;
	if (destination->base.keep_alive_timeout_ns)
		contents.keep_alive_timeout_ns = destination->base.keep_alive_timeout_ns;
	broker->laid[held->place] = held;
	shelf_put(broker->shelf, (unsigned)held->place, &destination->base.key, held->fd, &contents);
	held->n_requests_lent = contents.n_requests;
}

static void forget_user(struct broker *broker, struct held *held)
{
	if (held->user_fd >= 0)
		broker->sys->close(held->user_fd);
	held->user_fd = -1;
	held->user = 0;
}

/* Requests were carried on it since it was laid there. */
static void note_rides(const struct broker *broker, struct held *held)
{
	uint32_t n_requests = shelved_contents(broker, held)->n_requests;

	if (n_requests <= held->n_requests_lent)
		return;
	held->n_requests_lent = n_requests;
	habit_streak_break(&held->destination->base.unfit);
}

void shelved_remove(struct broker *broker, struct held *held)
{
	const char *name;
	pid_t user;

	if (held->place < 0)
		return;
	forget_user(broker, held);
	note_rides(broker, held);
	name = broker->shelf->labels[held->place].name;
	if (name[0])
		memcpy(held->parker_name, name, sizeof(held->parker_name) - 1);
	/* The process that has taken it may sleep on its descriptor. */
	shelf_state(broker->shelf, (unsigned)held->place, &user);
	held->may_have_holders |= user != 0;
	shelf_empty(broker->shelf, (unsigned)held->place);
	broker->laid[held->place] = NULL;
	held->place = -1;
}

bool shelved_take(struct broker *broker, struct held *held)
{
	if (!shelf_take(broker->shelf, (unsigned)held->place, &held->contents))
		return false;
	shelved_remove(broker, held);
	return true;
}

enum slot_state shelved_state(const struct broker *broker, const struct held *held)
{
	pid_t user;

	return shelf_state(broker->shelf, (unsigned)held->place, &user);
}

const struct slot_contents *shelved_contents(const struct broker *broker, const struct held *held)
{
	return &broker->shelf->slots[held->place].contents;
}

pid_t shelved_user(const struct broker *broker, const struct held *held)
{
	pid_t user;

	return shelf_state(broker->shelf, (unsigned)held->place, &user) == SLOT_IDLE ? 0 : user;
}

void shelved_withdraw(struct broker *broker, struct broker_destination *destination)
{
	struct held *held;

	DL_FOREACH2(destination->held, held, destination_next)
	if (held->place >= 0)
		(void)!shelved_take(broker, held);
}

void shelved_hang_up(struct broker *broker, struct held *held)
{
	held->may_have_holders = true;
	held_hang_up(broker, held);
	held_forget(broker, held);
}

/* Its user has ended, and nobody was to go on. */
static void end_with_user(struct broker *broker, struct held *held, pid_t user)
{
	struct shelf *shelf = broker->shelf;
	unsigned place = (unsigned)held->place;

	if (shelf_take_from(shelf, place, SLOT_LEASED, user) || shelf_take_from(shelf, place, SLOT_ENDED, user)) {
		shelved_hang_up(broker, held);
	} else if (shelf_take_from(shelf, place, SLOT_SHARED, user)) {
		held_forget(broker, held);
	} else {
		shelf_disown(shelf, place, user);
		forget_user(broker, held);
	}
}

void shelved_end_executed(struct broker *broker, pid_t pid)
{
	for (struct held *held = broker->oldest, *next; held; held = next) {
		next = held->age_next;
		if (held->place >= 0 && shelf_take_from(broker->shelf, (unsigned)held->place, SLOT_ENDED, pid))
			shelved_hang_up(broker, held);
	}
}

void shelved_look(struct broker *broker, struct held *held)
{
	pid_t user;
	int fd;

	/* It was in use when others were fetched back. */
	if (!is_for_anybody(held->destination) && shelved_take(broker, held))
		return;
	/* A process that has it idle may use it again without a word. */
	shelf_state(broker->shelf, (unsigned)held->place, &user);
	if (user == held->user)
		return;
	forget_user(broker, held);
	if (!user)
		return;
	fd = broker->sys->watch_process(user, held);
	if (fd == -ESRCH) {
		end_with_user(broker, held, user);
	} else if (fd >= 0) {
		held->user_fd = fd;
		held->user = user;
	}
}

void shelved_catch_up(struct broker *broker, struct broker_destination *destination)
{
	struct held *held, *next;

	DL_FOREACH_SAFE2(destination->held, held, next, destination_next)
	{
		if (held->place < 0)
			continue;
		note_rides(broker, held);
		if (shelved_state(broker, held) == SLOT_LEFT)
			held_forget(broker, held);
		else
			shelved_look(broker, held);
	}
}

void broker_note_user_end(struct broker *broker, struct held *held)
{
	/* The object may be another connection's since, and its user another one. */
	if (held->fd >= 0 && held->place >= 0 && held->user_fd >= 0)
		end_with_user(broker, held, held->user);
	tickets_serve(broker);
}
