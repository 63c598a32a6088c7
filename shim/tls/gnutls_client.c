/* See gnutls_client.h. */
#include "shim/tls/gnutls_client.h"

#include <string.h>
#include <sys/mman.h>

#include "shim/base/large.h"
#include "shim/base/real.h"
#include "shim/tls/handshake.h"

/* An entry is near the place that its session's address says. */
#define CLIENTS 1024u
#define NEAR 16u
#define RESUMPTION_MAX (32u << 10)
/* Of gnutls_init(), besides GNUTLS_CLIENT: those under which a handshake ends with its last message, on a stream. */
#define KNOWN_FLAGS                                                                                             \
	(GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_EXTENSIONS | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT | \
	 GNUTLS_NO_TICKETS | GNUTLS_KEY_SHARE_TOP | GNUTLS_KEY_SHARE_TOP2 | GNUTLS_KEY_SHARE_TOP3 |             \
	 GNUTLS_POST_HANDSHAKE_AUTH | GNUTLS_NO_AUTO_REKEY | GNUTLS_SAFE_PADDING_CHECK | GNUTLS_AUTO_REAUTH)

static LARGE struct gnutls_client clients[CLIENTS];
static _Atomic(unsigned) n_clients;

_Atomic(bool) gnutls_client_all_opaque, gnutls_client_has_retriever;

static struct gnutls_client *near(gnutls_session_t session, unsigned i)
{
	uintptr_t address = (uintptr_t)session >> 4;

	return &clients[((address ^ address >> 10 ^ address >> 20) + i) % CLIENTS];
}

struct gnutls_client *gnutls_client_find(gnutls_session_t session)
{
	if (!session || !atomic_load_explicit(&n_clients, memory_order_relaxed))
		return NULL;
	for (unsigned i = 0; i < NEAR; i++) {
		struct gnutls_client *client = near(session, i);

		if (atomic_load_explicit(&client->session, memory_order_relaxed) == session)
			return client;
	}
	return NULL;
}

/* An entry of its own; NULL: there are too many. */
static struct gnutls_client *take_entry(gnutls_session_t session)
{
	for (unsigned i = 0; i < NEAR; i++) {
		struct gnutls_client *client = near(session, i);
		gnutls_session_t none = NULL;

		if (atomic_compare_exchange_strong(&client->session, &none, session)) {
			atomic_fetch_add(&n_clients, 1);
			return client;
		}
	}
	return NULL;
}

static void clear(struct gnutls_client *client)
{
	struct handshake *handshake = client->handshake;

	client->handshake = NULL;
	if (handshake)
		handshake_put(handshake);
	gnutls_client_drop_shadows(client);
	gnutls_client_end_putting_aside(client, false);
}

void gnutls_client_end(gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);

	if (!client)
		return;
	clear(client);
	atomic_store(&client->session, NULL);
	atomic_fetch_sub(&n_clients, 1);
}

static bool make_shadows(struct gnutls_client *client)
{
	for (unsigned i = 0; i < GNUTLS_SHADOWS; i++) {
		client->shadows[i] = NULL;
		if (libgnutls.gnutls_init(&client->shadows[i], client->flags) < 0)
			return false;
	}
	return true;
}

void gnutls_client_begin(gnutls_session_t session, unsigned flags)
{
	struct gnutls_client *client;

	/* One that has gone without our knowledge, at the same address. */
	gnutls_client_end(session);
	if ((flags & ~(unsigned)KNOWN_FLAGS) || atomic_load(&gnutls_client_all_opaque))
		return;
	client = take_entry(session);
	if (!client)
		return;
	memset((char *)client + sizeof(client->session), 0, sizeof(*client) - sizeof(client->session));
	client->flags = flags;
	client->fd = -1;
	client->is_opaque = !make_shadows(client);
}

struct gnutls_client *gnutls_client_shaped(gnutls_session_t session, const void *return_address)
{
	struct gnutls_client *client = gnutls_client_find(session);

	return client && !client->has_begun && !client->is_opaque && !libgnutls_has_called(return_address) ? client
													   : NULL;
}

void gnutls_client_make_opaque(gnutls_session_t session, const void *return_address)
{
	struct gnutls_client *client = gnutls_client_shaped(session, return_address);

	if (client)
		client->is_opaque = true;
}

void gnutls_client_drop_shadows(struct gnutls_client *client)
{
	for (unsigned i = 0; i < GNUTLS_SHADOWS; i++) {
		if (client->shadows[i])
			libgnutls.gnutls_deinit(client->shadows[i]);
		client->shadows[i] = NULL;
	}
}

/* What the library would say of such data. */
static int try_data(unsigned flags, const void *data, size_t length)
{
	gnutls_session_t session;
	int result = libgnutls.gnutls_init(&session, flags);

	if (result < 0)
		return result;
	result = libgnutls.gnutls_session_set_data(session, data, length);
	libgnutls.gnutls_deinit(session);
	return result;
}

int gnutls_client_put_aside(struct gnutls_client *client, const void *data, size_t length)
{
	int result = try_data(client->flags, data, length);
	void *copy;

	if (result < 0)
		return result;
	gnutls_client_end_putting_aside(client, false);
	copy = length <= RESUMPTION_MAX
		       ? libc.mmap(NULL, RESUMPTION_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		       : MAP_FAILED;
	if (copy == MAP_FAILED) {
		client->is_opaque = true;
		return libgnutls.gnutls_session_set_data(client->session, data, length);
	}
	libc.madvise(copy, RESUMPTION_MAX, MADV_DONTDUMP);
	memcpy(copy, data, length);
	client->resumption = copy;
	client->resumption_length = length;
	return result;
}

void gnutls_client_end_putting_aside(struct gnutls_client *client, bool is_wanted)
{
	void *copy = client->resumption;

	if (!copy)
		return;
	client->resumption = NULL;
	if (is_wanted)
		libgnutls.gnutls_session_set_data(client->session, copy, client->resumption_length);
	explicit_bzero(copy, client->resumption_length);
	libc.munmap(copy, RESUMPTION_MAX);
}
