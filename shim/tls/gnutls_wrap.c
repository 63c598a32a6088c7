/* The functions of libgnutls that are interposed: sessions, handshakes, and what those draw at random. Those that shape
 * a ClientHello are in gnutls_set.c. */
#include <string.h>

#include "shim/base/export.h"
#include "shim/tls/function.h"
#include "shim/tls/gnutls.h"
#include "shim/tls/gnutls_client.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"

/* Kind of what is drawn (script.h); each level of randomness has one. */
#define DRAWN_GNUTLS 'a'

/* The library calls its own functions by their names. */
#define IS_PROGRAM (!libgnutls_has_called(__builtin_return_address(0)))

EXPORT int gnutls_init(gnutls_session_t *session, unsigned flags)
{
	__typeof__(&gnutls_init) init = FUNCTION(gnutls_init);
	int result = init ? init(session, flags) : GNUTLS_E_INTERNAL_ERROR;

	if (result == GNUTLS_E_SUCCESS && !(flags & (GNUTLS_SERVER | GNUTLS_DATAGRAM)) && gnutls_is_wanted() &&
	    IS_PROGRAM)
		gnutls_client_begin(*session, flags);
	return result;
}

EXPORT void gnutls_deinit(gnutls_session_t session)
{
	__typeof__(&gnutls_deinit) deinit = FUNCTION(gnutls_deinit);

	gnutls_client_end(session);
	if (deinit)
		deinit(session);
}

EXPORT int gnutls_handshake(gnutls_session_t session)
{
	__typeof__(&gnutls_handshake) shake = FUNCTION(gnutls_handshake);

	if (!shake)
		return GNUTLS_E_INTERNAL_ERROR;
	return gnutls_client_find(session) && IS_PROGRAM ? gnutls_shake_hands(session) : shake(session);
}

EXPORT void gnutls_session_set_keylog_function(gnutls_session_t session, gnutls_keylog_func function)
{
	__typeof__(&gnutls_session_set_keylog_function) set = FUNCTION(gnutls_session_set_keylog_function);

	if (gnutls_client_find(session) && IS_PROGRAM)
		gnutls_set_keylog(session, function);
	else if (set)
		set(session, function);
}

EXPORT gnutls_keylog_func gnutls_session_get_keylog_function(const gnutls_session_t session)
{
	__typeof__(&gnutls_session_get_keylog_function) get = FUNCTION(gnutls_session_get_keylog_function);

	if (gnutls_client_find(session) && IS_PROGRAM)
		return gnutls_get_keylog(session);
	return get ? get(session) : NULL;
}

EXPORT void gnutls_session_set_verify_function(gnutls_session_t session, gnutls_certificate_verify_function *verify)
{
	__typeof__(&gnutls_session_set_verify_function) set = FUNCTION(gnutls_session_set_verify_function);

	if (gnutls_client_find(session) && IS_PROGRAM)
		gnutls_set_session_judge(session, verify);
	else if (set)
		set(session, verify);
}

EXPORT void gnutls_certificate_set_verify_function(gnutls_certificate_credentials_t credentials,
						   gnutls_certificate_verify_function *verify)
{
	__typeof__(&gnutls_certificate_set_verify_function) set = FUNCTION(gnutls_certificate_set_verify_function);

	if (gnutls_is_wanted() && IS_PROGRAM)
		gnutls_set_credentials_judge(credentials, verify);
	else if (set)
		set(credentials, verify);
}

EXPORT void gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials)
{
	__typeof__(&gnutls_certificate_free_credentials) end = FUNCTION(gnutls_certificate_free_credentials);

	gnutls_forget_credentials(credentials);
	if (end)
		end(credentials);
}

EXPORT int gnutls_prf(gnutls_session_t session, size_t label_size, const char *label, int server_random_first,
		      size_t extra_size, const char *extra, size_t size, char *out)
{
	__typeof__(&gnutls_prf) export = FUNCTION(gnutls_prf);

	gnutls_bind_to_connection(session);
	return export ? export(session, label_size, label, server_random_first, extra_size, extra, size, out)
		      : GNUTLS_E_INTERNAL_ERROR;
}

EXPORT int gnutls_prf_raw(gnutls_session_t session, size_t label_size, const char *label, size_t seed_size,
			  const char *seed, size_t size, char *out)
{
	__typeof__(&gnutls_prf_raw) export = FUNCTION(gnutls_prf_raw);

	gnutls_bind_to_connection(session);
	return export ? export(session, label_size, label, seed_size, seed, size, out) : GNUTLS_E_INTERNAL_ERROR;
}

EXPORT int gnutls_prf_rfc5705(gnutls_session_t session, size_t label_size, const char *label, size_t context_size,
			      const char *context, size_t size, char *out)
{
	__typeof__(&gnutls_prf_rfc5705) export = FUNCTION(gnutls_prf_rfc5705);

	gnutls_bind_to_connection(session);
	return export ? export(session, label_size, label, context_size, context, size, out) : GNUTLS_E_INTERNAL_ERROR;
}

EXPORT int gnutls_session_channel_binding(gnutls_session_t session, gnutls_channel_binding_t type,
					  gnutls_datum_t *binding)
{
	__typeof__(&gnutls_session_channel_binding) get = FUNCTION(gnutls_session_channel_binding);

	gnutls_bind_to_connection(session);
	return get ? get(session, type, binding) : GNUTLS_E_INTERNAL_ERROR;
}

EXPORT int gnutls_record_get_state(gnutls_session_t session, unsigned read, gnutls_datum_t *mac_key, gnutls_datum_t *iv,
				   gnutls_datum_t *key, unsigned char number[8])
{
	__typeof__(&gnutls_record_get_state) get = FUNCTION(gnutls_record_get_state);

	gnutls_bind_to_connection(session);
	return get ? get(session, read, mac_key, iv, key, number) : GNUTLS_E_INTERNAL_ERROR;
}

/* True if libgnutls draws it, for the handshake that this thread is in. */
static inline bool is_drawn(const void *return_address)
{
	return __builtin_expect(handshake_current != NULL, 0) && handshake_current->library == &library_gnutls &&
	       libgnutls_has_called(return_address);
}

EXPORT int gnutls_rnd(gnutls_rnd_level_t level, void *bytes, size_t length)
{
	__typeof__(&gnutls_rnd) draw = FUNCTION(gnutls_rnd);
	bool is_ours = is_drawn(__builtin_return_address(0));
	char kind = (char)(DRAWN_GNUTLS + level);
	const uint8_t *recorded;
	size_t recorded_length;
	int result;

	if (!draw)
		return GNUTLS_E_INTERNAL_ERROR;
	recorded = is_ours ? handshake_draw(kind, &recorded_length) : NULL;
	if (recorded && recorded_length == length) {
		memcpy(bytes, recorded, length);
		return GNUTLS_E_SUCCESS;
	}
	if (recorded)
		handshake_current->script.differs = true;
	result = draw(level, bytes, length);
	if (result >= 0 && is_ours)
		handshake_drew(kind, bytes, length);
	return result;
}
