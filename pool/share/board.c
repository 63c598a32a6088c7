/* See board.h. */
#include "pool/share/board.h"

#include <stddef.h>

static uint32_t stamp(void)
{
	return BROKER_BOARD_VERSION * 1000003u + (uint32_t)sizeof(struct broker_board);
}

/* FNV-1a with a last mix, since the low bits alone are used. */
static unsigned place_of(uint64_t salt, const struct destination_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint64_t hash = 14695981039346656037ull ^ salt;

	for (unsigned i = 0, length = destination_key_length(key); i < length; i++)
		hash = (hash ^ bytes[i]) * 1099511628211ull;
	return (unsigned)((hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull >> 40) % BROKER_BOARD_PLACES;
}

static void show(const struct broker_counts *counts, unsigned place)
{
	uint32_t n = counts->n_held[place];

	if (counts->board)
		atomic_store(&counts->board->n_held[place], (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX));
}

void broker_board_open(struct broker_counts *counts, struct broker_board *board, uint64_t salt)
{
	counts->board = board;
	counts->salt = salt;
	board->salt = salt;
	board->stamp = stamp();
	for (unsigned place = 0; place < BROKER_BOARD_PLACES; place++)
		show(counts, place);
	atomic_store(&board->is_open, 1);
}

void broker_board_open_shelf(struct broker_counts *counts, pid_t pid, int bell, uint64_t bell_cookie)
{
	if (!counts->board)
		return;
	shelf_open(&counts->board->shelf, counts->salt);
	counts->board->pid = (uint32_t)pid;
	counts->board->bell = bell;
	counts->board->bell_cookie = bell_cookie;
	counts->board->has_shelf = 1;
}

unsigned broker_board_shelf_place(uint64_t salt, const struct destination_key *key)
{
	return place_of(salt, key) % SLOTS_ON_SHELF;
}

void broker_board_close(struct broker_counts *counts)
{
	if (counts->board)
		atomic_store(&counts->board->is_open, 0);
	counts->board = NULL;
}

void broker_board_count(struct broker_counts *counts, const struct destination_key *key, int change)
{
	unsigned place = place_of(counts->salt, key);

	counts->n_held[place] += (uint32_t)change;
	show(counts, place);
}

bool broker_board_is_sound(const struct broker_board *board, uint64_t size)
{
	return size >= sizeof(*board) && board->stamp == stamp();
}

uint32_t broker_board_n_held(const struct broker_board *board, const struct destination_key *key)
{
	if (!atomic_load(&board->is_open))
		return UINT32_MAX;
	return atomic_load(&board->n_held[place_of(board->salt, key)]);
}

_Static_assert(offsetof(struct broker_board, is_open) == offsetof(struct broker_board_head, is_open) &&
		       offsetof(struct broker_board, salt) == offsetof(struct broker_board_head, salt),
	       "the head is that of a board");

bool broker_board_find(const struct broker_board_head *head, const struct destination_key *key, uint64_t *offset)
{
	if (head->stamp != stamp() || !head->is_open)
		return false;
	*offset = offsetof(struct broker_board, n_held) + place_of(head->salt, key) * sizeof(uint16_t);
	return true;
}
