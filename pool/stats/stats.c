/* Layout of a page of counters, claims of its entries, adding pages up. See stats.h. */
#include "pool/stats/stats.h"

#include <errno.h>
#include <string.h>

#include "pool/conn/destination.h"

#define HASH_FREE 0u
#define HASH_BUSY 1u
/* Filling an entry takes nanoseconds, unless the thread was interrupted. */
#define PATIENCE 200

const char *const stats_refusal_names[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = "none",
	[REFUSAL_SERVER_CLOSE] = "server_close",
	[REFUSAL_HTTP10] = "http10",
	[REFUSAL_NO_FRAMING] = "no_framing",
	[REFUSAL_CLIENT_CLOSE] = "client_close",
	[REFUSAL_BODY_UNREAD] = "body_unread",
	[REFUSAL_NOT_CANONICAL] = "not_canonical",
	[REFUSAL_UPGRADE] = "upgrade",
	[REFUSAL_UNSAFE_METHOD] = "unsafe_method",
	[REFUSAL_IDLE_TIMEOUT] = "idle_timeout",
	[REFUSAL_SERVER_IDLE_CLOSE] = "server_idle_close",
	[REFUSAL_STALE] = "stale",
	[REFUSAL_POOL_FULL] = "pool_full",
	[REFUSAL_SHARED] = "shared",
	[REFUSAL_AUTH_BOUND] = "auth_bound",
	[REFUSAL_SOCKOPT] = "sockopt",
	[REFUSAL_LEDGER] = "ledger",
	[REFUSAL_ERROR] = "error",
	[REFUSAL_TLS_OPAQUE] = "tls_opaque",
	[REFUSAL_UNKNOWN_PROTOCOL] = "unknown_protocol",
	[REFUSAL_POLICY] = "policy",
	[REFUSAL_PROBED] = "probed",
	[REFUSAL_BYPASSED] = "bypassed",
	[REFUSAL_HTTP2] = "http2",
	[REFUSAL_CLIENT_CERTIFICATE] = "client_certificate",
	[REFUSAL_TLS_VERSION] = "tls_version",
	[REFUSAL_TLS_RESUMED] = "tls_resumed",
	[REFUSAL_SESSION_STATE] = "session_state",
	[REFUSAL_UNFINISHED_REPLY] = "unfinished_reply",
	[REFUSAL_AUTHENTICATED] = "authenticated",
	[REFUSAL_FENCE_FAILED] = "fence_failed",
	[REFUSAL_REFUSED_COMMAND] = "refused_command",
	[REFUSAL_FIRST_LOGIN] = "first_login",
};

const char *const stats_counter_names[STATS_N_COUNTERS] = {
	[STATS_CONNECTS] = "connects",	   [STATS_DIALED] = "dialed",	  [STATS_ABANDONED] = "abandoned",
	[STATS_LEASED] = "leased",	   [STATS_REUSED] = "reused",	  [STATS_BORROWED] = "borrowed",
	[STATS_PARKED] = "parked",	   [STATS_REPLAYED] = "replayed", [STATS_REUSABLE] = "reusable",
	[STATS_PORT_WAITS] = "port_waits",
};

const int stats_errors[STATS_N_ERRORS] = {EADDRNOTAVAIL, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET,
					  EADDRINUSE,	 ECONNABORTED, 0};
const char *const stats_error_names[STATS_N_ERRORS] = {
	"EADDRNOTAVAIL", "ECONNREFUSED", "ETIMEDOUT",	 "EHOSTUNREACH", "ENETUNREACH",
	"ECONNRESET",	 "EADDRINUSE",	 "ECONNABORTED", "other",
};

static const size_t entry_sizes[STATS_N_ARRAYS] = {
	[STATS_DESTINATIONS] = sizeof(struct stats_destination),
	[STATS_CALLSITES] = sizeof(struct stats_callsite),
	[STATS_MODULES] = sizeof(struct stats_module),
	[STATS_INTERVALS] = sizeof(struct stats_interval),
};

static size_t hashes_size(const uint32_t n_max[STATS_N_ARRAYS])
{
	size_t n = (size_t)n_max[STATS_DESTINATIONS] + n_max[STATS_CALLSITES] + n_max[STATS_MODULES];

	return (n + n % 2) * sizeof(uint32_t);
}

size_t stats_offset(const uint32_t n_max[STATS_N_ARRAYS], int array)
{
	size_t offset = sizeof(struct stats_page) + hashes_size(n_max);

	for (int i = 0; i < array; i++)
		offset += n_max[i] * entry_sizes[i];
	return offset;
}

size_t stats_size(const uint32_t n_max[STATS_N_ARRAYS])
{
	return stats_offset(n_max, STATS_N_ARRAYS);
}

static void *entry_at(const struct stats_page *page, enum stats_array array, uint32_t index)
{
	return (char *)page + stats_offset(page->n_max, array) + index * entry_sizes[array];
}

