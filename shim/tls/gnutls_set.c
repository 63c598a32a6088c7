/*
 * Functions of libgnutls that shape a session's ClientHello, or what becomes of it, before its handshake: repeated on
 * its shadows (gnutls_client.h), or, where that can't be, what makes the session opaque.
 */
#include <gnutls/abstract.h>
#include <gnutls/socket.h>
#include <gnutls/x509.h>
#include <string.h>

#include "shim/base/export.h"
#include "shim/kept/sessions.h"
#include "shim/tls/function.h"
#include "shim/tls/gnutls.h"
#include "shim/tls/gnutls_client.h"

#define CALLER __builtin_return_address(0)

/* A call on the program's session and on its shadows, of which each has to say the same. */
#define REPEATED(name, session, ...)                                                                 \
	({                                                                                           \
		__typeof__(&(name)) call_ = FUNCTION(name);                                          \
		struct gnutls_client *client_ = gnutls_client_shaped(session, CALLER);               \
		int result_ = call_ ? call_(session, ##__VA_ARGS__) : GNUTLS_E_INTERNAL_ERROR;       \
		for (unsigned i_ = 0; call_ && client_ && i_ < GNUTLS_SHADOWS; i_++)                 \
			client_->is_opaque |= call_(client_->shadows[i_], ##__VA_ARGS__) != result_; \
		result_;                                                                             \
	})

/* The same of a function that says nothing. */
#define REPEATED_VOID(name, session, ...)                                              \
	({                                                                             \
		__typeof__(&(name)) call_ = FUNCTION(name);                            \
		struct gnutls_client *client_ = gnutls_client_shaped(session, CALLER); \
		if (call_)                                                             \
			call_(session, ##__VA_ARGS__);                                 \
		for (unsigned i_ = 0; call_ && client_ && i_ < GNUTLS_SHADOWS; i_++)   \
			call_(client_->shadows[i_], ##__VA_ARGS__);                    \
	})

/* A call that can't be repeated. */
#define OPAQUE(name, session, ...)                                               \
	({                                                                       \
		__typeof__(&(name)) call_ = FUNCTION(name);                      \
		gnutls_client_make_opaque(session, CALLER);                      \
		call_ ? call_(session, ##__VA_ARGS__) : GNUTLS_E_INTERNAL_ERROR; \
	})

#define OPAQUE_VOID(name, session, ...)                     \
	({                                                  \
		__typeof__(&(name)) call_ = FUNCTION(name); \
		gnutls_client_make_opaque(session, CALLER); \
		if (call_)                                  \
			call_(session, ##__VA_ARGS__);      \
	})

EXPORT int gnutls_priority_set(gnutls_session_t session, gnutls_priority_t priority)
{
	return REPEATED(gnutls_priority_set, session, priority);
}

EXPORT int gnutls_priority_set_direct(gnutls_session_t session, const char *priorities, const char **error_at)
{
	return REPEATED(gnutls_priority_set_direct, session, priorities, error_at);
}

EXPORT int gnutls_set_default_priority(gnutls_session_t session)
{
	return REPEATED(gnutls_set_default_priority, session);
}

EXPORT int gnutls_set_default_priority_append(gnutls_session_t session, const char *more, const char **error_at,
					      unsigned flags)
{
	return REPEATED(gnutls_set_default_priority_append, session, more, error_at, flags);
}

EXPORT int gnutls_server_name_set(gnutls_session_t session, gnutls_server_name_type_t type, const void *name,
				  size_t length)
{
	return REPEATED(gnutls_server_name_set, session, type, name, length);
}

#define PROTOCOLS_MAX 8u

/* What a program offers, without HTTP/2 where that is not to be offered. Its length; 0: as it is. */
static unsigned make_offer(const gnutls_datum_t *protocols, unsigned n, gnutls_datum_t offer[PROTOCOLS_MAX])
{
	unsigned n_left = 0;

	if (!sessions_refuse_h2() || n > PROTOCOLS_MAX)
		return 0;
	for (unsigned i = 0; i < n; i++)
		if (protocols[i].size != 2 || memcmp(protocols[i].data, "h2", 2) != 0)
			offer[n_left++] = protocols[i];
	return n_left;
}

EXPORT int gnutls_alpn_set_protocols(gnutls_session_t session, const gnutls_datum_t *protocols, unsigned n,
				     unsigned flags)
{
	gnutls_datum_t offer[PROTOCOLS_MAX];
	unsigned n_left = make_offer(protocols, n, offer);

	if (n_left) {
		protocols = offer;
		n = n_left;
	}
	return REPEATED(gnutls_alpn_set_protocols, session, protocols, n, flags);
}

EXPORT int gnutls_ocsp_status_request_enable_client(gnutls_session_t session, gnutls_datum_t *responders, size_t n,
						    gnutls_datum_t *extensions)
{
	return REPEATED(gnutls_ocsp_status_request_enable_client, session, responders, n, extensions);
}

/* Of another type than certificates: a key that is shared, or nobody. */
EXPORT int gnutls_credentials_set(gnutls_session_t session, gnutls_credentials_type_t type, void *credentials)
{
	if (type != GNUTLS_CRD_CERTIFICATE)
		return OPAQUE(gnutls_credentials_set, session, type, credentials);
	return REPEATED(gnutls_credentials_set, session, type, credentials);
}

EXPORT void gnutls_credentials_clear(gnutls_session_t session)
{
	REPEATED_VOID(gnutls_credentials_clear, session);
}

EXPORT ssize_t gnutls_record_set_max_size(gnutls_session_t session, size_t size)
{
	return REPEATED(gnutls_record_set_max_size, session, size);
}

EXPORT ssize_t gnutls_record_set_max_recv_size(gnutls_session_t session, size_t size)
{
	return REPEATED(gnutls_record_set_max_recv_size, session, size);
}

EXPORT int gnutls_session_ticket_enable_client(gnutls_session_t session)
{
	return REPEATED(gnutls_session_ticket_enable_client, session);
}

EXPORT void gnutls_session_enable_compatibility_mode(gnutls_session_t session)
{
	REPEATED_VOID(gnutls_session_enable_compatibility_mode, session);
}

EXPORT void gnutls_dh_set_prime_bits(gnutls_session_t session, unsigned bits)
{
	REPEATED_VOID(gnutls_dh_set_prime_bits, session, bits);
}

EXPORT void gnutls_handshake_set_max_packet_length(gnutls_session_t session, size_t max)
{
	REPEATED_VOID(gnutls_handshake_set_max_packet_length, session, max);
}

/* What the shadows judge as well. */
EXPORT void gnutls_session_set_verify_cert(gnutls_session_t session, const char *hostname, unsigned flags)
{
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->judge = GNUTLS_JUDGE_LIBRARY;
	REPEATED_VOID(gnutls_session_set_verify_cert, session, hostname, flags);
}

EXPORT void gnutls_session_set_verify_cert2(gnutls_session_t session, gnutls_typed_vdata_st *data, unsigned n,
					    unsigned flags)
{
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->judge = GNUTLS_JUDGE_LIBRARY;
	REPEATED_VOID(gnutls_session_set_verify_cert2, session, data, n, flags);
}

/* A session that is offered for resumption makes another handshake: it waits until it is known whose this is. */
EXPORT int gnutls_session_set_data(gnutls_session_t session, const void *data, size_t length)
{
	__typeof__(&gnutls_session_set_data) set = FUNCTION(gnutls_session_set_data);
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client && data && length)
		return gnutls_client_put_aside(client, data, length);
	return set ? set(session, data, length) : GNUTLS_E_INTERNAL_ERROR;
}

/* Where its bytes go. */
EXPORT void gnutls_transport_set_push_function(gnutls_session_t session, gnutls_push_func push)
{
	__typeof__(&gnutls_transport_set_push_function) set = FUNCTION(gnutls_transport_set_push_function);
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->has_own_push = true;
	if (set)
		set(session, push);
}

EXPORT void gnutls_transport_set_vec_push_function(gnutls_session_t session, gnutls_vec_push_func push)
{
	__typeof__(&gnutls_transport_set_vec_push_function) set = FUNCTION(gnutls_transport_set_vec_push_function);
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->has_own_push = true;
	if (set)
		set(session, push);
}

EXPORT void gnutls_transport_set_pull_function(gnutls_session_t session, gnutls_pull_func pull)
{
	__typeof__(&gnutls_transport_set_pull_function) set = FUNCTION(gnutls_transport_set_pull_function);
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->own_pull = pull;
	if (set)
		set(session, pull);
}

EXPORT void gnutls_transport_set_pull_timeout_function(gnutls_session_t session, gnutls_pull_timeout_func wait)
{
	__typeof__(&gnutls_transport_set_pull_timeout_function) set =
		FUNCTION(gnutls_transport_set_pull_timeout_function);
	struct gnutls_client *client = gnutls_client_shaped(session, CALLER);

	if (client)
		client->has_own_timeout = true;
	if (set)
		set(session, wait);
}

EXPORT void gnutls_transport_set_errno_function(gnutls_session_t session, gnutls_errno_func get)
{
	OPAQUE_VOID(gnutls_transport_set_errno_function, session, get);
}

/* It connects by what it sends first. */
EXPORT void gnutls_transport_set_fastopen(gnutls_session_t session, int fd, struct sockaddr *address, socklen_t length,
					  unsigned flags)
{
	OPAQUE_VOID(gnutls_transport_set_fastopen, session, fd, address, length, flags);
}

EXPORT void gnutls_handshake_set_private_extensions(gnutls_session_t session, int allow)
{
	OPAQUE_VOID(gnutls_handshake_set_private_extensions, session, allow);
}

EXPORT int gnutls_handshake_set_random(gnutls_session_t session, const gnutls_datum_t *random)
{
	return OPAQUE(gnutls_handshake_set_random, session, random);
}

/* Functions of the program that the library calls in the midst of a handshake. */
EXPORT void gnutls_handshake_set_hook_function(gnutls_session_t session, unsigned type, int post,
					       gnutls_handshake_hook_func hook)
{
	__typeof__(&gnutls_handshake_set_hook_function) set = FUNCTION(gnutls_handshake_set_hook_function);

	/* A ticket comes behind all that is compared, and in a repeated handshake, too. libcurl's hook for any message
	 * looks at tickets alone. */
	if (type != GNUTLS_HANDSHAKE_NEW_SESSION_TICKET && !gnutls_is_of_libcurl((const void *)hook))
		gnutls_client_make_opaque(session, CALLER);
	if (set)
		set(session, type, post, hook);
}

EXPORT void gnutls_handshake_set_read_function(gnutls_session_t session, gnutls_handshake_read_func function)
{
	OPAQUE_VOID(gnutls_handshake_set_read_function, session, function);
}

EXPORT void gnutls_handshake_set_secret_function(gnutls_session_t session, gnutls_handshake_secret_func function)
{
	OPAQUE_VOID(gnutls_handshake_set_secret_function, session, function);
}

EXPORT void gnutls_alert_set_read_function(gnutls_session_t session, gnutls_alert_read_func function)
{
	OPAQUE_VOID(gnutls_alert_set_read_function, session, function);
}

EXPORT int gnutls_session_set_id(gnutls_session_t session, const gnutls_datum_t *id)
{
	return OPAQUE(gnutls_session_set_id, session, id);
}

EXPORT int gnutls_session_set_premaster(gnutls_session_t session, unsigned entity, gnutls_protocol_t version,
					gnutls_kx_algorithm_t exchange, gnutls_cipher_algorithm_t cipher,
					gnutls_mac_algorithm_t mac, gnutls_compression_method_t compression,
					const gnutls_datum_t *master, const gnutls_datum_t *id)
{
	return OPAQUE(gnutls_session_set_premaster, session, entity, version, exchange, cipher, mac, compression,
		      master, id);
}

EXPORT int gnutls_session_ext_register(gnutls_session_t session, const char *name, int id,
				       gnutls_ext_parse_type_t parse_point, gnutls_ext_recv_func receive,
				       gnutls_ext_send_func send, gnutls_ext_deinit_data_func deinit,
				       gnutls_ext_pack_func pack, gnutls_ext_unpack_func unpack, unsigned flags)
{
	return OPAQUE(gnutls_session_ext_register, session, name, id, parse_point, receive, send, deinit, pack, unpack,
		      flags);
}

EXPORT int gnutls_session_supplemental_register(gnutls_session_t session, const char *name,
						gnutls_supplemental_data_format_type_t type,
						gnutls_supp_recv_func receive, gnutls_supp_send_func send,
						unsigned flags)
{
	return OPAQUE(gnutls_session_supplemental_register, session, name, type, receive, send, flags);
}

EXPORT void gnutls_supplemental_recv(gnutls_session_t session, unsigned receives)
{
	OPAQUE_VOID(gnutls_supplemental_recv, session, receives);
}

EXPORT void gnutls_supplemental_send(gnutls_session_t session, unsigned sends)
{
	OPAQUE_VOID(gnutls_supplemental_send, session, sends);
}

EXPORT int gnutls_srtp_set_profile(gnutls_session_t session, gnutls_srtp_profile_t profile)
{
	return OPAQUE(gnutls_srtp_set_profile, session, profile);
}

EXPORT int gnutls_srtp_set_profile_direct(gnutls_session_t session, const char *profiles, const char **error_at)
{
	return OPAQUE(gnutls_srtp_set_profile_direct, session, profiles, error_at);
}

EXPORT void gnutls_heartbeat_enable(gnutls_session_t session, unsigned type)
{
	OPAQUE_VOID(gnutls_heartbeat_enable, session, type);
}

EXPORT ssize_t gnutls_record_send_early_data(gnutls_session_t session, const void *bytes, size_t length)
{
	return OPAQUE(gnutls_record_send_early_data, session, bytes, length);
}

EXPORT int gnutls_compress_certificate_set_methods(gnutls_session_t session, const gnutls_compression_method_t *methods,
						   size_t n)
{
	return OPAQUE(gnutls_compress_certificate_set_methods, session, methods, n);
}

EXPORT void gnutls_certificate_set_retrieve_function(gnutls_certificate_credentials_t credentials,
						     gnutls_certificate_retrieve_function *retrieve)
{
	__typeof__(&gnutls_certificate_set_retrieve_function) set = FUNCTION(gnutls_certificate_set_retrieve_function);

	atomic_store(&gnutls_client_has_retriever, true);
	if (set)
		set(credentials, retrieve);
}

EXPORT void gnutls_certificate_set_retrieve_function2(gnutls_certificate_credentials_t credentials,
						      gnutls_certificate_retrieve_function2 *retrieve)
{
	__typeof__(&gnutls_certificate_set_retrieve_function2) set =
		FUNCTION(gnutls_certificate_set_retrieve_function2);

	atomic_store(&gnutls_client_has_retriever, true);
	if (set)
		set(credentials, retrieve);
}

EXPORT void gnutls_certificate_set_retrieve_function3(gnutls_certificate_credentials_t credentials,
						      gnutls_certificate_retrieve_function3 *retrieve)
{
	__typeof__(&gnutls_certificate_set_retrieve_function3) set =
		FUNCTION(gnutls_certificate_set_retrieve_function3);

	atomic_store(&gnutls_client_has_retriever, true);
	if (set)
		set(credentials, retrieve);
}

/* What the library tells of a handshake, it would tell of each shadow's. */
EXPORT void gnutls_global_set_log_level(int level)
{
	__typeof__(&gnutls_global_set_log_level) set = FUNCTION(gnutls_global_set_log_level);

	if (level > 0)
		atomic_store(&gnutls_client_all_opaque, true);
	if (set)
		set(level);
}

EXPORT void gnutls_global_set_audit_log_function(gnutls_audit_log_func function)
{
	__typeof__(&gnutls_global_set_audit_log_function) set = FUNCTION(gnutls_global_set_audit_log_function);

	atomic_store(&gnutls_client_all_opaque, true);
	if (set)
		set(function);
}

/* It fetches certificates in the midst of a judgement. */
EXPORT void gnutls_x509_trust_list_set_getissuer_function(gnutls_x509_trust_list_t list,
							  gnutls_x509_trust_list_getissuer_function *get)
{
	__typeof__(&gnutls_x509_trust_list_set_getissuer_function) set =
		FUNCTION(gnutls_x509_trust_list_set_getissuer_function);

	atomic_store(&gnutls_client_all_opaque, true);
	if (set)
		set(list, get);
}

/* Of all sessions from here on. */
EXPORT int gnutls_ext_register(const char *name, int id, gnutls_ext_parse_type_t parse_point,
			       gnutls_ext_recv_func receive, gnutls_ext_send_func send,
			       gnutls_ext_deinit_data_func deinit, gnutls_ext_pack_func pack,
			       gnutls_ext_unpack_func unpack)
{
	__typeof__(&gnutls_ext_register) call = FUNCTION(gnutls_ext_register);

	atomic_store(&gnutls_client_all_opaque, true);
	return call ? call(name, id, parse_point, receive, send, deinit, pack, unpack) : GNUTLS_E_INTERNAL_ERROR;
}

EXPORT int gnutls_supplemental_register(const char *name, gnutls_supplemental_data_format_type_t type,
					gnutls_supp_recv_func receive, gnutls_supp_send_func send)
{
	__typeof__(&gnutls_supplemental_register) call = FUNCTION(gnutls_supplemental_register);

	atomic_store(&gnutls_client_all_opaque, true);
	return call ? call(name, type, receive, send) : GNUTLS_E_INTERNAL_ERROR;
}
