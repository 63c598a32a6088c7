#include "tests/unit/fake/crypto.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

int fake_crypto_fails_after = -1;
unsigned fake_crypto_n_keys;

static bool is_to_fail(void)
{
	return fake_crypto_fails_after >= 0 && fake_crypto_fails_after-- == 0;
}

static bool do_hmac(unsigned hash_length, const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
		    uint8_t *out)
{
	const EVP_MD *hash = hash_length == 48 ? EVP_sha384() : EVP_sha256();

	return !is_to_fail() && HMAC(hash, key, (int)key_length, bytes, length, out, NULL);
}

static const EVP_CIPHER *find_cipher(enum tls_cipher cipher)
{
	switch (cipher) {
	case TLS_AES_128_GCM:
		return EVP_aes_128_gcm();
	case TLS_AES_256_GCM:
		return EVP_aes_256_gcm();
	case TLS_CHACHA20_POLY1305:
		break;
	}
	return EVP_chacha20_poly1305();
}

static bool aead_begin(struct tls_aead *aead, enum tls_cipher cipher, const uint8_t *key, bool seals)
{
	EVP_CIPHER_CTX *context = is_to_fail() ? NULL : EVP_CIPHER_CTX_new();

	if (!context || EVP_CipherInit_ex(context, find_cipher(cipher), NULL, key, NULL, seals) != 1) {
		EVP_CIPHER_CTX_free(context);
		return false;
	}
	aead->state = context;
	fake_crypto_n_keys++;
	return true;
}

static void aead_end(struct tls_aead *aead)
{
	if (aead->state)
		fake_crypto_n_keys--;
	EVP_CIPHER_CTX_free(aead->state);
	aead->state = NULL;
}

/* The nonce, what is authenticated beside, and the text. */
static bool run(EVP_CIPHER_CTX *context, const uint8_t *nonce, const uint8_t *associated, size_t associated_length,
		const uint8_t *in, size_t length, uint8_t *out)
{
	int n;

	return EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, -1) == 1 &&
	       EVP_CipherUpdate(context, NULL, &n, associated, (int)associated_length) == 1 &&
	       EVP_CipherUpdate(context, out, &n, in, (int)length) == 1;
}

static bool aead_seal(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	int n;

	return !is_to_fail() && run(aead->state, nonce, associated, associated_length, in, length, out) &&
	       EVP_CipherFinal_ex(aead->state, out + length, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(aead->state, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LENGTH, out + length) == 1;
}

static bool aead_open(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	uint8_t tag[TLS_TAG_LENGTH];
	int n;

	if (is_to_fail() || length < TLS_TAG_LENGTH)
		return false;
	length -= TLS_TAG_LENGTH;
	for (unsigned i = 0; i < TLS_TAG_LENGTH; i++)
		tag[i] = in[length + i];
	return run(aead->state, nonce, associated, associated_length, in, length, out) &&
	       EVP_CIPHER_CTX_ctrl(aead->state, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_LENGTH, tag) == 1 &&
	       EVP_CipherFinal_ex(aead->state, out + length, &n) == 1;
}

const struct tls_crypto fake_crypto = {
	.hmac = do_hmac,
	.aead_begin = aead_begin,
	.aead_end = aead_end,
	.aead_free = aead_end,
	.aead_seal = aead_seal,
	.aead_open = aead_open,
};
