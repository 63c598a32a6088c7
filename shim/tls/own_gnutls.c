/* Handshakes of our own with GnuTLS; see library.h. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/base/real.h"
#include "shim/tls/handshake.h"
#include "shim/tls/key_log.h"
#include "shim/tls/libgnutls.h"
#include "shim/tls/library.h"

/* What a client without a certificate sends at once. */
#define OUT_MAX (16u << 10)

struct own_session {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	struct handshake *record;
	const uint8_t *in; /* the record that it was given, as long as it needs it */
	size_t in_length;
	size_t out_length;
	uint8_t out[OUT_MAX];
};

static ssize_t push(gnutls_transport_ptr_t pointer, const void *bytes, size_t length)
{
	struct own_session *own = pointer;

	if (length > sizeof(own->out) - own->out_length) {
		errno = ENOBUFS;
		return -1;
	}
	memcpy(own->out + own->out_length, bytes, length);
	own->out_length += length;
	return (ssize_t)length;
}

static ssize_t pull(gnutls_transport_ptr_t pointer, void *bytes, size_t length)
{
	struct own_session *own = pointer;

	if (!own->in_length) {
		errno = EAGAIN;
		return -1;
	}
	if (length > own->in_length)
		length = own->in_length;
	memcpy(bytes, own->in, length);
	own->in += length;
	own->in_length -= length;
	return (ssize_t)length;
}

static int wait_for(gnutls_transport_ptr_t pointer, unsigned timeout_ms)
{
	(void)pointer;
	(void)timeout_ms;
	return 1;
}

static __thread struct handshake *recorded;

static int keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	(void)session;
	if (recorded)
		key_log_note_secret(recorded, label, secret->data, secret->size);
	return 0;
}

/* The certificate is compared, not verified: the program has. */
static int verify(gnutls_session_t session)
{
	(void)session;
	return 0;
}

#define VERSION_1_3 "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+"
#define VERSION_1_2 "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+"

static const char *priorities_of(const struct tls_suite *suite)
{
	bool is_1_3 = suite->version == TLS_1_3;

	switch (suite->cipher) {
	case TLS_AES_128_GCM:
		return is_1_3 ? VERSION_1_3 "AES-128-GCM" : VERSION_1_2 "AES-128-GCM";
	case TLS_AES_256_GCM:
		return is_1_3 ? VERSION_1_3 "AES-256-GCM" : VERSION_1_2 "AES-256-GCM";
	case TLS_CHACHA20_POLY1305:
		return is_1_3 ? VERSION_1_3 "CHACHA20-POLY1305" : VERSION_1_2 "CHACHA20-POLY1305";
	}
	return "NONE";
}

static bool set_up(struct own_session *own, const struct tls_state *like, const struct tls_suite *suite)
{
	static unsigned char http[] = "http/1.1";
	gnutls_datum_t alpn = {http, sizeof(http) - 1};
	gnutls_session_t session = own->session;
	bool done;

	done = libgnutls.gnutls_priority_set_direct(session, priorities_of(suite), NULL) == 0 &&
	       libgnutls.gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own->credentials) == 0;
	if (like->server_name[0])
		done &= libgnutls.gnutls_server_name_set(session, GNUTLS_NAME_DNS, like->server_name,
							 strlen(like->server_name)) == 0;
	if (like->offers_alpn)
		done &= libgnutls.gnutls_alpn_set_protocols(session, &alpn, 1, 0) == 0;
	libgnutls.gnutls_session_set_verify_function(session, verify);
	libgnutls.gnutls_session_set_keylog_function(session, keylog);
	libgnutls.gnutls_transport_set_ptr(session, own);
	libgnutls.gnutls_transport_set_push_function(session, push);
	libgnutls.gnutls_transport_set_pull_function(session, pull);
	libgnutls.gnutls_transport_set_pull_timeout_function(session, wait_for);
	return done;
}

static void own_close(struct own_session *own)
{
	if (own->session)
		libgnutls.gnutls_deinit(own->session);
	if (own->credentials)
		libgnutls.gnutls_certificate_free_credentials(own->credentials);
	libc.munmap(own, sizeof(*own));
}

static struct own_session *own_open(const struct tls_state *like, const struct tls_suite *suite,
				    struct handshake *record)
{
	struct own_session *own =
		libc.mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (own == MAP_FAILED)
		return NULL;
	own->record = record;
	if (libgnutls.gnutls_certificate_allocate_credentials(&own->credentials) == 0 &&
	    libgnutls.gnutls_init(&own->session, GNUTLS_CLIENT | GNUTLS_NO_TICKETS) == 0 && set_up(own, like, suite))
		return own;
	own_close(own);
	return NULL;
}

static int own_step(struct own_session *own)
{
	int result;

	recorded = own->record;
	do
		result = libgnutls.gnutls_handshake(own->session);
	while (own->in_length && (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED));
	recorded = NULL;
	if (result == GNUTLS_E_SUCCESS)
		return 1;
	return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED ? 0 : -1;
}

static size_t own_take(struct own_session *own, uint8_t *bytes, size_t room)
{
	size_t n = own->out_length < room ? own->out_length : room;

	memcpy(bytes, own->out, n);
	own->out_length -= n;
	memmove(own->out, own->out + n, own->out_length);
	return n;
}

static bool own_give(struct own_session *own, const uint8_t *record, size_t length)
{
	own->in = record;
	own->in_length = length;
	return true;
}

static bool own_leaf(struct own_session *own, uint8_t leaf[TLS_DIGEST_LENGTH])
{
	unsigned n = 0;
	const gnutls_datum_t *chain = libgnutls.gnutls_certificate_get_peers(own->session, &n);

	return n && chain && libgnutls.gnutls_hash_fast(GNUTLS_DIG_SHA256, chain[0].data, chain[0].size, leaf) == 0;
}

static uint64_t identity(void)
{
	static const uint64_t gnutls = (uint64_t)'G' << 56;

	return gnutls | libgnutls_version();
}

const struct library library_gnutls = {
	.crypto = &libgnutls_crypto,
	.is_final = true,
	.pin = libgnutls_pin,
	.identity = identity,
	.own_open = own_open,
	.own_step = own_step,
	.own_take = own_take,
	.own_give = own_give,
	.own_leaf = own_leaf,
	.own_close = own_close,
};
