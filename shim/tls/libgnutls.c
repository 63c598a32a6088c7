/* See libgnutls.h. */
#include "shim/tls/libgnutls.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "shim/base/large.h"
#include "shim/base/symbols.h"
#include "shim/tls/function.h"

#define SONAME "libgnutls.so.30"
/* Whose ClientHellos are known to depend on what is followed (gnutls_set.c) alone: those of 3.7, and of 3.8 the one
 * with which the tests have run (Debian 13). */
#define VERSION_FIRST 0x030705u
#define VERSION_END 0x030800u
#define VERSION_TESTED 0x030809u

#define AS_TEXT(name) #name "\0"
#define AS_OFFSET(name) offsetof(struct libgnutls, name),
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char names[] = LIBGNUTLS_FUNCTIONS(AS_TEXT);
static const uint16_t offsets[] = {LIBGNUTLS_FUNCTIONS(AS_OFFSET)};

LARGE struct libgnutls libgnutls;

static _Atomic(bool) is_bound;
static _Atomic(unsigned) looked_at; /* the generation of objects that it was decided for */
static uintptr_t begin, end;	    /* where it lies */

static bool is_whole(void)
{
	void *const *functions = (void *const *)(const void *)&libgnutls;

	for (unsigned i = 0; i < sizeof(libgnutls) / sizeof(void *); i++)
		if (!functions[i])
			return false;
	return true;
}

uint32_t libgnutls_version(void)
{
	uint32_t version = 0, part = 0;

	for (const char *at = libgnutls.gnutls_check_version(NULL);; at++) {
		if (*at >= '0' && *at <= '9') {
			part = part * 10 + (uint32_t)(*at - '0');
			continue;
		}
		version = version << 8 | part;
		part = 0;
		if (*at != '.')
			return version;
	}
}

static bool look(void)
{
	const struct symbols_list list = {names, offsets, LENGTH(offsets)};
	void *first;
	uint32_t version;

	if (symbols_count("gnutls_handshake", &first) != 1 ||
	    symbols_bind_in(SONAME, &list, &libgnutls, &begin, &end) != 1 || !is_whole())
		return false;
	version = libgnutls_version();
	return (version >= VERSION_FIRST && version < VERSION_END) || version == VERSION_TESTED;
}

bool libgnutls_bind(void)
{
	unsigned generation = symbols_generation;

	if (__builtin_expect(looked_at != generation, 0)) {
		is_bound = look();
		looked_at = generation;
	}
	return is_bound;
}

void libgnutls_pin(void)
{
	static _Atomic(bool) is_done[1];

	function_pin_library(SONAME, &is_done[0]);
}

bool libgnutls_has_called(const void *return_address)
{
	return libgnutls_bind() && (uintptr_t)return_address >= begin && (uintptr_t)return_address < end;
}

static bool hmac(unsigned hash_length, const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
		 uint8_t *out)
{
	gnutls_mac_algorithm_t hash = hash_length == TLS_HASH_MAX ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256;

	return libgnutls.gnutls_hmac_fast(hash, key, key_length, bytes, length, out) == 0;
}

static gnutls_cipher_algorithm_t cipher_of(enum tls_cipher cipher)
{
	switch (cipher) {
	case TLS_AES_128_GCM:
		return GNUTLS_CIPHER_AES_128_GCM;
	case TLS_AES_256_GCM:
		return GNUTLS_CIPHER_AES_256_GCM;
	case TLS_CHACHA20_POLY1305:
		return GNUTLS_CIPHER_CHACHA20_POLY1305;
	}
	return GNUTLS_CIPHER_UNKNOWN;
}

static unsigned key_length_of(enum tls_cipher cipher)
{
	return cipher == TLS_AES_128_GCM ? 16 : TLS_KEY_MAX;
}

static void aead_free(struct tls_aead *aead)
{
	libgnutls.gnutls_aead_cipher_deinit(aead->state);
}

/* One key serves both directions. */
static bool aead_begin(struct tls_aead *aead, enum tls_cipher cipher, const uint8_t *key, bool seals)
{
	gnutls_datum_t datum = {(unsigned char *)key, key_length_of(cipher)};
	gnutls_aead_cipher_hd_t handle = NULL;

	(void)seals;
	/* To give it another key is of no use: GCM's authentication then depends on the old one (3.7.9 on x86). */
	if (aead->state)
		aead_free(aead);
	aead->state = NULL;
	if (libgnutls.gnutls_aead_cipher_init(&handle, cipher_of(cipher), &datum) < 0)
		return false;
	aead->state = handle;
	aead->cipher = cipher;
	return true;
}

/* Its memory is kept for the next: no wrapper may free. */
static void aead_end(struct tls_aead *aead)
{
	static uint8_t nothing[TLS_KEY_MAX];
	gnutls_datum_t datum = {nothing, key_length_of(aead->cipher)};

	if (aead->state)
		libgnutls.gnutls_aead_cipher_set_key(aead->state, &datum);
}

static bool aead_seal(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	size_t sealed = length + TLS_TAG_LENGTH;

	return libgnutls.gnutls_aead_cipher_encrypt(aead->state, nonce, TLS_NONCE_LENGTH, associated, associated_length,
						    TLS_TAG_LENGTH, in, length, out, &sealed) == 0 &&
	       sealed == length + TLS_TAG_LENGTH;
}

static bool aead_open(struct tls_aead *aead, const uint8_t nonce[TLS_NONCE_LENGTH], const uint8_t *associated,
		      size_t associated_length, const uint8_t *in, size_t length, uint8_t *out)
{
	size_t opened = length;

	return length >= TLS_TAG_LENGTH &&
	       libgnutls.gnutls_aead_cipher_decrypt(aead->state, nonce, TLS_NONCE_LENGTH, associated, associated_length,
						    TLS_TAG_LENGTH, in, length, out, &opened) == 0 &&
	       opened == length - TLS_TAG_LENGTH;
}

const struct tls_crypto libgnutls_crypto = {
	.hmac = hmac,
	.aead_begin = aead_begin,
	.aead_end = aead_end,
	.aead_free = aead_free,
	.aead_seal = aead_seal,
	.aead_open = aead_open,
};
