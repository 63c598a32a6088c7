/*
 * Any bytes as a page of counters. Input: a kind, then the page; half of the inputs get a good header first, so that
 * the rest is parsed.
 *   - An unsound page is refused; a sound one is added, whatever it contains, without reading beyond it;
 *   - the view's totals are the sums over its destinations, call sites belong to destinations of the view, intervals
 *     are in order, and their replay needs no more connections than there are intervals;
 *   - adding the page to a total, and that to a view, gives the same sums;
 *   - so does the copy of it that a reader of its file makes, which leaves out the room that nothing uses.
 */
#include "tools/stats/view.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/stats/counts.h"
#include "tools/stats/page_file.h"
#include "tools/stats/replay.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_destinations(const struct stats_view *view)
{
	const struct stats_view_destination *destination;
	char name[STATS_COUNTS_NAME_MAX];
	struct stats_counts sum = {0};

	for (destination = view->destinations; destination; destination = destination->hh.next) {
		MUST(strlen(stats_counts_name(&destination->sum, name)) < sizeof(name));
		MUST(stats_view_find(view, &destination->sum));
		stats_add_counts(&sum, &destination->sum.counts);
		stats_counts_dial_time_ns(&destination->sum.counts, 0.99);
	}
	MUST(memcmp(&sum, &view->totals, sizeof(sum)) == 0);
}

static void check_callsites(const struct stats_view *view)
{
	const struct stats_view_callsite *callsite;

	for (callsite = view->callsites; callsite; callsite = callsite->hh.next) {
		MUST(callsite->key.n_frames <= STATS_MAX_FRAMES);
		MUST(stats_view_find(view, &callsite->key.destination->sum));
		MUST(strlen(callsite->key.program) <= STATS_NAME_MAX);
		for (uint64_t i = 0; i < callsite->key.n_frames; i++)
			MUST(!callsite->key.frames[i].module ||
			     strlen(callsite->key.frames[i].module->path) <= STATS_PATH_MAX);
	}
}

static void check_intervals(const struct stats_view *view)
{
	struct stats_replay_use *uses = calloc(view->n_intervals + 1, sizeof(*uses));
	struct stats_replay_result result;

	for (size_t i = 0; i < view->n_intervals; i++) {
		MUST(i == 0 || view->intervals[i - 1].began_ns <= view->intervals[i].began_ns);
		uses[i] = (struct stats_replay_use){view->intervals[i].began_ns, view->intervals[i].ended_ns,
						    view->intervals[i].was_kept};
	}
	MUST(stats_replay(uses, view->n_intervals, 60000000000, &result) == 0);
	MUST(result.pool_size <= result.n_dials && result.n_dials <= result.n_uses);
	free(uses);
}

static void view_page(const struct stats_page *page, enum stats_view_kind kind, struct stats_counts *totals)
{
	struct stats_view view;

	stats_view_init(&view);
	stats_view_add(&view, page, kind);
	stats_view_add(&view, page, STATS_VIEW_ENDED);
	stats_view_seal(&view);
	check_destinations(&view);
	check_callsites(&view);
	check_intervals(&view);
	*totals = view.totals;
	stats_view_fini(&view);
}

static void check_folding(struct stats_page *page, const struct stats_counts *twice)
{
	static const uint32_t room[STATS_N_ARRAYS] = STATS_TOTAL_ROOM;
	struct stats_page *total = calloc(1, stats_size(room));
	struct stats_counts totals;

	stats_init(total, room);
	stats_fold(total, page);
	view_page(total, STATS_VIEW_TOTAL, &totals);
	MUST(memcmp(&totals, twice, sizeof(totals)) == 0);
	free(total);
}

#define SLOT "0001"

static char folder[] = "/dev/shm/holdline-fuzz-XXXXXX";

static void remove_folder(void)
{
	char path[sizeof(folder) + sizeof(SLOT)];

	snprintf(path, sizeof(path), "%s/" SLOT, folder);
	unlink(path);
	rmdir(folder);
}

static int open_folder(void)
{
	static int fd = -1;

	if (fd >= 0)
		return fd;
	MUST(mkdtemp(folder));
	atexit(remove_folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY);
	MUST(fd >= 0);
	return fd;
}

static void check_copies(struct stats_page *page, size_t size, const struct stats_counts *twice)
{
	int file = openat(open_folder(), SLOT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct stats_counts totals;

	page->pid |= 1; /* whose owner is gone is not copied */
	MUST(write(file, page, size) == (ssize_t)size);
	close(file);
	for (int has_counts_only = 0; size <= STATS_PAGE_SIZE && has_counts_only < 2; has_counts_only++) {
		struct stats_page *copy = page_file_read_used(open_folder(), SLOT, geteuid(), has_counts_only);

		MUST(copy);
		view_page(copy, STATS_VIEW_LIVING, &totals);
		MUST(memcmp(&totals, twice, sizeof(totals)) == 0);
		free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t room[STATS_N_ARRAYS] = {3, 3, 2, 4};
	struct stats_counts totals;
	struct stats_page *page;

	if (size < 2)
		return 0;
	page = calloc(1, stats_size(room) + size);
	memcpy(page, data + 1, size - 1);
	if (data[0] % 2) {
		memset(page, 0, sizeof(page->magic));
		stats_init(page, room);
		size += stats_size(room);
	}
	if (stats_is_sound(page, size - 1)) {
		view_page(page, (enum stats_view_kind)(data[0] / 2 % 3), &totals);
		check_copies(page, size - 1, &totals);
		check_folding(page, &totals);
	}
	free(page);
	return 0;
}
