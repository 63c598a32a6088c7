/* See key_pair.h. A key pair is recorded as its type's name and its parameters (EVP_PKEY_todata(3)). */
#include "shim/tls/key_pair.h"

#include <stdint.h>
#include <string.h>

#include "shim/tls/handshake.h"

#define DRAWN_KEY_PAIR 'K'
/* That of X25519MLKEM768 is of 4 KiB. */
#define KEY_PAIR_MAX 8192u
#define PARAMETERS_MAX 24u

/* Before the key and the data of each. */
struct parameter {
	uint32_t key_length, type, length;
};

struct out {
	uint8_t bytes[KEY_PAIR_MAX];
	size_t length;
	bool is_too_long;
};

static void add(struct out *out, const void *bytes, size_t length)
{
	if (length > sizeof(out->bytes) - out->length) {
		out->is_too_long = true;
		return;
	}
	memcpy(out->bytes + out->length, bytes, length);
	out->length += length;
}

static void record(EVP_PKEY *key)
{
	const char *name = libssl.EVP_PKEY_get0_type_name(key);
	OSSL_PARAM *parameters = NULL;
	struct out out = {.length = 0};

	if (!name || libssl.EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &parameters) <= 0) {
		handshake_current->recorder.is_too_long = true;
		return;
	}
	add(&out, name, strlen(name) + 1);
	for (const OSSL_PARAM *at = parameters; at->key; at++) {
		struct parameter header = {(uint32_t)strlen(at->key) + 1, at->data_type, (uint32_t)at->data_size};

		add(&out, &header, sizeof(header));
		add(&out, at->key, header.key_length);
		add(&out, at->data, at->data_size);
	}
	libssl.OSSL_PARAM_free(parameters);
	if (out.is_too_long)
		handshake_current->recorder.is_too_long = true;
	handshake_drew(DRAWN_KEY_PAIR, out.bytes, out.length);
	explicit_bzero(out.bytes, out.length);
}

/* What is left of the recorded bytes. NULL: there are not so many. */
static const uint8_t *take(const uint8_t **at, const uint8_t *end, size_t length)
{
	const uint8_t *taken = *at;

	if (length > (size_t)(end - taken))
		return NULL;
	*at += length;
	return taken;
}

/* Numbers among the parameters are read in place: they have to be aligned. */
struct room {
	_Alignas(16) uint8_t bytes[KEY_PAIR_MAX];
	size_t length;
};

static void *align(struct room *room, const uint8_t *bytes, size_t length)
{
	void *aligned = room->bytes + room->length;

	if (length > sizeof(room->bytes) - room->length)
		return NULL;
	memcpy(aligned, bytes, length);
	room->length = (room->length + length + 15) & ~(size_t)15;
	if (room->length > sizeof(room->bytes))
		room->length = sizeof(room->bytes);
	return aligned;
}

static bool read_parameters(const uint8_t *at, const uint8_t *end, OSSL_PARAM *parameters, struct room *room)
{
	unsigned n = 0;

	for (; at < end && n < PARAMETERS_MAX - 1; n++) {
		const uint8_t *header_at = take(&at, end, sizeof(struct parameter)), *key, *data;
		struct parameter header;

		if (!header_at)
			return false;
		memcpy(&header, header_at, sizeof(header));
		key = take(&at, end, header.key_length);
		data = key ? take(&at, end, header.length) : NULL;
		if (!data || !header.key_length || key[header.key_length - 1])
			return false;
		parameters[n] = (OSSL_PARAM){(const char *)key, header.type, align(room, data, header.length),
					     header.length, OSSL_PARAM_UNMODIFIED};
		if (!parameters[n].data)
			return false;
	}
	parameters[n] = (OSSL_PARAM){0};
	return at == end;
}

static EVP_PKEY *make_of(const char *name, OSSL_PARAM *parameters)
{
	EVP_PKEY_CTX *context = libssl.EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
	EVP_PKEY *key = NULL;

	if (!context)
		return NULL;
	if (libssl.EVP_PKEY_fromdata_init(context) > 0)
		libssl.EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters);
	libssl.EVP_PKEY_CTX_free(context);
	return key;
}

/* NULL: it is no key pair that this library can make. */
static EVP_PKEY *read(const uint8_t *bytes, size_t length)
{
	OSSL_PARAM parameters[PARAMETERS_MAX];
	struct room room = {.length = 0};
	const uint8_t *name_end = memchr(bytes, '\0', length);
	EVP_PKEY *key = NULL;

	if (name_end && read_parameters(name_end + 1, bytes + length, parameters, &room))
		key = make_of((const char *)bytes, parameters);
	explicit_bzero(room.bytes, room.length);
	return key;
}

int key_pair_draw(EVP_PKEY_CTX *context, EVP_PKEY **key, int (*make)(EVP_PKEY_CTX *context, EVP_PKEY **key))
{
	struct handshake *handshake = handshake_current;
	size_t length;
	const uint8_t *recorded = *key ? NULL : handshake_draw(DRAWN_KEY_PAIR, &length);
	EVP_PKEY *drawn = recorded ? read(recorded, length) : NULL;
	int result;

	if (drawn) {
		*key = drawn;
		return 1;
	}
	if (handshake->phase == HANDSHAKE_PLAYED)
		handshake->script.differs = true;
	/* What it draws itself is no part of the handshake's. */
	handshake_current = NULL;
	result = make(context, key);
	handshake_current = handshake;
	if (result > 0 && handshake->phase == HANDSHAKE_RECORDED)
		record(*key);
	return result;
}
