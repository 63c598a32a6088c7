/* The functions of libssl and libcrypto that are interposed: handshakes, and what those draw at random. */
#include <stddef.h>

#include "pool/tls/alpn.h"
#include "shim/base/export.h"
#include "shim/kept/sessions.h"
#include "shim/process/init.h"
#include "shim/tls/function.h"
#include "shim/tls/handshake.h"
#include "shim/tls/key_pair.h"
#include "shim/tls/libssl.h"
#include "shim/tls/openssl.h"

/* Kinds of what is drawn (script.h). */
#define DRAWN_BYTES 'R'
#define DRAWN_PRIVATE_BYTES 'P'

/* A server that shakes hands, or a program whose connections nobody follows, is left alone. */
static bool is_wanted(void)
{
	return sessions_are_wanted() && init_was_needed() && libssl_bind();
}

EXPORT int SSL_connect(SSL *ssl)
{
	__typeof__(&SSL_connect) connect = FUNCTION(SSL_connect);

	if (!connect)
		return -1;
	return is_wanted() ? openssl_shake_hands(ssl, connect) : connect(ssl);
}

EXPORT int SSL_do_handshake(SSL *ssl)
{
	__typeof__(&SSL_do_handshake) connect = FUNCTION(SSL_do_handshake);

	if (!connect)
		return -1;
	return is_wanted() ? openssl_shake_hands(ssl, connect) : connect(ssl);
}

EXPORT void SSL_CTX_set_keylog_callback(SSL_CTX *context, SSL_CTX_keylog_cb_func callback)
{
	__typeof__(&SSL_CTX_set_keylog_callback) set = FUNCTION(SSL_CTX_set_keylog_callback);

	if (is_wanted())
		openssl_set_keylog(context, callback);
	else if (set)
		set(context, callback);
}

EXPORT SSL_CTX_keylog_cb_func SSL_CTX_get_keylog_callback(const SSL_CTX *context)
{
	__typeof__(&SSL_CTX_get_keylog_callback) get = FUNCTION(SSL_CTX_get_keylog_callback);

	if (is_wanted())
		return openssl_get_keylog(context);
	return get ? get(context) : NULL;
}

EXPORT int SSL_export_keying_material(SSL *ssl, unsigned char *out, size_t length, const char *label,
				      size_t label_length, const unsigned char *context, size_t context_length,
				      int use_context)
{
	__typeof__(&SSL_export_keying_material) export = FUNCTION(SSL_export_keying_material);

	if (!export)
		return -1;
	if (is_wanted())
		openssl_bind_to_connection(ssl);
	return export(ssl, out, length, label, label_length, context, context_length, use_context);
}

EXPORT size_t SSL_get_finished(const SSL *ssl, void *buffer, size_t count)
{
	__typeof__(&SSL_get_finished) get = FUNCTION(SSL_get_finished);

	if (is_wanted())
		openssl_bind_to_connection(ssl);
	return get ? get(ssl, buffer, count) : 0;
}

EXPORT size_t SSL_get_peer_finished(const SSL *ssl, void *buffer, size_t count)
{
	__typeof__(&SSL_get_peer_finished) get = FUNCTION(SSL_get_peer_finished);

	if (is_wanted())
		openssl_bind_to_connection(ssl);
	return get ? get(ssl, buffer, count) : 0;
}

/* True if libssl draws it, for the handshake that this thread is in. */
static inline bool is_drawn(const void *return_address)
{
	return __builtin_expect(handshake_current != NULL, 0) && libssl_has_called(return_address);
}

/* A library context of the program's own has random numbers of its own, too. */
static void note_context(const OSSL_LIB_CTX *context)
{
	if (!context)
		return;
	handshake_current->recorder.is_too_long = true;
	handshake_current->script.differs = true;
}

/* From the recording. */
static bool take_bytes(char kind, unsigned char *buffer, size_t length)
{
	size_t recorded;
	const uint8_t *bytes = handshake_draw(kind, &recorded);

	if (!bytes)
		return false;
	if (recorded != length) {
		handshake_current->script.differs = true;
		return false;
	}
	__builtin_memcpy(buffer, bytes, length);
	return true;
}

typedef int draw_bytes(OSSL_LIB_CTX *context, unsigned char *buffer, size_t length, unsigned int strength);

/* For libssl in a handshake: from the recording, or recorded. */
static int draw_for_handshake(char kind, draw_bytes *draw, OSSL_LIB_CTX *context, unsigned char *buffer, size_t length,
			      unsigned int strength)
{
	int result;

	note_context(context);
	if (take_bytes(kind, buffer, length))
		return 1;
	result = draw(context, buffer, length, strength);
	if (result > 0)
		handshake_drew(kind, buffer, length);
	return result;
}

EXPORT int RAND_bytes_ex(OSSL_LIB_CTX *context, unsigned char *buffer, size_t length, unsigned int strength)
{
	draw_bytes *draw = FUNCTION(RAND_bytes_ex);

	if (!draw)
		return 0;
	return is_drawn(__builtin_return_address(0))
		       ? draw_for_handshake(DRAWN_BYTES, draw, context, buffer, length, strength)
		       : draw(context, buffer, length, strength);
}

EXPORT int RAND_priv_bytes_ex(OSSL_LIB_CTX *context, unsigned char *buffer, size_t length, unsigned int strength)
{
	draw_bytes *draw = FUNCTION(RAND_priv_bytes_ex);

	if (!draw)
		return 0;
	return is_drawn(__builtin_return_address(0))
		       ? draw_for_handshake(DRAWN_PRIVATE_BYTES, draw, context, buffer, length, strength)
		       : draw(context, buffer, length, strength);
}

EXPORT int EVP_PKEY_keygen(EVP_PKEY_CTX *context, EVP_PKEY **key)
{
	__typeof__(&EVP_PKEY_keygen) make = FUNCTION(EVP_PKEY_keygen);

	if (!make)
		return -1;
	return is_drawn(__builtin_return_address(0)) ? key_pair_draw(context, key, make) : make(context, key);
}

/* What a program offers, without HTTP/2 where that is not to be offered. */
struct offer {
	const unsigned char *list;
	unsigned length;
	unsigned char shorter[TLS_ALPN_MAX];
};

static void make_offer(struct offer *offer, const unsigned char *list, unsigned length)
{
	size_t shorter = list && sessions_refuse_h2() ? tls_alpn_without_h2(list, length, offer->shorter) : 0;

	offer->list = shorter ? offer->shorter : list;
	offer->length = shorter ? (unsigned)shorter : length;
}

EXPORT int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *list, unsigned length)
{
	__typeof__(&SSL_CTX_set_alpn_protos) set = FUNCTION(SSL_CTX_set_alpn_protos);
	struct offer offer;

	make_offer(&offer, list, length);
	return set ? set(context, offer.list, offer.length) : 1;
}

EXPORT int SSL_set_alpn_protos(SSL *ssl, const unsigned char *list, unsigned length)
{
	__typeof__(&SSL_set_alpn_protos) set = FUNCTION(SSL_set_alpn_protos);
	struct offer offer;

	make_offer(&offer, list, length);
	return set ? set(ssl, offer.list, offer.length) : 1;
}
