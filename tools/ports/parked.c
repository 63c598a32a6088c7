/* See parked.h. */
#include "tools/ports/parked.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "tools/base/text.h"
#include "tools/broker/list.h"
#include "tools/broker/path.h"

/* A stopped broker must not block a command that only looks. */
#define PATIENCE_MS 300

static int compare(const void *a, const void *b)
{
	const struct parked *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static void add(void *context, const struct broker_held *held)
{
	struct parked_list *list = context;
	struct parked *entry;

	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		struct parked *grown = realloc(list->entries, room * sizeof(*grown));

		/* Without memory these connections are shown as the broker's. */
		if (!grown)
			return;
		list->entries = grown;
		list->room = room;
	}
	entry = &list->entries[list->n++];
	*entry = (struct parked){.cookie = held->cookie, .port = ntohs(held->key.port), .pid = (pid_t)held->pid};
	_Static_assert(sizeof(entry->name) > sizeof(held->name), "room for a name and its end");
	memcpy(entry->name, held->name, sizeof(held->name));
	text_make_printable(entry->name);
}

void parked_read(struct parked_list *list)
{
	const char *named = getenv("HOLDLINE_BROKER");
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint32_t flags;

	memset(list, 0, sizeof(*list));
	if ((!named || !*named) && broker_path_look(path))
		return;
	if (broker_list_held(named && *named ? named : path, add, list, PATIENCE_MS, &flags))
		list->n = 0;
	if (list->n)
		qsort(list->entries, list->n, sizeof(list->entries[0]), compare);
}

void parked_free(struct parked_list *list)
{
	free(list->entries);
}

const struct parked *parked_find(const struct parked_list *list, uint64_t cookie, uint16_t port)
{
	const struct parked key = {.cookie = cookie};
	const struct parked *found =
		list->n && cookie ? bsearch(&key, list->entries, list->n, sizeof(key), compare) : NULL;

	/* Old kernels number cookies in each network namespace separately. */
	return found && found->port == port ? found : NULL;
}
