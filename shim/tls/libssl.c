/* See libssl.h. */
#include "shim/tls/libssl.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "shim/base/large.h"
#include "shim/base/symbols.h"
#include "shim/tls/function.h"

#define SSL_SONAME "libssl.so.3"
#define CRYPTO_SONAME "libcrypto.so.3"
/* The tests have run with 3.0 and 3.5. What others put into a ClientHello is not known. */
#define VERSION_MINOR(version) ((version) >> 20)
#define VERSION_3_0 0x300UL
#define VERSION_3_5 0x305UL

#define AS_TEXT(name) #name "\0"
#define AS_OFFSET(name) offsetof(struct libssl, name),
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char ssl_names[] = LIBSSL_FUNCTIONS(AS_TEXT);
static const uint16_t ssl_offsets[] = {LIBSSL_FUNCTIONS(AS_OFFSET)};
static const char crypto_names[] = LIBCRYPTO_FUNCTIONS(AS_TEXT);
static const uint16_t crypto_offsets[] = {LIBCRYPTO_FUNCTIONS(AS_OFFSET)};

_Static_assert(LENGTH(ssl_offsets) + LENGTH(crypto_offsets) == sizeof(struct libssl) / sizeof(void *),
	       "each function is bound");

LARGE struct libssl libssl;

static _Atomic(bool) is_bound;
static _Atomic(unsigned) looked_at;  /* the generation of objects that it was decided for */
static uintptr_t ssl_begin, ssl_end; /* where libssl lies */
static uintptr_t crypto_begin, crypto_end;

static bool is_whole(void)
{
	void *const *functions = (void *const *)(const void *)&libssl;

	for (unsigned i = 0; i < sizeof(libssl) / sizeof(void *); i++)
		if (!functions[i])
			return false;
	return true;
}

/* Of several copies nobody could tell whose objects a program hands us. */
static bool is_only_one(const char *name)
{
	void *first;

	return symbols_count(name, &first) == 1;
}

static bool is_tested(unsigned long version)
{
	return VERSION_MINOR(version) == VERSION_3_0 || VERSION_MINOR(version) == VERSION_3_5;
}

static bool look(void)
{
	const struct symbols_list ssl = {ssl_names, ssl_offsets, LENGTH(ssl_offsets)};
	const struct symbols_list crypto = {crypto_names, crypto_offsets, LENGTH(crypto_offsets)};

	return is_only_one("SSL_connect") && is_only_one("EVP_PKEY_keygen") &&
	       symbols_bind_in(SSL_SONAME, &ssl, &libssl, &ssl_begin, &ssl_end) == 1 &&
	       symbols_bind_in(CRYPTO_SONAME, &crypto, &libssl, &crypto_begin, &crypto_end) == 1 && is_whole() &&
	       is_tested(libssl.OpenSSL_version_num());
}

bool libssl_bind(void)
{
	unsigned generation = symbols_generation;

	if (__builtin_expect(looked_at != generation, 0)) {
		is_bound = look();
		looked_at = generation;
	}
	return is_bound;
}

void libssl_pin(void)
{
	static _Atomic(bool) is_done[2];

	function_pin_library(SSL_SONAME, &is_done[0]);
	function_pin_library(CRYPTO_SONAME, &is_done[1]);
}

bool libssl_has_called(const void *return_address)
{
	return libssl_bind() && (uintptr_t)return_address >= ssl_begin && (uintptr_t)return_address < ssl_end;
}

bool libssl_has_called_crypto(const void *return_address)
{
	return libssl_bind() && (uintptr_t)return_address >= crypto_begin && (uintptr_t)return_address < crypto_end;
}

static bool hmac(unsigned hash_length, const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
		 uint8_t *out)
{
	const EVP_MD *hash = hash_length == TLS_HASH_MAX ? libssl.EVP_sha384() : libssl.EVP_sha256();

	return libssl.HMAC(hash, key, (int)key_length, bytes, length, out, NULL) != NULL;
}

static const EVP_CIPHER *cipher_of(enum tls_cipher cipher)
{
	switch (cipher) {
	case TLS_AES_128_GCM:
		return libssl.EVP_aes_128_gcm();
	case TLS_AES_256_GCM:
		return libssl.EVP_aes_256_gcm();
	case TLS_CHACHA20_POLY1305:
		return libssl.EVP_chacha20_poly1305();
	}
	return NULL;
}

static bool aead_begin(struct tls_aead *aead, enum tls_cipher cipher, const uint8_t *key, bool seals)
{
	if (!aead->state)
		aead->state = libssl.EVP_CIPHER_CTX_new();
	return aead->state && libssl.EVP_CipherInit_ex(aead->state, cipher_of(cipher), NULL, key, NULL, seals) > 0;
}

/* Its memory is kept for the next: no wrapper may free. */
static void aead_end(struct tls_aead *aead)
{
	static const uint8_t nothing[TLS_KEY_MAX];

	if (aead->state)
		libssl.EVP_CipherInit_ex(aead->state, NULL, NULL, nothing, NULL, -1);
}

static void aead_free(struct tls_aead *aead)
{
	libssl.EVP_CIPHER_CTX_free(aead->state);
}

static bool aead_seal(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	EVP_CIPHER_CTX *state = aead->state;
	int n = 0, rest = 0;

	return libssl.EVP_CipherInit_ex(state, NULL, NULL, NULL, nonce, -1) > 0 &&
	       libssl.EVP_CipherUpdate(state, NULL, &n, associated, (int)associated_length) > 0 &&
	       libssl.EVP_CipherUpdate(state, out, &n, in, (int)length) > 0 &&
	       libssl.EVP_CipherFinal_ex(state, out + n, &rest) > 0 && n + rest == (int)length &&
	       libssl.EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LENGTH, out + length) > 0;
}

static bool aead_open(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	EVP_CIPHER_CTX *state = aead->state;
	uint8_t tag[TLS_TAG_LENGTH];
	int n = 0, rest = 0;

	if (length < TLS_TAG_LENGTH)
		return false;
	length -= TLS_TAG_LENGTH;
	memcpy(tag, in + length, sizeof(tag));
	return libssl.EVP_CipherInit_ex(state, NULL, NULL, NULL, nonce, -1) > 0 &&
	       libssl.EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_LENGTH, tag) > 0 &&
	       libssl.EVP_CipherUpdate(state, NULL, &n, associated, (int)associated_length) > 0 &&
	       libssl.EVP_CipherUpdate(state, out, &n, in, (int)length) > 0 &&
	       libssl.EVP_CipherFinal_ex(state, out + n, &rest) > 0 && n + rest == (int)length;
}

const struct tls_crypto libssl_crypto = {
	.hmac = hmac,
	.aead_begin = aead_begin,
	.aead_end = aead_end,
	.aead_free = aead_free,
	.aead_seal = aead_seal,
	.aead_open = aead_open,
};
