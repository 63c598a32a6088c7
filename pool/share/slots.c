/* See slots.h. */
#include "pool/share/slots.h"

#include <string.h>

#include "pool/conn/conn.h"
#include "pool/conn/destination.h"
#include "pool/share/shelf.h"

#define STATE_BITS 8
#define STATE_MASK ((1u << STATE_BITS) - 1)

uint64_t slot_word(uint64_t generation, enum slot_state state)
{
	return generation << STATE_BITS | state;
}

uint64_t slot_generation(uint64_t word)
{
	return word >> STATE_BITS;
}

enum slot_state slot_state(uint64_t word)
{
	switch (word & STATE_MASK) {
	case SLOT_LEASED:
		return SLOT_LEASED;
	case SLOT_IDLE:
		return SLOT_IDLE;
	case SLOT_TAKEN:
		return SLOT_TAKEN;
	case SLOT_SHARED:
		return SLOT_SHARED;
	case SLOT_LEFT:
		return SLOT_LEFT;
	case SLOT_ENDED:
		return SLOT_ENDED;
	default:
		return SLOT_FREE;
	}
}

bool slot_change(struct slot *slot, uint64_t generation, enum slot_state from, enum slot_state to)
{
	uint64_t word = slot_word(generation, from);

	return atomic_compare_exchange_strong(&slot->word, &word, slot_word(generation, to));
}

/* Entries from n_begun on were never used, and are zero still. */
static void clear(struct slots *slots)
{
	if (slots->n_begun)
		memset(slots->entries, 0, slots->n_begun * sizeof(slots->entries[0]));
	slots->region = NULL;
	slots->n_begun = 0;
	slots->n_free = 0;
	slots->n_taken_seen = 0;
}

void slots_init(struct slots *slots, struct slots_entry *entries)
{
	*slots = (struct slots){.entries = entries};
}

void slots_attach(struct slots *slots, struct slots_region *region)
{
	clear(slots);
	slots->region = region;
	slots->n_free = SLOTS_PER_REGION;
}

/* One that was given back, the last one first, or the next one that never was used. */
static unsigned take_index(struct slots *slots)
{
	unsigned n_returned = slots->n_free - (SLOTS_PER_REGION - slots->n_begun);

	slots->n_free--;
	return n_returned ? slots->entries[n_returned - 1].returned : slots->n_begun++;
}

static void return_index(struct slots *slots, unsigned index)
{
	unsigned n_returned = slots->n_free - (SLOTS_PER_REGION - slots->n_begun);

	slots->entries[n_returned].returned = (uint16_t)index;
	slots->n_free++;
}

void slots_attach_asked(struct slots *slots, struct slots_region *region)
{
	slots_attach(slots, region);
	slots->entries[take_index(slots)].is_used = true;
	slots_begin_asked(region);
}

void slots_reserve_asked(struct slots *slots, struct conn *conn)
{
	conn->slot = SLOTS_FIRST;
	conn->slot_generation = SLOTS_FIRST_GENERATION;
	slots->entries[SLOTS_FIRST].conn = conn;
}

void slots_detach(struct slots *slots)
{
	for (unsigned i = 0; i < slots->n_begun; i++)
		if (slots->entries[i].conn)
			slots->entries[i].conn->slot = -1;
	clear(slots);
}

void slots_move(struct slots *to, struct slots *from)
{
	slots_detach(to);
	to->region = from->region;
	to->n_begun = from->n_begun;
	to->n_free = from->n_free;
	to->n_taken_seen = from->n_taken_seen;
	if (from->n_begun)
		memcpy(to->entries, from->entries, from->n_begun * sizeof(from->entries[0]));
	clear(from);
}

bool slots_reserve(struct slots *slots, struct conn *conn)
{
	struct slot *slot;
	unsigned index;

	if (!slots->n_free)
		return false;
	index = take_index(slots);
	slot = &slots->region->slots[index];
	conn->slot_generation = (atomic_load(&slot->word) >> STATE_BITS) + 1;
	conn->slot = (int)index;
	slots->entries[index].conn = conn;
	slots->entries[index].is_used = true;
	atomic_store(&slot->word, slot_word(conn->slot_generation, SLOT_LEASED));
	return true;
}

static bool is_on_shelf(const struct conn *conn)
{
	return conn->slot >= SLOTS_PER_REGION;
}

static struct slot *slot_of(const struct slots *slots, const struct conn *conn)
{
	return is_on_shelf(conn) ? &slots->shelf->slots[conn->slot - SLOTS_PER_REGION]
				 : &slots->region->slots[conn->slot];
}

