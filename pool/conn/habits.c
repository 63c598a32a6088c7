/* See habits.h. */
#include "pool/conn/habits.h"

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

static struct habit_site *find(struct habit_looks *looks, uint64_t who)
{
	struct habit_site *site;

	for (unsigned i = 0; i < HABIT_SITES; i++)
		if (looks->sites[i].who == who)
			return &looks->sites[i];
	site = &looks->sites[looks->next++ % HABIT_SITES];
	*site = (struct habit_site){.who = who};
	return site;
}

void habit_looks_note(struct habit_looks *looks, uint64_t who, bool is_look)
{
	struct habit_site *site;

	if (!who)
		return;
	site = find(looks, who);
	site->looks = (uint16_t)(site->looks << 1 | is_look);
	if (site->n < HABIT_MEMORY)
		site->n++;
}

bool habit_looks_often(const struct habit_looks *looks, uint64_t who)
{
	for (unsigned i = 0; who && i < HABIT_SITES; i++)
		if (looks->sites[i].who == who)
			return looks->sites[i].looks &&
			       2 * __builtin_popcount(looks->sites[i].looks) >= looks->sites[i].n;
	return false;
}
