/*
 * The program's own libgnutls, found among the loaded objects when one of our wrappers of its functions is first
 * called: this library does not link with it.
 *
 * Functions of it allocate: they are called where the program has called libgnutls itself.
 */
#pragma once

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/tls/crypto.h"

/* clang-format off */
#define LIBGNUTLS_FUNCTIONS(F) \
	F(gnutls_init) F(gnutls_deinit) F(gnutls_handshake) F(gnutls_rnd) F(gnutls_check_version) \
	F(gnutls_transport_get_int2) F(gnutls_transport_get_ptr2) \
	F(gnutls_transport_set_ptr) F(gnutls_transport_set_errno) \
	F(gnutls_transport_set_push_function) F(gnutls_transport_set_pull_function) \
	F(gnutls_transport_set_pull_timeout_function) F(gnutls_system_recv_timeout) \
	F(gnutls_session_set_keylog_function) F(gnutls_session_get_keylog_function) \
	F(gnutls_session_set_verify_function) F(gnutls_session_set_data) F(gnutls_session_is_resumed) \
	F(gnutls_alpn_get_selected_protocol) F(gnutls_alpn_set_protocols) F(gnutls_certificate_get_peers) \
	F(gnutls_certificate_get_ours) F(gnutls_certificate_verify_peers2) F(gnutls_certificate_get_crt_raw) \
	F(gnutls_certificate_client_get_request_status) F(gnutls_certificate_allocate_credentials) \
	F(gnutls_certificate_free_credentials) F(gnutls_certificate_set_verify_function) \
	F(gnutls_credentials_get) F(gnutls_credentials_set) \
	F(gnutls_priority_set_direct) F(gnutls_server_name_set) F(gnutls_hash_fast) F(gnutls_hmac_fast) \
	F(gnutls_aead_cipher_init) F(gnutls_aead_cipher_deinit) F(gnutls_aead_cipher_set_key) \
	F(gnutls_aead_cipher_encrypt) F(gnutls_aead_cipher_decrypt)
/* clang-format on */

#define LIBGNUTLS_MEMBER(name) __typeof__(&(name)) name;

/* NULL where it was not found. */
struct libgnutls {
	LIBGNUTLS_FUNCTIONS(LIBGNUTLS_MEMBER)
};

extern struct libgnutls libgnutls;

/* Binds what is loaded. True if all of it is there, once, of a version that is known. Looks again when objects have
 * been loaded. No lock, no memory. */
bool libgnutls_bind(void);

/* See library.h. */
void libgnutls_pin(void);

/* True if this return address lies in libgnutls: it calls its exported functions by their names. */
bool libgnutls_has_called(const void *return_address);

/* What the record layer needs. Once bound. */
extern const struct tls_crypto libgnutls_crypto;

/* Its version, as three bytes. */
uint32_t libgnutls_version(void);
