/* See servers.h. */
#include "tools/ports/servers.h"

#include <stdlib.h>
#include <string.h>

#define PRIVILEGED_END 1024
#define MIN_CLIENTS 3
/* By chance no port has so many times its share of all such connections, beside MIN_CLIENTS. */
#define SURE_FACTOR 4

/* A client's port is ephemeral, and no other connection of this server goes there. */
static bool may_be_client(const struct ports_sample *sample, const struct ports_tuple *tuple)
{
	unsigned peer = tuple->key.port;

	return ports_tuple_used(tuple) == 1 && peer >= PRIVILEGED_END && peer >= sample->settings.first &&
	       peer <= sample->settings.last && !ports_set_has(sample->listening, peer);
}

static int compare(const void *a, const void *b)
{
	const struct ports_tuple *x = *(struct ports_tuple *const *)a, *y = *(struct ports_tuple *const *)b;

	return x->source_port != y->source_port ? (int)x->source_port - (int)y->source_port
						: memcmp(&x->key.source, &y->key.source, sizeof(x->key.source));
}

static void drop(struct ports_sample *sample, struct ports_tuple *tuple)
{
	struct ports_source *source;

	HASH_FIND(hh, sample->sources, &tuple->key.source, sizeof(tuple->key.source), source);
	if (source)
		source->n_connections--;
	HASH_DEL(sample->tuples, tuple);
	free(tuple->closed);
	free(tuple);
}

/* Connections that are still alive name their tuple: they go before it does. */
static void drop_live(struct ports_sample *sample)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < sample->n_live; i++)
		if (!sample->live[i].tuple->is_servers)
			sample->live[n_kept++] = sample->live[i];
	sample->n_live = n_kept;
}

static size_t mark(struct ports_tuple **clients, size_t n, size_t n_sure)
{
	size_t n_marked = 0, end;

	for (size_t begin = 0; begin < n; begin = end) {
		for (end = begin + 1; end < n && compare(&clients[begin], &clients[end]) == 0;)
			end++;
		for (size_t i = begin; end - begin >= n_sure && i < end; i++, n_marked++)
			clients[i]->is_servers = true;
	}
	return n_marked;
}

void servers_drop(struct ports_sample *sample)
{
	size_t n_tuples = HASH_COUNT(sample->tuples), n = 0;
	struct ports_tuple **clients = n_tuples ? malloc(n_tuples * sizeof(clients[0])) : NULL;

	/* Without memory they are shown as destinations. */
	if (!clients)
		return;
	for (struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next)
		if (may_be_client(sample, tuple))
			clients[n++] = tuple;
	qsort(clients, n, sizeof(clients[0]), compare);
	if (sample->n_usable && mark(clients, n, MIN_CLIENTS + SURE_FACTOR * n / sample->n_usable)) {
		drop_live(sample);
		for (size_t i = 0; i < n; i++)
			if (clients[i]->is_servers)
				drop(sample, clients[i]);
	}
	free(clients);
}
