/*
 * Handshakes of programs that use GnuTLS: what the exported wrappers of its functions (gnutls_wrap.c) do.
 */
#pragma once

#include <stdbool.h>

#include "shim/tls/libgnutls.h"

/* False: no destination of this process is one for us, or its libgnutls is none that we know. */
bool gnutls_is_wanted(void);

/* gnutls_handshake(). */
int gnutls_shake_hands(gnutls_session_t session);

/* True for a function of libcurl's, whose ways with a session are known. */
bool gnutls_is_of_libcurl(const void *function);

/* Our key log function, and the program's own behind it. */
void gnutls_set_keylog(gnutls_session_t session, gnutls_keylog_func function);
gnutls_keylog_func gnutls_get_keylog(gnutls_session_t session);

/* The program's judgement of a certificate, of a session or of credentials. It is asked outside of the handshake that
 * it is part of: what it draws and sends is its own. */
void gnutls_set_session_judge(gnutls_session_t session, gnutls_certificate_verify_function *verify);
void gnutls_set_credentials_judge(gnutls_certificate_credentials_t credentials,
				  gnutls_certificate_verify_function *verify);

/* gnutls_certificate_free_credentials() is about to free them. */
void gnutls_forget_credentials(gnutls_certificate_credentials_t credentials);

/* What is bound to this one connection is about to be read (RFC 5705, RFC 5929): it stays with it. */
void gnutls_bind_to_connection(gnutls_session_t session);
