/*
 * Cipher suites and key schedules, from a connection's traffic secrets on: TLS 1.3 (RFC 8446 7.2, 7.3) and TLS 1.2 with
 * an AEAD (RFC 5246 6.3, RFC 5288, RFC 7905). Plain computation; the library behind struct tls_crypto may allocate.
 */
#pragma once

#include "pool/tls/crypto.h"

#define TLS_1_2 0x0303u
#define TLS_1_3 0x0304u

/* Of a record's nonce in TLS 1.2 with AES-GCM: sent with each record (RFC 5288 3). */
#define TLS_EXPLICIT_NONCE 8u

struct tls_suite {
	uint16_t version; /* the one that it belongs to */
	uint16_t number;  /* IANA's */
	enum tls_cipher cipher;
	uint8_t key_length, hash_length;
	char name[32]; /* OpenSSL's */
};

/* NULL for one that is not followed: CBC, CCM, RSA key exchange. */
const struct tls_suite *tls_suite_find(uint16_t version, uint16_t number);

/* The key and initial vector of one direction, in the form that struct tls_seal takes. TLS 1.2 with AES-GCM has 4 bytes
 * of implicit nonce, all others 12. */
struct tls_traffic_key {
	uint8_t key[TLS_KEY_MAX];
	uint8_t iv[TLS_NONCE_LENGTH];
};

/* TLS 1.3: from the traffic secret (suite->hash_length bytes). */
bool tls_keys_of_secret(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *secret,
			struct tls_traffic_key *key) __attribute__((warn_unused_result));

/* TLS 1.3: the next secret after a KeyUpdate, in its place. */
bool tls_keys_next_secret(const struct tls_crypto *crypto, const struct tls_suite *suite, uint8_t *secret)
	__attribute__((warn_unused_result));

/* TLS 1.2: both directions, from the 48 bytes of the master secret and both randoms. */
bool tls_keys_of_master(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *master,
			const uint8_t *client_random, const uint8_t *server_random, struct tls_traffic_key *client,
			struct tls_traffic_key *server) __attribute__((warn_unused_result));
