/*
 * Habits: what programs were seen to do at a destination, as far as it decides of what use a kept connection is to them.
 *
 * A streak is exchanges in a row that began as none on a kept connection may, with nothing riding on what they left. Where
 * it lasts, keeping is of no use. A guess that turns out wrong makes the next one take longer.
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
