/*
 * Records of TLS 1.2 (RFC 5246 6.2.3.3) and 1.3 (RFC 8446 5.2) with an AEAD: opened and sealed. The caller numbers
 * them. No allocation, no locks, no system calls.
 */
#pragma once

#include "pool/tls/keys.h"

#define TLS_HEADER_LENGTH 5u
/* RFC 8446 5.2, RFC 5246 6.2.3: more is an error in either version. */
#define TLS_CONTENT_MAX 16384u
#define TLS_RECORD_MAX (TLS_HEADER_LENGTH + TLS_CONTENT_MAX + 256u)

enum tls_type { TLS_CHANGE_CIPHER_SPEC = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_APPLICATION_DATA = 23 };

/* One direction under one key. */
struct tls_seal {
	const struct tls_crypto *crypto;
	const struct tls_suite *suite;
	struct tls_aead aead;
	uint8_t iv[TLS_NONCE_LENGTH];
};

/* What a record holds. */
struct tls_content {
	uint8_t type;	  /* enum tls_type, the inner one in TLS 1.3 */
	uint16_t length;  /* of the content, without type and padding */
	uint16_t padding; /* zeros behind it, TLS 1.3 */
};

/* Takes a key; what was there is given up, so it is all zero before the first time. It is again after a failure. May
 * allocate. */
bool tls_seal_begin(struct tls_seal *seal, const struct tls_crypto *crypto, const struct tls_suite *suite,
		    const struct tls_traffic_key *key, bool seals) __attribute__((warn_unused_result));
void tls_seal_end(struct tls_seal *seal);

/* The same, and nothing of the library's is left. Where it may free. */
void tls_seal_free(struct tls_seal *seal);

/* The whole record's length by its header (5 bytes); 0: this is no record's header of these versions, or longer than
 * any may be. */
size_t tls_record_length(const uint8_t *header);

/* How much longer a record, with its header, is than content and padding. */
size_t tls_record_overhead(const struct tls_suite *suite);

/* Opens a whole record into `bytes` (room for TLS_RECORD_MAX; may not overlap). False, and no text is left there: it is
 * not authentic, or malformed (an inner text of zeros only, RFC 8446 5.4; more than TLS_CONTENT_MAX). Content may be
 * empty, and of any type. */
bool tls_record_open(struct tls_seal *seal, uint64_t number, const uint8_t *record, size_t length, uint8_t *bytes,
		     struct tls_content *content) __attribute__((warn_unused_result));

/* Seals content into `record` (room for TLS_RECORD_MAX; may not overlap). `explicit_nonce` is what TLS 1.2 with AES-GCM
 * sends along, others ignore it. The record's length; 0: it failed, or the content is none that a record may hold. */
size_t tls_record_seal(struct tls_seal *seal, uint64_t number, uint64_t explicit_nonce, const uint8_t *bytes,
		       const struct tls_content *content, uint8_t *record) __attribute__((warn_unused_result));

/* The explicit nonce of a whole record that has been opened or sealed (TLS 1.2 with AES-GCM; others: 0). */
uint64_t tls_record_explicit_nonce(const struct tls_suite *suite, const uint8_t *record);
