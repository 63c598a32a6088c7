/*
 * ClientHello and ServerHello as they stand in records (RFC 8446 4.1.2, 4.1.3; RFC 5246 7.4.1). Every byte comes from a
 * network or a program: nothing is trusted, nothing is allocated.
 */
#pragma once

#include "pool/tls/crypto.h"

#define TLS_RANDOM_LENGTH 32u
#define TLS_DIGEST_LENGTH 32u
#define TLS_NAME_MAX 255u

/* Why a ClientHello is none that can be compared. */
enum tls_hello_verdict {
	TLS_HELLO_FINE,
	TLS_HELLO_PARTIAL,    /* more bytes are needed: the record is not whole */
	TLS_HELLO_MALFORMED,  /* it is no ClientHello, or one over several records */
	TLS_HELLO_EARLY_DATA, /* 0-RTT, or an external PSK without a session that could be put aside; all is read */
};

struct tls_hello {
	size_t record_length;
	uint8_t random[TLS_RANDOM_LENGTH];
	uint8_t digest[TLS_DIGEST_LENGTH];  /* of all that is not random: see tls_hello_read() */
	char server_name[TLS_NAME_MAX + 1]; /* SNI (RFC 6066 3); empty: none */
	bool offers_alpn;		    /* RFC 7301 */
	bool offers_h2;			    /* HTTP/2 is among the protocols offered */
	bool may_be_asked_later;	    /* for a certificate, after the handshake (RFC 8446 4.2.6) */
	/* A ticket, PSK or session id to be resumed. A session id beside TLS 1.3 doesn't count: it is made up (RFC 8446
	 * D.4), or of a session of TLS 1.2 without a ticket, which can't be told from it. */
	bool offers_session;
};

/* Reads the ClientHello at the beginning of what a program sends. Its digest (HMAC-SHA-256 with `salt`, which names the
 * library) covers all bytes but the random, the session id, the key shares' values, the contents of a session ticket,
 * the PSK, the padding, and the order of the extensions, which GnuTLS draws: two programs whose digests are equal have
 * asked for the same. Whether a session is offered makes no difference to it, since the session is put aside before a
 * replay. */
enum tls_hello_verdict tls_hello_read(const struct tls_crypto *crypto, const uint8_t *bytes, size_t length,
				      const uint8_t *salt, size_t salt_length, struct tls_hello *hello);

struct tls_server_hello {
	uint16_t version; /* negotiated: by supported_versions where that is there */
	uint16_t suite;
	uint8_t random[TLS_RANDOM_LENGTH];
};

/* Finds the ServerHello in what a server has sent, record by record; a HelloRetryRequest before it is passed over.
 * False: it isn't there whole, or malformed. A message over several records is not followed. */
bool tls_server_hello_find(const uint8_t *bytes, size_t length, struct tls_server_hello *hello)
	__attribute__((warn_unused_result));

/* A handshake message of that type (RFC 8446 4: 13 is CertificateRequest) in a plaintext flight of TLS 1.2, which ends
 * with the ChangeCipherSpec. Messages over several records are followed. */
bool tls_flight_has_message(const uint8_t *bytes, size_t length, uint8_t type);
