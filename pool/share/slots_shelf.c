/* The slots of a process that lie on the shelf. See slots.h. */
#include "pool/conn/conn.h"
#include "pool/share/shelf.h"
#include "pool/share/slots.h"

static struct slot *slot_of(const struct slots *slots, const struct conn *conn)
{
	return &slots->shelf->slots[conn->slot - SLOTS_PER_REGION];
}

void slots_leave_on_shelf(struct slots *slots, struct conn *conn)
{
	slots->on_shelf[conn->slot - SLOTS_PER_REGION] = NULL;
	slots->n_on_shelf--;
	conn->slot = -1;
}

/* The broker lets go of its descriptor when it looks: broker_client_drop() has it look at once. */
void slots_free_on_shelf(struct slots *slots, struct conn *conn)
{
	struct slot *slot = slot_of(slots, conn);

	if (!slot_change(slot, conn->slot_generation, SLOT_LEASED, SLOT_LEFT))
		(void)!slot_change(slot, conn->slot_generation, SLOT_SHARED, SLOT_LEFT);
	slots_leave_on_shelf(slots, conn);
}

void slots_free_all_on_shelf(struct slots *slots)
{
	for (unsigned i = 0; i < SLOTS_ON_SHELF && slots->n_on_shelf; i++)
		if (slots->on_shelf[i])
			slots_free_on_shelf(slots, slots->on_shelf[i]);
}

bool slots_uses_of_shelf(const struct slots *slots, const struct conn *conn)
{
	return atomic_load(&slot_of(slots, conn)->word) == slot_word(conn->slot_generation, SLOT_LEASED);
}

int slots_take_from_shelf(struct slots *slots, struct shelf *shelf, struct conn *conn, struct shelf_reader *reader)
{
	int place;

	/* Those of another one keep theirs. */
	if (slots->n_on_shelf && slots->shelf != shelf)
		return -1;
	__atomic_store_n(&slots->shelf, shelf, __ATOMIC_RELAXED); /* others look at it without a lock */
	reader->ours = slots->on_shelf;
	place = shelf_claim(shelf, reader, &conn->slot_generation);
	if (place < 0)
		return -1;
	conn->slot = SLOTS_PER_REGION + place;
	slots->on_shelf[place] = conn;
	slots->n_on_shelf++;
	return shelf->labels[place].fd;
}

void slots_put_back_on_shelf(struct slots *slots, struct conn *conn)
{
	(void)!slot_change(slot_of(slots, conn), conn->slot_generation, SLOT_LEASED, SLOT_IDLE);
	slots_leave_on_shelf(slots, conn);
}

void slots_leave_shelf(struct slots *slots)
{
	for (unsigned i = 0; i < SLOTS_ON_SHELF && slots->n_on_shelf; i++)
		if (slots->on_shelf[i])
			slots_leave_on_shelf(slots, slots->on_shelf[i]);
	slots->shelf = NULL;
}

static bool change_all(struct slots *slots, enum slot_state from, enum slot_state to)
{
	bool any = false;

	for (unsigned i = 0; i < SLOTS_ON_SHELF && slots->n_on_shelf; i++)
		if (slots->on_shelf[i])
			any |= slot_change(&slots->shelf->slots[i], slots->on_shelf[i]->slot_generation, from, to);
	return any;
}

bool slots_end_used(struct slots *slots)
{
	return change_all(slots, SLOT_LEASED, SLOT_ENDED);
}

void slots_use_again(struct slots *slots)
{
	(void)change_all(slots, SLOT_ENDED, SLOT_LEASED);
}

bool slots_shelf_has_waiters(const struct slots *slots)
{
	return atomic_load(&slots->shelf->has_waiters);
}

struct conn *slots_next_taken_from_shelf(struct slots *slots)
{
	for (unsigned i = 0, n_seen = 0; n_seen < slots->n_on_shelf; i++) {
		struct conn *conn = slots->on_shelf[i];

		n_seen += conn != NULL;
		if (conn && slot_generation(atomic_load(&slots->shelf->slots[i].word)) != conn->slot_generation)
			return conn;
	}
	return NULL;
}
