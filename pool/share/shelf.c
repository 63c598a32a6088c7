/* See shelf.h. */
#include "pool/share/shelf.h"

#include <string.h>

#include "pool/base/clock.h"

/* The lower part of a generation. A process's number is below 2^22 (proc(5), pid_max). */
#define USER_BITS 24
#define USER_MASK ((UINT64_C(1) << USER_BITS) - 1)
#define COUNT_BITS 32
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static uint64_t next_generation(uint64_t generation, pid_t user)
{
	return (((generation >> USER_BITS) + 1) & COUNT_MASK) << USER_BITS | ((uint64_t)user & USER_MASK);
}

void shelf_open(struct shelf *shelf, uint64_t salt)
{
	for (unsigned place = 0; place < SLOTS_ON_SHELF; place++)
		atomic_store(&shelf->slots[place].word, slot_word((salt & COUNT_MASK) << USER_BITS, SLOT_FREE));
}

void shelf_put(struct shelf *shelf, unsigned place, const struct destination_key *key, int fd,
	       const struct slot_contents *contents)
{
	struct slot *slot = &shelf->slots[place];
	uint64_t generation = slot_generation(atomic_load(&slot->word));

	shelf->labels[place] = (struct shelf_label){.key = *key, .fd = fd};
	slot->contents = *contents;
	atomic_store(&slot->word, slot_word(next_generation(generation, 0), SLOT_IDLE));
}

enum slot_state shelf_state(const struct shelf *shelf, unsigned place, pid_t *user)
{
	uint64_t word = atomic_load(&shelf->slots[place].word);

	*user = (pid_t)(slot_generation(word) & USER_MASK);
	return slot_state(word);
}

bool shelf_take(struct shelf *shelf, unsigned place, struct slot_contents *contents)
{
	struct slot *slot = &shelf->slots[place];
	uint64_t generation = slot_generation(atomic_load(&slot->word));

	if (!slot_change(slot, generation, SLOT_IDLE, SLOT_TAKEN))
		return false;
	slot_copy(contents, &slot->contents);
	return true;
}

bool shelf_take_from(struct shelf *shelf, unsigned place, enum slot_state state, pid_t user)
{
	struct slot *slot = &shelf->slots[place];
	uint64_t generation = slot_generation(atomic_load(&slot->word));

	return (pid_t)(generation & USER_MASK) == user && slot_change(slot, generation, state, SLOT_TAKEN);
}

void shelf_disown(struct shelf *shelf, unsigned place, pid_t user)
{
	struct slot *slot = &shelf->slots[place];
	uint64_t word = atomic_load(&slot->word), generation = slot_generation(word);

	if (slot_state(word) == SLOT_IDLE && (pid_t)(generation & USER_MASK) == user)
		(void)atomic_compare_exchange_strong(&slot->word, &word,
						     slot_word(next_generation(generation, 0), SLOT_IDLE));
}

void shelf_empty(struct shelf *shelf, unsigned place)
{
	struct slot *slot = &shelf->slots[place];
	uint64_t generation = slot_generation(atomic_load(&slot->word));

	atomic_store(&slot->word, slot_word(next_generation(generation, 0), SLOT_FREE));
}

static bool is_for(const struct shelf *shelf, unsigned place, const struct destination_key *wanted)
{
	uint64_t words[sizeof(struct destination_key) / sizeof(uint64_t)];
	struct destination_key key;

	_Static_assert(sizeof(key) % sizeof(uint64_t) == 0, "keys are copied by words");
	slot_copy_words(words, (const uint64_t *)(const void *)&shelf->labels[place].key, sizeof(words));
	memcpy(&key, words, sizeof(key));
	return key.options_length <= DESTINATION_OPTIONS_MAX && destination_key_equal(&key, wanted);
}

/* The contents that it reads are of one generation if that can be claimed afterwards. *idle_since_ns: how new they
 * are. */
static bool is_wanted(const struct shelf *shelf, const struct shelf_reader *reader, unsigned place,
		      uint64_t *idle_since_ns)
{
	struct slot_contents contents;

	if (!is_for(shelf, place, reader->key))
		return false;
	slot_copy(&contents, &shelf->slots[place].contents);
	*idle_since_ns = contents.idle_since_ns;
	/* A time in the future comes from another time namespace (time_namespaces(7)). */
	return contents.expires_ns > reader->now_ns && contents.idle_since_ns <= reader->now_ns + SECOND_NS &&
	       !contents.was_looked_at;
}

/* One that somebody else claims meanwhile is no longer idle. */
static int find_newest(const struct shelf *shelf, const struct shelf_reader *reader, uint64_t *generation)
{
	uint64_t newest_ns = 0, idle_since_ns;
	int found = -1;

	for (unsigned i = 0; i < SHELF_LOOKS; i++) {
		unsigned place = (reader->first + i) % SLOTS_ON_SHELF;
		uint64_t word = atomic_load(&shelf->slots[place].word);

		if (slot_state(word) != SLOT_IDLE || reader->ours[place] ||
		    !is_wanted(shelf, reader, place, &idle_since_ns) || (found >= 0 && idle_since_ns <= newest_ns))
			continue;
		newest_ns = idle_since_ns;
		*generation = slot_generation(word);
		found = (int)place;
	}
	return found;
}

int shelf_claim(struct shelf *shelf, const struct shelf_reader *reader, uint64_t *generation)
{
	for (int tries = 0; tries < SHELF_LOOKS; tries++) {
		int place = find_newest(shelf, reader, generation);
		uint64_t word, claimed;

		if (place < 0)
			return -1;
		word = slot_word(*generation, SLOT_IDLE);
		claimed = next_generation(*generation, reader->user);
		if (!atomic_compare_exchange_strong(&shelf->slots[place].word, &word, slot_word(claimed, SLOT_LEASED)))
			continue;
		*generation = claimed;
		strncpy(shelf->labels[place].name, reader->name, SHELF_NAME_MAX - 1);
		return place;
	}
	return -1;
}
