/* See callsite.h. */
#include "shim/base/callsite.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "shim/base/real.h"
#include "shim/base/stats_page.h"
#include "shim/base/symbols.h"

#ifdef __GLIBC__
#include <execinfo.h>
#else
/* musl has none: of a stack there is only the caller. */
static int backtrace(void **frames, int n)
{
	(void)frames, (void)n;
	return 0;
}
#endif

/* The first members of glibc's struct dl_find_object, which stay (dl_find_object(3), <dlfcn.h>). */
struct found_object {
	unsigned long long flags;
	void *begin, *end;
	struct link_map *map;
	uint64_t more[16];
};

/* Of backtrace()'s frames the first few are our own. */
#define OWN_FRAMES_MAX 8

static enum config_callsites wanted_kind; /* immutable after init, as is all of these */
/* dladdr() takes the loader's lock; this one (glibc 2.35) takes none. NULL: addresses stay as they are. */
static int (*find_object)(void *address, struct found_object *result);

/* The last one of each thread: most programs connect from one place. */
static __thread struct {
	void *caller;
	struct stats_destination *destination;
	struct stats_callsite *callsite;
} last __attribute__((tls_model("initial-exec")));

void callsite_init(const struct config *config)
{
	static const uint16_t offset = 0;
	static const struct symbols_list list = {"_dl_find_object", &offset, 1};
	void *first;

	wanted_kind = config->callsites;
	if (wanted_kind == CONFIG_CALLSITES_OFF)
		return;
	symbols_bind_libc(&list, &find_object);
	/* Its first call loads a library, which allocates. */
	if (wanted_kind == CONFIG_CALLSITES_STACK)
		backtrace(&first, 1);
}

static void note_frame(struct stats_callsite *callsite, void *address)
{
	uint32_t at = callsite->n_frames++;
	struct found_object object;
	const struct link_map *map;

	callsite->offset[at] = (uint64_t)(uintptr_t)address;
	callsite->module[at] = STATS_NO_MODULE;
	if (!find_object || find_object(address, &object) || !object.map)
		return;
	map = object.map;
	callsite->module[at] = map->l_name[0] ? stats_find_module(page, map->l_name, map->l_addr)
					      : stats_page_find_program(map->l_addr);
	if (callsite->module[at] != STATS_NO_MODULE)
		callsite->offset[at] -= map->l_addr;
}

static void note_stack(struct stats_callsite *callsite, void *caller)
{
	void *frames[OWN_FRAMES_MAX + STATS_MAX_FRAMES];
	int n = backtrace(frames, OWN_FRAMES_MAX + STATS_MAX_FRAMES), first = 0;

	while (first < n && frames[first] != caller)
		first++;
	for (int i = first + 1; i < n && callsite->n_frames < STATS_MAX_FRAMES; i++)
		if (frames[i])
			note_frame(callsite, frames[i]);
}

struct stats_callsite *callsite_find(struct stats_destination *destination, void *caller)
{
	struct stats_callsite wanted = {
		.destination = (uint32_t)(destination - stats_destination_at(page, 0)),
	};

	if (wanted_kind == CONFIG_CALLSITES_OFF)
		return NULL;
	if (wanted_kind == CONFIG_CALLSITES_ADDRESS && last.caller == caller && last.destination == destination)
		return last.callsite;
	note_frame(&wanted, caller);
	if (wanted_kind == CONFIG_CALLSITES_STACK)
		note_stack(&wanted, caller);
	last.callsite = stats_find_callsite(page, &wanted);
	last.destination = destination;
	last.caller = caller;
	return last.callsite;
}
