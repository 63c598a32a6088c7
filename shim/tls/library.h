/*
 * A TLS library of the program: what the rest of this room needs of it. There is one of OpenSSL and one of GnuTLS; a
 * process may have both, and a connection's recording is played to the one that made it only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/tls/crypto.h"
#include "pool/tls/state.h"

struct handshake;
struct own_session;

/* All functions are called where the program has called the library itself, and may allocate. */
struct library {
	const struct tls_crypto *crypto;

	/* A handshake that it has refused can't be begun again. */
	bool is_final;

	/* It is about to make keys of ours: it stays loaded, also where the program unloads what has brought it. */
	void (*pin)(void);

	/* Its kind and version: others make other handshakes. */
	uint64_t (*identity)(void);

	/* A handshake of our own, like the one that the state says: version, suite and name. It verifies no
	 * certificate. Its secrets are noted in `record`. NULL: it can't be made. */
	struct own_session *(*own_open)(const struct tls_state *like, const struct tls_suite *suite,
					struct handshake *record);

	/* Goes on. 1: it is over; 0: it needs a record of the server; -1: it failed. */
	int (*own_step)(struct own_session *session);

	/* Takes up to so many bytes that are to be sent; 0: there are none. */
	size_t (*own_take)(struct own_session *session, uint8_t *bytes, size_t room);

	/* Gives it a record of the server. */
	bool (*own_give)(struct own_session *session, const uint8_t *record, size_t length);

	/* The SHA-256 of the server's certificate. */
	bool (*own_leaf)(struct own_session *session, uint8_t leaf[TLS_DIGEST_LENGTH]);

	void (*own_close)(struct own_session *session);
};

extern const struct library library_openssl, library_gnutls;
