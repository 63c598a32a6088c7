/* See habits.h. */
#include "pool/habits.h"

#define STREAK_LEAST 4
#define STREAK_MOST 64

static uint16_t enough(const struct habit_streak *streak)
{
	return streak->enough ? streak->enough : STREAK_LEAST;
}

void habit_streak_add(struct habit_streak *streak)
{
	if (streak->n < UINT16_MAX)
		streak->n++;
}

void habit_streak_break(struct habit_streak *streak)
{
	if (habit_streak_lasts(streak) && enough(streak) < STREAK_MOST)
		streak->enough = (uint16_t)(2 * enough(streak));
	streak->n = 0;
}

void habit_streak_believe(struct habit_streak *streak)
{
	if (!habit_streak_lasts(streak))
		streak->n = enough(streak);
}

bool habit_streak_lasts(const struct habit_streak *streak)
{
	return streak->n >= enough(streak);
}