void slots_publish(struct slots *slots, const struct conn *conn)
{
	struct slot *slot;

	if (conn->slot < 0)
		return;
	slot = slot_of(slots, conn);
	/* The broker has given up on it, and the place may be another one's. */
	if (is_on_shelf(conn) && atomic_load(&slot->word) != slot_word(conn->slot_generation, SLOT_LEASED))
		return;
	slot->contents.cookie = conn->cookie;
	slot->contents.ledger = conn->ledger;
	slot->contents.created_ns = conn->created_ns;
	slot->contents.idle_since_ns = conn->idle_since_ns;
	slot->contents.expires_ns = conn->expires_ns;
	slot->contents.keep_alive_timeout_ns = conn->destination->keep_alive_timeout_ns;
	slot->contents.n_requests = conn->n_requests;
	slot->contents.requests_left = conn->requests_left;
	slot->contents.status_flags = conn->status_flags;
	slot->contents.was_looked_at = conn->was_looked_at;
	slot->contents.protocol = conn->protocol;
	slot->contents.fence = conn->fence;
	slot->contents.options = conn->options;
	if (is_on_shelf(conn))
		(void)!slot_change(slot, conn->slot_generation, SLOT_LEASED, SLOT_IDLE);
	else
		atomic_store(&slot->word, slot_word(conn->slot_generation, SLOT_IDLE));
}

bool slots_claim(struct slots *slots, const struct conn *conn)
{
	return conn->slot < 0 || slot_change(slot_of(slots, conn), conn->slot_generation, SLOT_IDLE, SLOT_LEASED);
}

bool slots_share(const struct slots *slots, int index, uint64_t generation)
{
	struct slots_region *region = __atomic_load_n(&slots->region, __ATOMIC_RELAXED);
	struct shelf *shelf = __atomic_load_n(&slots->shelf, __ATOMIC_RELAXED);
	struct slot *slot = NULL;

	if (index >= SLOTS_PER_REGION)
		slot = shelf ? &shelf->slots[index - SLOTS_PER_REGION] : NULL;
	else if (index >= 0 && region)
		slot = &region->slots[index];
	return slot && slot_change(slot, generation, SLOT_LEASED, SLOT_SHARED) && index >= SLOTS_PER_REGION;
}

static void put_back(struct slots *slots, unsigned index, uint64_t generation)
{
	atomic_store(&slots->region->slots[index].word, slot_word(generation, SLOT_FREE));
	slots->entries[index].conn = NULL;
	slots->entries[index].is_used = false;
	return_index(slots, index);
}

void slots_free(struct slots *slots, struct conn *conn)
{
	if (conn->slot < 0)
		return;
	if (is_on_shelf(conn)) {
		slots_free_on_shelf(slots, conn);
		return;
	}
	put_back(slots, (unsigned)conn->slot, conn->slot_generation);
	conn->slot = -1;
}

void slots_free_all(struct slots *slots)
{
	for (unsigned i = 0; i < slots->n_begun; i++)
		if (slots->entries[i].conn)
			slots_free(slots, slots->entries[i].conn);
}

void slots_leave(struct slots *slots, struct conn *conn)
{
	if (conn->slot < 0)
		return;
	if (is_on_shelf(conn)) {
		slots_leave_on_shelf(slots, conn);
		return;
	}
	slots->entries[conn->slot].conn = NULL;
	conn->slot = -1;
}

void slots_read(const struct slots *slots, struct conn *conn)
{
	const struct slot_contents contents = slot_of(slots, conn)->contents;

	conn->cookie = contents.cookie;
	conn->ledger = contents.ledger;
	conn->created_ns = contents.created_ns;
	conn->used_ns = contents.idle_since_ns;
	conn->idle_since_ns = contents.idle_since_ns;
	conn->expires_ns = contents.expires_ns;
	conn->n_requests = contents.n_requests;
	conn->requests_left = contents.requests_left;
	conn->status_flags = contents.status_flags;
	conn->was_looked_at = contents.was_looked_at;
	conn->protocol = contents.protocol < UINT32_MAX ? (uint32_t)contents.protocol : UINT32_MAX;
	conn->fence = contents.fence;
	conn->options = contents.options;
	conn->options.set &= (1u << SOCKET_OPTION_COUNT) - 1;
	if (contents.keep_alive_timeout_ns)
		conn->destination->keep_alive_timeout_ns = contents.keep_alive_timeout_ns;
}

