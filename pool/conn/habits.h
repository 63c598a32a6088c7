/*
 * Habits: what programs were seen to do at a destination, as far as it decides of what use a kept connection is to
 * them.
 *
 * A streak is exchanges in a row that began as none on a kept connection may, with nothing riding on what they left.
 * Where it lasts, keeping is of no use. A guess that turns out wrong makes the next one take longer.
 *
 * A look is a connect() that is closed without a word: it asks whether the server is there. Who looks often (a place
 * in the program, or to the broker a program) is told by a kept connection only if that is as true as a new
 * handshake.
 *
 * Plain data, zeroes are a beginning. The owner holds its lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct habit_streak {
	uint16_t n;
	uint16_t enough; /* of those, 0: the least */
};

/* An exchange began so. */
void habit_streak_add(struct habit_streak *streak);

/* Another kind of exchange began, or something rode on what they left. */
void habit_streak_break(struct habit_streak *streak);

/* Somebody who knows more says that it lasts. */
void habit_streak_believe(struct habit_streak *streak);

bool habit_streak_lasts(const struct habit_streak *streak);

#define HABIT_SITES 4
#define HABIT_MEMORY 16 /* connects of each */

struct habit_site {
	uint64_t who;	/* 0: none */
	uint16_t looks; /* a bit for each of its last connects, newest lowest: it was a look */
	uint16_t n;
};

struct habit_looks {
	struct habit_site sites[HABIT_SITES];
	uint32_t next; /* to be replaced */
};

/* How long an answer of the server's is as true as a handshake, unless a look has been told by it since. */
#define HABIT_ALIVE_MS 2000

/* A connect of somebody's has turned out to be a look, or not to be. */
void habit_looks_note(struct habit_looks *looks, uint64_t who, bool is_look);

/* True if at least half of its last connects were looks. */
bool habit_looks_often(const struct habit_looks *looks, uint64_t who);