struct stats_destination *stats_destination_at(const struct stats_page *page, uint32_t index)
{
	return entry_at(page, STATS_DESTINATIONS, index);
}

struct stats_callsite *stats_callsite_at(const struct stats_page *page, uint32_t index)
{
	return entry_at(page, STATS_CALLSITES, index);
}

struct stats_module *stats_module_at(const struct stats_page *page, uint32_t index)
{
	return entry_at(page, STATS_MODULES, index);
}

struct stats_interval *stats_interval_at(const struct stats_page *page, uint32_t index)
{
	return entry_at(page, STATS_INTERVALS, index);
}

static _Atomic(uint32_t) *hashes_of(const struct stats_page *page, enum stats_array array)
{
	void *first = (char *)page + sizeof(*page);
	size_t n_before = 0;

	for (int i = 0; i < (int)array; i++)
		n_before += page->n_max[i];
	return (_Atomic(uint32_t) *)first + n_before;
}

bool stats_has(const struct stats_page *page, enum stats_array array, uint32_t index)
{
	return atomic_load_explicit(&hashes_of(page, array)[index], memory_order_acquire) > HASH_BUSY;
}

void stats_init(struct stats_page *page, const uint32_t n_max[STATS_N_ARRAYS])
{
	memcpy(page->magic, STATS_MAGIC, sizeof(page->magic));
	page->version = STATS_VERSION;
	memcpy(page->n_max, n_max, sizeof(page->n_max));
	hashes_of(page, STATS_DESTINATIONS)[0] = HASH_BUSY + 1;
}

bool stats_is_sound(const struct stats_page *page, size_t length)
{
	if (length < sizeof(*page) || memcmp(page->magic, STATS_MAGIC, sizeof(page->magic)) != 0 ||
	    page->version != STATS_VERSION)
		return false;
	for (int i = 0; i < STATS_N_ARRAYS; i++)
		if (!page->n_max[i] || page->n_max[i] > length / entry_sizes[i])
			return false;
	return stats_size(page->n_max) <= length;
}

/* FNV-1a; never one of the two reserved values. */
static uint32_t hash_bytes(const void *bytes, size_t length, uint32_t seed)
{
	const unsigned char *byte = bytes;
	uint32_t hash = seed ^ 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ byte[i]) * 16777619u;
	return hash > HASH_BUSY ? hash : hash + 2;
}

/* Waits until the entry is filled. Its hash, or HASH_BUSY if that takes too long: perhaps we interrupted the thread
 * that fills it. */
static uint32_t settled_hash(_Atomic(uint32_t) *hash)
{
	uint32_t value = atomic_load_explicit(hash, memory_order_acquire);

	for (int i = 0; i < PATIENCE && value == HASH_BUSY; i++)
		value = atomic_load_explicit(hash, memory_order_acquire);
	return value;
}

struct claim {
	struct stats_page *page;
	enum stats_array array;
	uint32_t hash;
	const void *wanted;
	bool (*is_same)(const void *one, const void *other);
	void (*fill)(void *entry, const void *wanted);
};

/* False: another thread has claimed it, perhaps for the very key that we want. */
static bool claim_entry(const struct claim *claim, _Atomic(uint32_t) *hash, void *entry)
{
	uint32_t expected = HASH_FREE;

	if (!atomic_compare_exchange_strong(hash, &expected, HASH_BUSY))
		return false;
	claim->fill(entry, claim->wanted);
	atomic_store_explicit(hash, claim->hash, memory_order_release);
	return true;
}

/* The entry equal to the wanted one, or a free one filled with it; NULL: no room. */
static void *find_or_claim(const struct claim *claim)
{
	_Atomic(uint32_t) *hashes = hashes_of(claim->page, claim->array);
	uint32_t n_max = claim->page->n_max[claim->array];
	char *entry = entry_at(claim->page, claim->array, 0);

	for (uint32_t i = 0; i < n_max; i++, entry += entry_sizes[claim->array]) {
		if (settled_hash(&hashes[i]) == HASH_FREE && claim_entry(claim, &hashes[i], entry))
			return entry;
		if (settled_hash(&hashes[i]) == claim->hash && claim->is_same(entry, claim->wanted))
			return entry;
	}
	return NULL;
}

static bool is_same_destination(const void *one, const void *other)
{
	return stats_is_same_destination(one, other);
}

bool stats_is_same_destination(const struct stats_destination *one, const struct stats_destination *other)
{
	return one->family == other->family && one->port == other->port && one->scope_id == other->scope_id &&
	       one->netns_cookie == other->netns_cookie &&
	       memcmp(one->address, other->address, sizeof(one->address)) == 0;
}

static void fill_destination(void *entry, const void *wanted)
{
	memcpy(entry, wanted, offsetof(struct stats_destination, active));
}

