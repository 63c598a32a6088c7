/* Handshakes of OpenSSL on memory BIOs (BIO_s_mem(3)); see offline.h. */
#pragma once

#include "shim/tls/handshake.h"
#include "shim/tls/libssl.h"

/* True if the program carries the bytes of this one itself. */
bool openssl_memory_is_used(const SSL *ssl);

/* The first call, and those that follow. As SSL_do_handshake(3). */
int openssl_memory_begin(SSL *ssl, int (*connect)(SSL *ssl));
int openssl_memory_go_on(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl));
