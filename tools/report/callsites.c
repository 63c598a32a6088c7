/* Call sites with their names. See make.h. */
#include "tools/report/make.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/base/text.h"
#include "tools/stats/counts.h"
#include "tools/stats/symbolize.h"
#include "tools/stats/view.h"

#define MAX_CALLSITES 100

static void add_text(cJSON *object, const char *name, const char *text)
{
	char *valid = text_make_utf8(text);

	cJSON_AddStringToObject(object, name, valid ? valid : "");
	free(valid);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* As short as possible while it can be found: "client.c:88", or "libcurl.so.4+0x1f00". */
static void add_place(cJSON *object, struct symbolizer *symbolizer, const struct stats_view_frame *frame)
{
	const char *module = frame->module ? frame->module->path : "";
	struct symbolize_place place = {0};
	char offset[32], location[512];

	if (symbolizer && frame->module)
		symbolize(symbolizer, module, frame->offset, &place);
	snprintf(offset, sizeof(offset), "0x%" PRIx64, frame->offset);
	if (place.file)
		snprintf(location, sizeof(location), "%s:%d", last_part(place.file), place.line);
	else
		snprintf(location, sizeof(location), "%s%s%s", last_part(module), *module ? "+" : "", offset);
	add_text(object, "location", location);
	add_text(object, "module", module);
	cJSON_AddStringToObject(object, "offset", offset);
	if (place.function)
		add_text(object, "function", place.function);
	if (place.file) {
		add_text(object, "file", place.file);
		cJSON_AddNumberToObject(object, "line", place.line);
	}
}

static void add_callsite(cJSON *array, struct symbolizer *symbolizer, const struct stats_view_callsite *callsite)
{
	const struct stats_view_callsite_key *key = &callsite->key;
	cJSON *object = cJSON_CreateObject(), *callers;
	char name[STATS_COUNTS_NAME_MAX];

	add_place(object, symbolizer, &key->frames[0]);
	if (*key->program)
		add_text(object, "program", key->program);
	cJSON_AddStringToObject(object, "destination", stats_counts_name(&key->destination->sum, name));
	cJSON_AddNumberToObject(object, "connects", (double)callsite->connects);
	cJSON_AddNumberToObject(object, "dialed", (double)callsite->dialed);
	callers = key->n_frames > 1 ? cJSON_AddArrayToObject(object, "callers") : NULL;
	for (uint64_t i = 1; i < key->n_frames; i++) {
		cJSON *caller = cJSON_CreateObject();

		add_place(caller, symbolizer, &key->frames[i]);
		cJSON_AddItemToArray(callers, caller);
	}
	cJSON_AddItemToArray(array, object);
}

struct cJSON *report_make_callsites(const struct stats_view *view)
{
	struct symbolizer *symbolizer = symbolizer_new(true);
	const struct stats_view_callsite *callsite = view->callsites;
	cJSON *array = cJSON_CreateArray();

	for (int i = 0; callsite && i < MAX_CALLSITES; i++, callsite = callsite->hh.next)
		add_callsite(array, symbolizer, callsite);
	symbolizer_free(symbolizer);
	return array;
}
