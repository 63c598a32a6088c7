/*
 * Handshakes of programs that use OpenSSL: what the exported wrappers of its functions (openssl_wrap.c) do.
 */
#pragma once

#include "pool/tls/state.h"
#include "shim/tls/handshake.h"
#include "shim/tls/libssl.h"

/* SSL_connect() and SSL_do_handshake(). `connect` is the real one of the two. */
int openssl_shake_hands(SSL *ssl, int (*connect)(SSL *ssl));

/* One call of the library that makes a handshake go on, with this thread inside of it. */
int openssl_run(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl));

/* The SSL has a handshake that is recorded, until that is over. It ends with the SSL. */
void openssl_remember(SSL *ssl, struct handshake *handshake);
void openssl_forget(SSL *ssl, struct handshake *handshake);

/* What the library tells of a handshake that has succeeded. */
struct recording_facts openssl_facts(SSL *ssl);

/* True if a connection with that state can be played to; `state` may be NULL. */
bool openssl_may_play(const SSL *ssl, const struct tls_state *state);

/* Our key log callback, and the program's own behind it. */
void openssl_set_keylog(SSL_CTX *context, SSL_CTX_keylog_cb_func callback);
SSL_CTX_keylog_cb_func openssl_get_keylog(const SSL_CTX *context);

/* What is bound to this one connection is about to be read (RFC 5705, RFC 5929): it stays with it. */
void openssl_bind_to_connection(const SSL *ssl);
