/*
 * Whether Holdline can work in a unit: its programs, and its settings that lock the library out (systemd.exec(5)).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct unit;

enum judge_way {
	JUDGE_NOTHING, /* it can't work */
	JUDGE_LIBRARY, /* by Environment=LD_PRELOAD */
	JUDGE_RELAY,   /* by `holdline run` before the programs */
};

#define JUDGE_MAX_NOTES 24

struct judgement {
	enum judge_way way;
	size_t n_refusals, n_notes;
	char *refusals[JUDGE_MAX_NOTES], *notes[JUDGE_MAX_NOTES]; /* lines for who reads them */
};

/* Judges a unit that gets the library at this path. */
void judge_unit(struct judgement *judgement, const struct unit *unit, const char *library);
void judge_fini(struct judgement *judgement);
