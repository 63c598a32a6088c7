/* See ports.h. There may be as many tuples as sockets: nothing here is quadratic. */
#include "tools/ports/ports.h"

#include "tools/ports/servers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PRIVILEGED_END 1024
#define TIGHT_SHARE 0.6

int ports_settings_reserve(struct ports_settings *settings, const char *text)
{
	while (*text && *text != '\n') {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text)
			return -EINVAL;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
		}
		if (end == text || last > UINT16_MAX || first > last)
			return -EINVAL;
		for (unsigned long port = first; port <= last; port++)
			ports_set_add(settings->reserved, (unsigned)port);
		text = *end == ',' ? end + 1 : end;
	}
	return 0;
}

static bool is_loopback(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

bool ports_settings_reuse(const struct ports_settings *settings, const struct ports_key *key)
{
	if (!settings->has_timestamps || settings->reuse == 0)
		return false;
	return settings->reuse == 1 || is_loopback(&key->source) || is_loopback(&key->destination);
}

void ports_sample_init(struct ports_sample *sample, const struct ports_settings *settings, unsigned window_ms)
{
	memset(sample, 0, sizeof(*sample));
	sample->settings = *settings;
	sample->window_ms = window_ms;
}

void ports_sample_fini(struct ports_sample *sample)
{
	struct ports_tuple *tuple, *next_tuple;
	struct ports_source *source, *next_source;

	HASH_ITER(hh, sample->tuples, tuple, next_tuple)
	{
		HASH_DEL(sample->tuples, tuple);
		free(tuple->closed);
		free(tuple);
	}
	HASH_ITER(hh, sample->sources, source, next_source)
	{
		HASH_DEL(sample->sources, source);
		free(source->in_use);
		free(source);
	}
	free(sample->holders);
	free(sample->live);
	free(sample->fixed);
	memset(sample, 0, sizeof(*sample));
}

static bool is_in_range(const struct ports_sample *sample, unsigned port)
{
	return port >= sample->settings.first && port <= sample->settings.last;
}

/* True if connect() may choose that port. */
static bool is_usable(const struct ports_sample *sample, unsigned port)
{
	return is_in_range(sample, port) && !ports_set_has(sample->settings.reserved, port) &&
	       !ports_set_has(sample->listening, port) && !ports_set_has(sample->bound, port);
}

/* Room for one more element of the array that the pointer at `array` points to; doubled at each power of two. NULL: no
 * memory. */
static void *grow(struct ports_sample *sample, void *array, size_t *n, size_t size)
{
	void *elements;

	memcpy(&elements, array, sizeof(elements));
	if ((*n & (*n - 1)) == 0) {
		void *more = realloc(elements, (*n ? *n * 2 : 1) * size);

		if (!more) {
			sample->is_incomplete = true;
			return NULL;
		}
		elements = more;
		memcpy(array, &elements, sizeof(elements));
	}
	return (char *)elements + (*n)++ * size;
}

#define GROW(sample, array, n) grow(sample, &(array), &(n), sizeof(*(array)))

static void add_holder(struct ports_sample *sample, const struct sock_diag_socket *socket)
{
	bool listens = socket->state == TCP_LISTEN;
	struct ports_holder *holder;

	ports_set_add(listens ? sample->listening : sample->bound, socket->source_port);
	if (!is_in_range(sample, socket->source_port) || ports_set_has(sample->settings.reserved, socket->source_port))
		return;
	holder = GROW(sample, sample->holders, sample->n_holders);
	if (holder)
		*holder = (struct ports_holder){.address = socket->source,
						.port = socket->source_port,
						.listens = listens,
						.inode = socket->inode,
						.uid = socket->uid};
}

struct ports_tuple *ports_sample_find(const struct ports_sample *sample, const struct ports_key *key)
{
	struct ports_tuple *tuple;

	HASH_FIND(hh, sample->tuples, key, sizeof(*key), tuple);
	return tuple;
}

static void set_key(struct ports_key *key, const struct sock_diag_socket *socket)
{
	bool is_local = IN6_IS_ADDR_LINKLOCAL(&socket->destination);

	*key = (struct ports_key){socket->source, socket->destination, is_local ? socket->interface : 0,
				  socket->destination_port};
}

static struct ports_tuple *take_tuple(struct ports_sample *sample, const struct sock_diag_socket *socket)
{
	struct ports_tuple *tuple;
	struct ports_key key;

	set_key(&key, socket);
	tuple = ports_sample_find(sample, &key);
	if (tuple || !(tuple = calloc(1, sizeof(*tuple))))
		return tuple;
	tuple->key = key;
	HASH_ADD(hh, sample->tuples, key, sizeof(tuple->key), tuple);
	if (tuple->hh.tbl)
		return tuple;
	free(tuple);
	return NULL;
}

static struct ports_source *take_source(struct ports_sample *sample, const struct in6_addr *address)
{
	struct ports_source *source;

	HASH_FIND(hh, sample->sources, address, sizeof(*address), source);
	if (source || !(source = calloc(1, sizeof(*source))))
		return source;
	source->address = *address;
	source->in_use = calloc(1, PORTS_SET_BYTES);
	if (source->in_use) {
		HASH_ADD(hh, sample->sources, address, sizeof(source->address), source);
		if (source->hh.tbl)
			return source;
	}
	free(source->in_use);
	free(source);
	return NULL;
}

static void note_source(struct ports_sample *sample, const struct sock_diag_socket *socket)
{
	struct ports_source *source = take_source(sample, &socket->source);

	if (!source) {
		sample->is_incomplete = true;
		return;
	}
	source->n_connections++;
	source->n_ports += !ports_set_has(source->in_use, socket->source_port);
	ports_set_add(source->in_use, socket->source_port);
}

static void add_time_wait(struct ports_sample *sample, struct ports_tuple *tuple, uint32_t expires_ms)
{
	/* Timers fire late rather than early: an age may exceed the minute a little. */
	uint32_t span_ms = PORTS_TIME_WAIT_S * 1000, age_ms = expires_ms < span_ms ? span_ms - expires_ms : 0;
	uint32_t bin = age_ms * PORTS_BINS_A_SECOND / 1000;

	tuple->n_time_wait++;
	tuple->n_recent += age_ms < sample->window_ms;
	tuple->n_young +=
		!ports_settings_reuse(&sample->settings, &tuple->key) || age_ms < sample->settings.reuse_delay_ms;
	if (!tuple->closed)
		tuple->closed = calloc(PORTS_N_BINS, sizeof(tuple->closed[0]));
	if (tuple->closed)
		tuple->closed[bin < PORTS_N_BINS ? bin : PORTS_N_BINS - 1]++;
	else
		sample->is_incomplete = true;
}

static void add_live(struct ports_sample *sample, struct ports_tuple *tuple, const struct sock_diag_socket *socket)
{
	struct ports_live *live;

	if (socket->state == TCP_ESTABLISHED)
		tuple->n_established++;
	else
		tuple->n_other++;
	tuple->n_unanswered += socket->state == TCP_SYN_SENT && socket->n_retransmits > 0;
	if (socket->inode == 0)
		return;
	live = GROW(sample, sample->live, sample->n_live);
	if (live)
		*live = (struct ports_live){
			.inode = socket->inode, .uid = socket->uid, .cookie = socket->cookie, .tuple = tuple};
}

/* Is it a server's end of a connection, or a client's that bound a port of its own choice? A server's port is listened
 * on, or its peers have ephemeral ports. */
static void add_other(struct ports_sample *sample, const struct sock_diag_socket *socket)
{
	unsigned peer = socket->destination_port;
	struct ports_fixed *fixed;

	if (ports_set_has(sample->listening, socket->source_port))
		return;
	if (!ports_set_has(sample->listening, peer) && peer >= PRIVILEGED_END && is_in_range(sample, peer)) {
		ports_set_add(sample->serving, socket->source_port);
		return;
	}
	fixed = GROW(sample, sample->fixed, sample->n_fixed);
	if (!fixed)
		return;
	*fixed = (struct ports_fixed){.source_port = socket->source_port,
				      .state = socket->state,
				      .expires_ms = socket->expires_ms,
				      .inode = socket->inode,
				      .uid = socket->uid};
	set_key(&fixed->key, socket);
}

void ports_sample_add(void *context, const struct sock_diag_socket *socket)
{
	struct ports_sample *sample = context;
	struct ports_tuple *tuple;

	sample->n_sockets++;
	sample->n_time_wait += socket->state == TCP_TIME_WAIT;
	if (SOCK_DIAG_STATE(socket->state) & SOCK_DIAG_HOLDERS) {
		add_holder(sample, socket);
		return;
	}
	if (!is_usable(sample, socket->source_port)) {
		add_other(sample, socket);
		return;
	}
	tuple = take_tuple(sample, socket);
	if (!tuple) {
		sample->is_incomplete = true;
		return;
	}
	tuple->source_port = socket->source_port;
	note_source(sample, socket);
	if (socket->state == TCP_TIME_WAIT)
		add_time_wait(sample, tuple, socket->expires_ms);
	else
		add_live(sample, tuple, socket);
}

bool ports_sample_is_tight(const struct ports_sample *sample)
{
	unsigned n_range = sample->settings.last - sample->settings.first + 1u;

	for (const struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next)
		if (ports_tuple_used(tuple) >= TIGHT_SHARE * n_range)
			return true;
	return sample->n_fixed > 0;
}

static int compare_tuples(const struct ports_tuple *a, const struct ports_tuple *b)
{
	unsigned used_a = ports_tuple_used(a), used_b = ports_tuple_used(b);

	return used_a != used_b ? (used_a < used_b) - (used_a > used_b) : memcmp(&a->key, &b->key, sizeof(a->key));
}

static int compare_sources(const struct ports_source *a, const struct ports_source *b)
{
	return (a->n_ports < b->n_ports) - (a->n_ports > b->n_ports);
}

static int compare_live(const void *a, const void *b)
{
	const struct ports_live *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static int compare_holders(const void *a, const void *b)
{
	const struct ports_holder *x = a, *y = b;

	return x->port - y->port;
}

/* Sorts the connections, and gives each tuple its own: a search through all of them for each would be quadratic. */
static void sort_live(struct ports_sample *sample)
{
	if (sample->n_live)
		qsort(sample->live, sample->n_live, sizeof(sample->live[0]), compare_live);
	for (struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next)
		tuple->live = NULL;
	for (size_t i = sample->n_live; i > 0; i--) {
		struct ports_live *live = &sample->live[i - 1];

		live->next = live->tuple->live;
		live->tuple->live = live;
	}
}

void ports_sample_seal(struct ports_sample *sample)
{
	size_t n_kept = 0;

	sample->n_range = sample->settings.last - sample->settings.first + 1u;
	sample->n_reserved = sample->n_usable = 0;
	for (unsigned port = sample->settings.first; port <= sample->settings.last; port++) {
		bool is_reserved = ports_set_has(sample->settings.reserved, port);

		sample->n_reserved += is_reserved;
		sample->n_usable += is_usable(sample, port);
	}
	sample->n_held = sample->n_range - sample->n_reserved - sample->n_usable;
	servers_drop(sample);
	for (struct ports_source *source = sample->sources; source; source = source->hh.next)
		source->n_tuples = 0;
	for (struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next) {
		struct ports_source *source = take_source(sample, &tuple->key.source);

		if (source)
			source->n_tuples++;
	}
	HASH_SORT(sample->tuples, compare_tuples);
	HASH_SORT(sample->sources, compare_sources);
	sort_live(sample);
	if (sample->n_holders)
		qsort(sample->holders, sample->n_holders, sizeof(sample->holders[0]), compare_holders);
	/* Only now are all ports known that have served. */
	for (size_t i = 0; i < sample->n_fixed; i++)
		if (!ports_set_has(sample->serving, sample->fixed[i].source_port))
			sample->fixed[n_kept++] = sample->fixed[i];
	for (size_t i = 0; i < n_kept; i++)
		sample->fixed[i].is_wanted = ports_set_has(sample->bound, sample->fixed[i].source_port);
	sample->n_fixed = n_kept;
}

static bool has_inode(const struct ports_sample *sample, const struct ports_live *live)
{
	return sample->n_live &&
	       bsearch(live, sample->live, sample->n_live, sizeof(sample->live[0]), compare_live) != NULL;
}

void ports_sample_compare(struct ports_sample *sample, const struct ports_sample *before)
{
	for (const struct ports_tuple *old = before->tuples; old; old = old->hh.next) {
		struct ports_tuple *tuple = ports_sample_find(sample, &old->key);

		if (tuple)
			tuple->n_before = ports_tuple_alive(old);
	}
	for (size_t i = 0; i < sample->n_live; i++)
		sample->live[i].tuple->n_born += !has_inode(before, &sample->live[i]);
	for (size_t i = 0; i < before->n_live; i++) {
		struct ports_tuple *tuple;

		if (has_inode(sample, &before->live[i]))
			continue;
		tuple = ports_sample_find(sample, &before->live[i].tuple->key);
		if (tuple)
			tuple->n_gone++;
	}
}
