/*
 * The dials of one tuple as programs under Holdline have counted them: joins the kernel's view (ports.h), in which a
 * connection in TIME_WAIT has no owner, with the programs' own pages (tools/stats/view.h).
 *
 * Counts begin with each program's start, not a minute ago; programs without Holdline don't count. Where no use has
 * ended in the last minute, and none is under way, nothing of what is seen there now can be theirs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/ports/ports.h"
#include "tools/stats/replay.h"
#include "tools/stats/view.h"

#define COUNTED_MAX_PROCESSES 4
#define COUNTED_MAX_PLACES 3
#define COUNTED_PLACE_MAX 160

struct symbolizer;

struct counted_process {
	pid_t pid;
	uint32_t uid;
	char program[STATS_NAME_MAX + 1];
	uint64_t n_dialed;
};

/* A source line that calls connect(). */
struct counted_place {
	char text[COUNTED_PLACE_MAX]; /* "fetch (client.c:88)", "/usr/bin/curl+0x1234" */
	char program[STATS_NAME_MAX + 8];
	uint64_t n_dialed;
};

struct attribution {
	bool is_there;	 /* false: nothing was counted of late, and all members are 0 */
	uint64_t n_late; /* uses that ended in the last minute; UINT64_MAX: that is not known any more */
	uint64_t n_connects, n_dialed, n_reused;
	uint64_t n_reusable;	  /* uses after which the connection was kept or, in observe mode, would have been */
	enum refusal top_refusal; /* why most of the other uses were not reusable; REFUSAL_NONE: there were none */
	uint64_t n_top_refused;
	struct counted_process processes[COUNTED_MAX_PROCESSES]; /* most dials first */
	size_t n_processes;
	uint64_t n_dialed_by_others; /* by ended programs, or by those that did not fit in here */
	struct counted_place places[COUNTED_MAX_PLACES];
	size_t n_places;
	struct stats_replay_result replay; /* of the recorded uses, with Holdline's own idle timeout; n_uses 0: none */
};

/* Looks the tuple's destination up. `symbolizer` names the call sites; NULL: they keep the addresses in their files. */
void attribution_find(const struct stats_view *view, const struct ports_key *key, uint64_t netns_cookie,
		      struct symbolizer *symbolizer, struct attribution *counted);

/* TIME_WAITs of the tuple that counted dials explain. */
unsigned attribution_explains(const struct attribution *counted, const struct ports_tuple *tuple);