uint32_t slots_n_held(const struct slots *slots, const struct destination *destination, bool with_session)
{
	uint32_t n = 0;

	/* The lowest are used first. */
	for (unsigned i = 0, n_seen = 0; slots->region && n_seen < SLOTS_PER_REGION - slots->n_free; i++) {
		const struct conn *conn = slots->entries[i].conn;

		n_seen += slots->entries[i].is_used;
		if (conn && conn->destination == destination && (conn->session || conn->login) == with_session)
			n += atomic_load(&slots->region->is_held[i]) != 0;
	}
	for (unsigned i = 0, n_seen = 0; !with_session && n_seen < slots->n_on_shelf; i++) {
		n_seen += slots->on_shelf[i] != NULL;
		n += slots->on_shelf[i] && slots->on_shelf[i]->destination == destination;
	}
	return n;
}

/* One slot that may have been taken: its connection, or NULL. */
static struct conn *look_at(struct slots *slots, unsigned index)
{
	uint64_t word = atomic_load(&slots->region->slots[index].word);

	if ((word & STATE_MASK) != SLOT_TAKEN || !slots->entries[index].is_used)
		return NULL;
	if (slots->entries[index].conn)
		return slots->entries[index].conn;
	put_back(slots, index, word >> STATE_BITS);
	return NULL;
}

/* More were taken than the list of news holds: looks at all. (What is found twice is in another state by then.) */
static struct conn *look_at_all(struct slots *slots, uint32_t n_taken)
{
	for (unsigned i = 0; i < SLOTS_PER_REGION; i++) {
		struct conn *conn = look_at(slots, i);

		if (conn)
			return conn;
	}
	slots->n_taken_seen = n_taken;
	return NULL;
}

struct conn *slots_next_taken(struct slots *slots)
{
	uint32_t n_taken = slots->region ? atomic_load(&slots->region->n_taken) : 0;

	if (!slots->region)
		return NULL;
	while (slots->n_taken_seen != n_taken) {
		unsigned index = atomic_load(&slots->region->taken[slots->n_taken_seen % SLOTS_NEWS]);
		uint32_t n_taken_now = atomic_load(&slots->region->n_taken);
		struct conn *conn;

		/* The next one's index goes where this one's was, before it is counted. */
		if (n_taken_now - slots->n_taken_seen >= SLOTS_NEWS)
			return look_at_all(slots, n_taken_now);
		slots->n_taken_seen++;
		conn = index < SLOTS_PER_REGION ? look_at(slots, index) : NULL;
		if (conn)
			return conn;
	}
	return NULL;
}

void slots_begin_asked(struct slots_region *region)
{
	uint64_t unused = 0;

	atomic_compare_exchange_strong(&region->slots[SLOTS_FIRST].word, &unused,
				       slot_word(SLOTS_FIRST_GENERATION, SLOT_LEASED));
}

enum slot_state slots_state(struct slots_region *region, unsigned index, uint64_t generation)
{
	uint64_t word = atomic_load(&region->slots[index].word);

	return slot_generation(word) == generation ? slot_state(word) : SLOT_FREE;
}

/* Of memory that somebody may be writing: what comes of that is thrown away, which is no race for a sanitizer to
 * report. */
__attribute__((no_sanitize("thread"))) void slot_copy_words(uint64_t *to, const uint64_t *from, size_t length)
{
	const volatile uint64_t *words = from;

	for (size_t i = 0; i < length / sizeof(uint64_t); i++)
		to[i] = words[i];
}

void slot_copy(struct slot_contents *to, const struct slot_contents *from)
{
	uint64_t copy[sizeof(*to) / sizeof(uint64_t)];

	_Static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "contents are copied by words");
	slot_copy_words(copy, (const uint64_t *)(const void *)from, sizeof(copy));
	memcpy(to, copy, sizeof(*to));
}

bool slots_take(struct slots_region *region, unsigned index, uint64_t generation, struct slot_contents *contents)
{
	struct slot *slot = &region->slots[index];
	uint32_t n;

	if (!slot_change(slot, generation, SLOT_IDLE, SLOT_TAKEN))
		return false;
	slot_copy(contents, &slot->contents);
	/* A process that has found out already may use the slot again, while we read. What was torn is of no use. (An
	 * exchange rather than a load, which might come before the copy's last.) */
	if (atomic_fetch_or(&slot->word, 0) >> STATE_BITS != generation)
		memset(contents, 0, sizeof(*contents));
	n = atomic_load(&region->n_taken);
	atomic_store(&region->taken[n % SLOTS_NEWS], (uint16_t)index);
	atomic_store(&region->n_taken, n + 1);
	return true;
}

bool slots_give(struct slots_region *region, unsigned index, uint64_t generation, const struct slot_contents *contents)
{
	if (slots_state(region, index, generation) != SLOT_LEASED)
		return false;
	region->slots[index].contents = *contents;
	return true;
}
