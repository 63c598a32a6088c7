/*
 * Cipher suites and key schedules; see keys.h. Owns nothing: secrets are the caller's, and what is computed on the way
 * is wiped. Suites without forward secrecy or without an AEAD are not in the table, so no connection with them is
 * followed.
 */
#include "pool/tls/keys.h"

#include <string.h>

#define MASTER_LENGTH 48u /* RFC 5246 8.1 */
#define RANDOM_LENGTH 32u /* RFC 5246 7.4.1.2 */
#define LABEL_MAX 18u	  /* "tls13 traffic upd", "key expansion" */
#define SEED_MAX (LABEL_MAX + 2 * RANDOM_LENGTH)
#define IMPLICIT_NONCE 4u /* RFC 5288 3 */
#define KEY_BLOCK_MAX (2 * TLS_KEY_MAX + 2 * TLS_NONCE_LENGTH)

static const struct tls_suite SUITES[] = {
	{TLS_1_3, 0x1301, TLS_AES_128_GCM, 16, 32, "TLS_AES_128_GCM_SHA256"},
	{TLS_1_3, 0x1302, TLS_AES_256_GCM, 32, 48, "TLS_AES_256_GCM_SHA384"},
	{TLS_1_3, 0x1303, TLS_CHACHA20_POLY1305, 32, 32, "TLS_CHACHA20_POLY1305_SHA256"},
	{TLS_1_2, 0xc02b, TLS_AES_128_GCM, 16, 32, "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{TLS_1_2, 0xc02c, TLS_AES_256_GCM, 32, 48, "ECDHE-ECDSA-AES256-GCM-SHA384"},
	{TLS_1_2, 0xc02f, TLS_AES_128_GCM, 16, 32, "ECDHE-RSA-AES128-GCM-SHA256"},
	{TLS_1_2, 0xc030, TLS_AES_256_GCM, 32, 48, "ECDHE-RSA-AES256-GCM-SHA384"},
	{TLS_1_2, 0xcca8, TLS_CHACHA20_POLY1305, 32, 32, "ECDHE-RSA-CHACHA20-POLY1305"},
	{TLS_1_2, 0xcca9, TLS_CHACHA20_POLY1305, 32, 32, "ECDHE-ECDSA-CHACHA20-POLY1305"},
	{TLS_1_2, 0x009e, TLS_AES_128_GCM, 16, 32, "DHE-RSA-AES128-GCM-SHA256"},
	{TLS_1_2, 0x009f, TLS_AES_256_GCM, 32, 48, "DHE-RSA-AES256-GCM-SHA384"},
	{TLS_1_2, 0xccaa, TLS_CHACHA20_POLY1305, 32, 32, "DHE-RSA-CHACHA20-POLY1305"},
};

const struct tls_suite *tls_suite_find(uint16_t version, uint16_t number)
{
	for (size_t i = 0; i < sizeof(SUITES) / sizeof(SUITES[0]); i++) {
		if (SUITES[i].version == version && SUITES[i].number == number)
			return &SUITES[i];
	}
	return NULL;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1), for at most as many bytes as the hash has: one block of
 * HKDF-Expand (RFC 5869 2.3). `out` may be `secret`. */
static bool expand_label(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *secret,
			 const char *label, uint8_t *out, size_t length)
{
	static const char PREFIX[] = "tls13 ";
	uint8_t info[2 + 1 + LABEL_MAX + 1 + 1], block[TLS_HASH_MAX];
	size_t prefix_length = sizeof(PREFIX) - 1, label_length = strlen(label), at = 0;
	bool done;

	info[at++] = 0;
	info[at++] = (uint8_t)length;
	info[at++] = (uint8_t)(prefix_length + label_length);
	memcpy(info + at, PREFIX, prefix_length);
	at += prefix_length;
	memcpy(info + at, label, label_length);
	at += label_length;
	info[at++] = 0; /* the context's length */
	info[at++] = 1; /* the block's number */
	done = crypto->hmac(suite->hash_length, secret, suite->hash_length, info, at, block);
	if (done)
		memcpy(out, block, length);
	explicit_bzero(block, sizeof(block));
	return done;
}

bool tls_keys_of_secret(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *secret,
			struct tls_traffic_key *key)
{
	if (expand_label(crypto, suite, secret, "key", key->key, suite->key_length) &&
	    expand_label(crypto, suite, secret, "iv", key->iv, TLS_NONCE_LENGTH))
		return true;
	explicit_bzero(key, sizeof(*key));
	return false;
}

bool tls_keys_next_secret(const struct tls_crypto *crypto, const struct tls_suite *suite, uint8_t *secret)
{
	return expand_label(crypto, suite, secret, "traffic upd", secret, suite->hash_length);
}

/* PRF of TLS 1.2 (RFC 5246 5): P_hash of the master secret. `seed` begins with the label. */
static bool expand_master(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *master,
			  const uint8_t *seed, size_t seed_length, uint8_t *out, size_t length)
{
	size_t hash_length = suite->hash_length;
	uint8_t chain[TLS_HASH_MAX + SEED_MAX], block[TLS_HASH_MAX]; /* A(i) and the seed; what that gives */
	bool done = crypto->hmac(suite->hash_length, master, MASTER_LENGTH, seed, seed_length, chain);

	memcpy(chain + hash_length, seed, seed_length);
	for (size_t at = 0; done && at < length; at += hash_length) {
		size_t take = length - at < hash_length ? length - at : hash_length;

		done = crypto->hmac(suite->hash_length, master, MASTER_LENGTH, chain, hash_length + seed_length, block);
		if (!done)
			break;
		memcpy(out + at, block, take);
		done = crypto->hmac(suite->hash_length, master, MASTER_LENGTH, chain, hash_length, block);
		if (done)
			memcpy(chain, block, hash_length);
	}
	explicit_bzero(chain, sizeof(chain));
	explicit_bzero(block, sizeof(block));
	return done;
}

/* Cuts both directions out of a key block. There are no MAC keys in it (RFC 5246 6.3, with an AEAD). */
static void cut_keys(const struct tls_suite *suite, const uint8_t *block, struct tls_traffic_key *client,
		     struct tls_traffic_key *server)
{
	size_t iv_length = suite->cipher == TLS_CHACHA20_POLY1305 ? TLS_NONCE_LENGTH : IMPLICIT_NONCE;

	memset(client, 0, sizeof(*client));
	memset(server, 0, sizeof(*server));
	memcpy(client->key, block, suite->key_length);
	block += suite->key_length;
	memcpy(server->key, block, suite->key_length);
	block += suite->key_length;
	memcpy(client->iv, block, iv_length);
	memcpy(server->iv, block + iv_length, iv_length);
}

bool tls_keys_of_master(const struct tls_crypto *crypto, const struct tls_suite *suite, const uint8_t *master,
			const uint8_t *client_random, const uint8_t *server_random, struct tls_traffic_key *client,
			struct tls_traffic_key *server)
{
	static const char LABEL[] = "key expansion";
	size_t label_length = sizeof(LABEL) - 1;
	uint8_t seed[SEED_MAX], block[KEY_BLOCK_MAX];
	bool done;

	memcpy(seed, LABEL, label_length);
	memcpy(seed + label_length, server_random, RANDOM_LENGTH);
	memcpy(seed + label_length + RANDOM_LENGTH, client_random, RANDOM_LENGTH);
	done = expand_master(crypto, suite, master, seed, label_length + 2 * RANDOM_LENGTH, block, sizeof(block));
	if (done)
		cut_keys(suite, block, client, server);
	explicit_bzero(block, sizeof(block));
	return done;
}
