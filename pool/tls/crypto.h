/*
 * What TLS needs of a cryptographic library: the program's own copy of libcrypto or libgnutls, which the caller finds
 * at run time (tests link one). All functions return false where the library fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_HASH_MAX 48u     /* SHA-384 */
#define TLS_KEY_MAX 32u	     /* AES-256, ChaCha20 */
#define TLS_NONCE_LENGTH 12u /* RFC 5116 3.1 */
#define TLS_TAG_LENGTH 16u

enum tls_cipher { TLS_AES_128_GCM, TLS_AES_256_GCM, TLS_CHACHA20_POLY1305 };

/* One key, in one direction. Owned by whoever called aead_begin(). */
struct tls_aead {
	void *state;			/* the library's; NULL: none */
	const struct tls_crypto *owner; /* whose it is */
	enum tls_cipher cipher;		/* what it was made for */
};

struct tls_crypto {
	/* HMAC with SHA-256 (hash_length 32) or SHA-384 (48); `out` takes hash_length bytes (RFC 2104). */
	bool (*hmac)(unsigned hash_length, const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
		     uint8_t *out);

	/* Takes the key for one direction; there is none in `aead`, nor after a failure. May allocate. */
	bool (*aead_begin)(struct tls_aead *aead, enum tls_cipher cipher, const uint8_t *key, bool seals);
	/* Wipes the key. Memory may stay with `aead` for the next one; harmless where there is none. */
	void (*aead_end)(struct tls_aead *aead);
	/* Gives that memory back. */
	void (*aead_free)(struct tls_aead *aead);

	/* `out` may be `in`. Sealing adds TLS_TAG_LENGTH bytes, opening takes them away. No allocation. */
	bool (*aead_seal)(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
			  size_t associated_length, const uint8_t *in, size_t length, uint8_t *out);
	bool (*aead_open)(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
			  size_t associated_length, const uint8_t *in, size_t length, uint8_t *out);
};