struct stats_destination *stats_find_same(struct stats_page *page, const struct stats_destination *wanted)
{
	struct claim claim = {.page = page,
			      .array = STATS_DESTINATIONS,
			      .hash = hash_bytes(wanted, offsetof(struct stats_destination, active), 0),
			      .wanted = wanted,
			      .is_same = is_same_destination,
			      .fill = fill_destination};
	struct stats_destination *found = wanted->family ? find_or_claim(&claim) : NULL;

	return found ? found : stats_destination_at(page, 0);
}

struct stats_destination *stats_find(struct stats_page *page, const struct destination_key *key)
{
	struct stats_destination wanted = {
		.netns_cookie = key->netns_cookie, .scope_id = key->scope_id, .family = key->family, .port = key->port};

	memcpy(wanted.address, key->address, sizeof(wanted.address));
	return stats_find_same(page, &wanted);
}

static bool is_same_callsite(const void *one, const void *other)
{
	const struct stats_callsite *a = one, *b = other;

	return a->destination == b->destination && a->n_frames == b->n_frames &&
	       memcmp(a->offset, b->offset, sizeof(a->offset)) == 0 &&
	       memcmp(a->module, b->module, sizeof(a->module)) == 0;
}

static void fill_callsite(void *entry, const void *wanted)
{
	struct stats_callsite *callsite = entry;

	*callsite = *(const struct stats_callsite *)wanted;
	callsite->connects = 0;
	callsite->dialed = 0;
}

struct stats_callsite *stats_find_callsite(struct stats_page *page, const struct stats_callsite *wanted)
{
	struct claim claim = {
		.page = page,
		.array = STATS_CALLSITES,
		.hash = hash_bytes(wanted->offset, sizeof(wanted->offset),
				   wanted->destination * 31 + wanted->n_frames + wanted->module[0] * 977u),
		.wanted = wanted,
		.is_same = is_same_callsite,
		.fill = fill_callsite};

	return find_or_claim(&claim);
}

static bool is_same_module(const void *one, const void *other)
{
	const struct stats_module *a = one, *b = other;

	return strncmp(a->path, b->path, STATS_PATH_MAX) == 0;
}

static void fill_module(void *entry, const void *wanted)
{
	memcpy(entry, wanted, sizeof(struct stats_module));
}

uint8_t stats_find_module(struct stats_page *page, const char *path, uint64_t load_address)
{
	size_t length = strnlen(path, STATS_PATH_MAX);
	struct stats_module wanted = {.load_address = load_address}, *found;
	struct claim claim = {.page = page,
			      .array = STATS_MODULES,
			      .hash = hash_bytes(path, length, 0),
			      .wanted = &wanted,
			      .is_same = is_same_module,
			      .fill = fill_module};

	if (length == STATS_PATH_MAX)
		return STATS_NO_MODULE;
	memcpy(wanted.path, path, length);
	found = find_or_claim(&claim);
	return found ? (uint8_t)(found - stats_module_at(page, 0)) : STATS_NO_MODULE;
}

void stats_count_dial(struct stats_destination *destination, uint64_t duration_ns)
{
	int bucket = 0;

	if (!destination)
		return;
	while (bucket < STATS_N_DIAL_TIMES - 1 && duration_ns > STATS_DIAL_TIME_NS(bucket))
		bucket++;
	stats_add(&destination->counts.counter[STATS_DIALED], 1);
	stats_add(&destination->counts.dial_times[bucket], 1);
	stats_add(&destination->counts.dial_time_ns, duration_ns);
}

void stats_count_failure(struct stats_destination *destination, int error)
{
	int i = 0;

	if (!destination)
		return;
	while (i < STATS_N_ERRORS - 1 && stats_errors[i] != error)
		i++;
	stats_add(&destination->counts.failed[i], 1);
}

uint32_t stats_index_of(const struct stats_page *page, const struct stats_destination *destination)
{
	return (uint32_t)(destination - stats_destination_at(page, 0));
}

void stats_add_interval(struct stats_page *page, const struct stats_destination *destination, uint64_t began_ns,
			uint64_t ended_ns, bool was_kept)
{
	uint64_t number = __atomic_fetch_add(&page->n_intervals, 1, __ATOMIC_RELAXED);
	struct stats_interval *interval = stats_interval_at(page, (uint32_t)(number % page->n_max[STATS_INTERVALS]));

	__atomic_store_n(&interval->number, 0, __ATOMIC_RELEASE);
	/* Once the ring has wrapped, two threads may fill the same entry. */
	__atomic_store_n(&interval->began_ns, began_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&interval->ended_ns, ended_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&interval->destination, stats_index_of(page, destination), __ATOMIC_RELAXED);
	__atomic_store_n(&interval->was_kept, was_kept, __ATOMIC_RELAXED);
	__atomic_store_n(&interval->number, number + 1, __ATOMIC_RELEASE);
}
