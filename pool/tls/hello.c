/*
 * Hellos and plaintext flights; see hello.h. Owns nothing. Every length is checked against what is left of the field
 * around it, and a hello that no library in use would send is malformed: then nothing is predicted from it.
 */
#include "pool/tls/hello.h"

#include <string.h>

#include "pool/tls/record.h"

#define MESSAGE_HEADER_LENGTH 4u /* RFC 8446 4 */
#define SESSION_ID_MAX 32u
#define EXTENSIONS_MAX 64u /* browsers send 20 */
#define HOST_NAME 0u	   /* RFC 6066 3 */
#define WARNING 1u	   /* RFC 5246 7.2 */

enum { CLIENT_HELLO = 1, SERVER_HELLO = 2 }; /* RFC 8446 4 */

/* IANA's numbers of extensions. */
enum {
	SERVER_NAME = 0,
	APPLICATION_PROTOCOLS = 16,
	PADDING = 21,
	SESSION_TICKET = 35,
	PRE_SHARED_KEY = 41,
	EARLY_DATA = 42,
	SUPPORTED_VERSIONS = 43,
	POST_HANDSHAKE_AUTH = 49,
	KEY_SHARE = 51,
};

/* A HelloRetryRequest is a ServerHello with this random (RFC 8446 4.1.3). */
static const uint8_t RETRY_RANDOM[TLS_RANDOM_LENGTH] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

/* Bytes still to be read. */
struct span {
	const uint8_t *bytes;
	size_t length;
};

/* Cuts the first `length` bytes off. */
static bool take(struct span *from, size_t length, struct span *taken)
{
	if (length > from->length)
		return false;
	*taken = (struct span){from->bytes, length};
	from->bytes += length;
	from->length -= length;
	return true;
}

/* Cuts a number of 1 to 3 bytes off. */
static bool take_number(struct span *from, unsigned length, uint32_t *number)
{
	struct span taken;

	if (!take(from, length, &taken))
		return false;
	*number = 0;
	for (unsigned i = 0; i < length; i++)
		*number = *number << 8 | taken.bytes[i];
	return true;
}

/* Cuts a vector off whose length is in its first bytes (RFC 8446 3.4). */
static bool take_vector(struct span *from, unsigned length_length, struct span *taken)
{
	uint32_t length;

	return take_number(from, length_length, &length) && take(from, length, taken);
}

/* The digest in progress. A text longer than the block is hashed in a chain: each link's key is the digest so far, and
 * whether it is the last. */
struct canon {
	const struct tls_crypto *crypto;
	bool failed;
	uint8_t key[TLS_DIGEST_LENGTH + 1];
	size_t used;
	uint8_t block[1024];
};

static void canon_hash(struct canon *canon, bool is_last)
{
	uint8_t digest[TLS_DIGEST_LENGTH];

	canon->key[TLS_DIGEST_LENGTH] = is_last;
	if (!canon->crypto->hmac(TLS_DIGEST_LENGTH, canon->key, sizeof(canon->key), canon->block, canon->used, digest))
		canon->failed = true;
	else
		memcpy(canon->key, digest, sizeof(digest));
	canon->used = 0;
}

static void canon_put(struct canon *canon, const uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at < length;) {
		size_t n = sizeof(canon->block) - canon->used;

		if (n > length - at)
			n = length - at;
		memcpy(canon->block + canon->used, bytes + at, n);
		canon->used += n;
		at += n;
		if (canon->used == sizeof(canon->block))
			canon_hash(canon, false);
	}
}

static void canon_put_number(struct canon *canon, size_t number)
{
	uint8_t bytes[] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

	canon_put(canon, bytes, sizeof(bytes));
}

static void canon_put_span(struct canon *canon, struct span span)
{
	canon_put_number(canon, span.length);
	canon_put(canon, span.bytes, span.length);
}

struct extension {
	uint16_t type;
	struct span content;
};

/* What a ClientHello says, while it is read. */
struct reading {
	struct tls_hello *hello;
	struct canon canon;
	bool offers_early_data;
	bool offers_external_key;
	bool knows_1_3;
	bool has_session_id;
	unsigned n_extensions;
	struct extension extensions[EXTENSIONS_MAX]; /* by type */
};

/* One name of a host, and nothing else (RFC 6066 3). */
static bool read_server_name(struct reading *reading, struct span content)
{
	struct span names, name;
	uint32_t type;

	if (!take_vector(&content, 2, &names) || content.length > 0)
		return false;
	if (!take_number(&names, 1, &type) || type != HOST_NAME || !take_vector(&names, 2, &name) || names.length > 0)
		return false;
	if (name.length == 0 || name.length > TLS_NAME_MAX || memchr(name.bytes, 0, name.length))
		return false;
	memcpy(reading->hello->server_name, name.bytes, name.length);
	reading->hello->server_name[name.length] = 0;
	return true;
}

static bool read_protocols(struct reading *reading, struct span content)
{
	struct span protocols, protocol;

	if (!take_vector(&content, 2, &protocols) || content.length > 0 || protocols.length == 0)
		return false;
	while (protocols.length > 0) {
		if (!take_vector(&protocols, 1, &protocol) || protocol.length == 0)
			return false;
		if (protocol.length == 2 && memcmp(protocol.bytes, "h2", 2) == 0)
			reading->hello->offers_h2 = true;
	}
	reading->hello->offers_alpn = true;
	return true;
}

static bool read_versions(struct reading *reading, struct span content)
{
	struct span versions;
	uint32_t version;

	if (!take_vector(&content, 1, &versions) || content.length > 0)
		return false;
	while (versions.length > 0) {
		if (!take_number(&versions, 2, &version))
			return false;
		if (version == TLS_1_3)
			reading->knows_1_3 = true;
	}
	return true;
}

/* A key that is not a session's has the age 0 (RFC 8446 4.2.11). A session that has it, once in 2^32, passes for one:
 * that costs reuse and nothing else. */
static bool read_shared_keys(struct reading *reading, struct span content)
{
	struct span identities, identity, binders;
	uint32_t age;

	if (!take_vector(&content, 2, &identities) || !take_vector(&content, 2, &binders) || content.length > 0)
		return false;
	if (identities.length == 0)
		return false;
	while (identities.length > 0) {
		struct span field;

		if (!take_vector(&identities, 2, &identity) || !take(&identities, 4, &field))
			return false;
		age = (uint32_t)field.bytes[0] << 24 | (uint32_t)field.bytes[1] << 16 | (uint32_t)field.bytes[2] << 8 |
		      field.bytes[3];
		if (age == 0)
			reading->offers_external_key = true;
	}
	reading->hello->offers_session = true;
	return true;
}

/* Of each share, the group and the length count, the key doesn't (RFC 8446 4.2.8). */
static bool digest_key_shares(struct canon *canon, struct span content)
{
	struct span shares, key;
	uint32_t group;

	if (!take_vector(&content, 2, &shares) || content.length > 0)
		return false;
	canon_put_number(canon, shares.length);
	while (shares.length > 0) {
		if (!take_number(&shares, 2, &group) || !take_vector(&shares, 2, &key))
			return false;
		canon_put_number(canon, group);
		canon_put_number(canon, key.length);
	}
	return true;
}

/* Takes it in where it belongs. False: there was one of this type before (RFC 8446 4.2: not more than one), or there
 * is no room. */
static bool note_extension(struct reading *reading, uint16_t type, struct span content)
{
	unsigned at = reading->n_extensions;

	if (at == EXTENSIONS_MAX)
		return false;
	for (; at > 0 && reading->extensions[at - 1].type >= type; at--) {
		if (reading->extensions[at - 1].type == type)
			return false;
		reading->extensions[at] = reading->extensions[at - 1];
	}
	reading->extensions[at] = (struct extension){type, content};
	reading->n_extensions++;
	return true;
}

/* What an extension says to us. */
static bool read_meaning(struct reading *reading, uint32_t type, struct span content)
{
	switch (type) {
	case SERVER_NAME:
		return read_server_name(reading, content);
	case APPLICATION_PROTOCOLS:
		return read_protocols(reading, content);
	case SUPPORTED_VERSIONS:
		return read_versions(reading, content);
	case PRE_SHARED_KEY:
		return read_shared_keys(reading, content);
	case SESSION_TICKET: /* empty: the client knows tickets and has none (RFC 5077 3.2) */
		reading->hello->offers_session |= content.length > 0;
		return true;
	case EARLY_DATA:
		reading->offers_early_data = true;
		return true;
	case POST_HANDSHAKE_AUTH:
		reading->hello->may_be_asked_later = true;
		return true;
	default:
		return true;
	}
}

static bool read_extension(struct reading *reading, struct span *extensions)
{
	struct span content;
	uint32_t type;

	if (!take_number(extensions, 2, &type) || !take_vector(extensions, 2, &content))
		return false;
	if (!note_extension(reading, (uint16_t)type, content) || !read_meaning(reading, type, content))
		return false;
	/* It is the last (RFC 8446 4.2.11). */
	return type != PRE_SHARED_KEY || extensions->length == 0;
}

/* Not what is about a session, which is put aside, or follows from the length. */
static bool digest_extension(struct canon *canon, const struct extension *extension)
{
	if (extension->type == PRE_SHARED_KEY || extension->type == PADDING)
		return true;
	canon_put_number(canon, extension->type);
	if (extension->type == SESSION_TICKET)
		return true;
	if (extension->type == KEY_SHARE)
		return digest_key_shares(canon, extension->content);
	canon_put_span(canon, extension->content);
	return true;
}

/* By their types: GnuTLS shuffles them at random from 3.8.1 on. */
static bool digest_extensions(struct reading *reading)
{
	bool is_fine = true;

	for (unsigned i = 0; is_fine && i < reading->n_extensions; i++)
		is_fine = digest_extension(&reading->canon, &reading->extensions[i]);
	return is_fine;
}

/* The body of a ClientHello (RFC 8446 4.1.2). */
static bool read_body(struct reading *reading, struct span body)
{
	struct span version, random, session_id, suites, compressions, extensions;

	if (!take(&body, 2, &version) || !take(&body, TLS_RANDOM_LENGTH, &random) ||
	    !take_vector(&body, 1, &session_id) || session_id.length > SESSION_ID_MAX ||
	    !take_vector(&body, 2, &suites) || suites.length < 2 || suites.length % 2 != 0 ||
	    !take_vector(&body, 1, &compressions) || compressions.length == 0)
		return false;
	memcpy(reading->hello->random, random.bytes, TLS_RANDOM_LENGTH);
	reading->has_session_id = session_id.length > 0;
	canon_put_span(&reading->canon, version);
	canon_put_span(&reading->canon, suites);
	canon_put_span(&reading->canon, compressions);
	if (body.length == 0) /* RFC 5246 7.4.1.2: nothing, or extensions */
		return true;
	if (!take_vector(&body, 2, &extensions) || body.length > 0)
		return false;
	while (extensions.length > 0) {
		if (!read_extension(reading, &extensions))
			return false;
	}
	return digest_extensions(reading);
}

/* The one whole message of a record at the beginning of `bytes`, without its header. */
static enum tls_hello_verdict find_client_hello(struct span bytes, struct span *body, size_t *record_length)
{
	static const uint8_t BEGINNING[] = {TLS_HANDSHAKE, 3}; /* type, and the version's upper byte */
	struct span message;
	uint32_t type;
	size_t known = bytes.length < sizeof(BEGINNING) ? bytes.length : sizeof(BEGINNING);

	if (memcmp(bytes.bytes, BEGINNING, known) != 0)
		return TLS_HELLO_MALFORMED;
	if (bytes.length < TLS_HEADER_LENGTH)
		return TLS_HELLO_PARTIAL;
	*record_length = tls_record_length(bytes.bytes);
	if (*record_length < TLS_HEADER_LENGTH + MESSAGE_HEADER_LENGTH)
		return TLS_HELLO_MALFORMED;
	if (bytes.length < *record_length)
		return TLS_HELLO_PARTIAL;
	message = (struct span){bytes.bytes + TLS_HEADER_LENGTH, *record_length - TLS_HEADER_LENGTH};
	if (!take_number(&message, 1, &type) || type != CLIENT_HELLO || !take_vector(&message, 3, body) ||
	    message.length > 0)
		return TLS_HELLO_MALFORMED;
	return TLS_HELLO_FINE;
}

enum tls_hello_verdict tls_hello_read(const struct tls_crypto *crypto, const uint8_t *bytes, size_t length,
				      const uint8_t *salt, size_t salt_length, struct tls_hello *hello)
{
	struct reading reading = {.hello = hello, .canon.crypto = crypto};
	struct span body;

	memset(hello, 0, sizeof(*hello));
	if (length == 0)
		return TLS_HELLO_PARTIAL;
	enum tls_hello_verdict verdict = find_client_hello((struct span){bytes, length}, &body, &hello->record_length);
	if (verdict != TLS_HELLO_FINE)
		return verdict;
	canon_put_span(&reading.canon, (struct span){salt, salt_length});
	canon_put_span(&reading.canon, (struct span){bytes + 1, 2}); /* the record's version */
	if (!read_body(&reading, body))
		return TLS_HELLO_MALFORMED;
	canon_hash(&reading.canon, true);
	if (reading.canon.failed)
		return TLS_HELLO_MALFORMED;
	memcpy(hello->digest, reading.canon.key, TLS_DIGEST_LENGTH);
	/* Beside TLS 1.3 a session id says nothing: it is made up (RFC 8446 D.4). */
	if (reading.has_session_id && !reading.knows_1_3)
		hello->offers_session = true;
	return reading.offers_early_data || reading.offers_external_key ? TLS_HELLO_EARLY_DATA : TLS_HELLO_FINE;
}

/* The body of a ServerHello (RFC 8446 4.1.3). */
static bool read_server_body(struct span body, struct tls_server_hello *hello)
{
	struct span random, session_id, extensions = {0};
	uint32_t version, suite, compression;
	bool has_version = false;

	if (!take_number(&body, 2, &version) || !take(&body, TLS_RANDOM_LENGTH, &random) ||
	    !take_vector(&body, 1, &session_id) || session_id.length > SESSION_ID_MAX ||
	    !take_number(&body, 2, &suite) || !take_number(&body, 1, &compression) || compression != 0)
		return false;
	if (body.length > 0 && (!take_vector(&body, 2, &extensions) || body.length > 0))
		return false;
	while (extensions.length > 0) {
		struct span content;
		uint32_t type;

		if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, &content))
			return false;
		if (type != SUPPORTED_VERSIONS)
			continue;
		if (has_version || !take_number(&content, 2, &version) || content.length > 0)
			return false;
		has_version = true;
	}
	hello->version = (uint16_t)version;
	hello->suite = (uint16_t)suite;
	memcpy(hello->random, random.bytes, TLS_RANDOM_LENGTH);
	return true;
}

/* Cuts the next record off: its type and content. False: there is none, or not whole, or it is none. */
static bool take_record(struct span *flight, uint8_t *type, struct span *content)
{
	size_t length = flight->length < TLS_HEADER_LENGTH ? 0 : tls_record_length(flight->bytes);

	if (length == 0 || length > flight->length)
		return false;
	*type = flight->bytes[0];
	*content = (struct span){flight->bytes + TLS_HEADER_LENGTH, length - TLS_HEADER_LENGTH};
	flight->bytes += length;
	flight->length -= length;
	return true;
}

/* Whether a record that is no handshake may stand before a ServerHello: the one for middleboxes behind a
 * HelloRetryRequest (RFC 8446 D.4), and a warning, as of a name that the server doesn't know (RFC 6066 3). */
static bool may_be_before_hello(uint8_t type, struct span content)
{
	if (type == TLS_CHANGE_CIPHER_SPEC)
		return content.length == 1 && content.bytes[0] == 1;
	return type == TLS_ALERT && content.length == 2 && content.bytes[0] == WARNING;
}

bool tls_server_hello_find(const uint8_t *bytes, size_t length, struct tls_server_hello *hello)
{
	struct span flight = {bytes, length}, content, body;
	bool was_retried = false;
	uint8_t record_type;
	uint32_t type;

	while (take_record(&flight, &record_type, &content)) {
		if (record_type != TLS_HANDSHAKE) {
			if (!may_be_before_hello(record_type, content))
				return false;
			continue;
		}
		if (!take_number(&content, 1, &type) || type != SERVER_HELLO || !take_vector(&content, 3, &body) ||
		    !read_server_body(body, hello))
			return false;
		if (memcmp(hello->random, RETRY_RANDOM, sizeof(RETRY_RANDOM)) != 0)
			return true;
		if (was_retried || content.length > 0)
			return false;
		was_retried = true;
	}
	return false;
}

/* A message in progress, over the borders of records. */
struct message {
	uint8_t header[MESSAGE_HEADER_LENGTH];
	size_t header_used; /* all of it: the body is in progress */
	size_t body_left;
};

/* Takes one byte of the header. */
static void step_header(struct message *message, uint8_t byte)
{
	const uint8_t *header = message->header;

	message->header[message->header_used++] = byte;
	if (message->header_used == MESSAGE_HEADER_LENGTH)
		message->body_left = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
}

/* Goes on by what a record has. True: a message of that type is in it, whole or in part. */
static bool step_messages(struct message *message, struct span content, uint8_t wanted)
{
	struct span taken;

	while (content.length > 0) {
		if (message->header_used < MESSAGE_HEADER_LENGTH) {
			(void)take(&content, 1, &taken);
			step_header(message, taken.bytes[0]);
			if (message->header[0] == wanted)
				return true;
		} else {
			size_t n = message->body_left < content.length ? message->body_left : content.length;

			(void)take(&content, n, &taken);
			message->body_left -= n;
		}
		if (message->header_used == MESSAGE_HEADER_LENGTH && message->body_left == 0)
			message->header_used = 0;
	}
	return false;
}

bool tls_flight_has_message(const uint8_t *bytes, size_t length, uint8_t type)
{
	struct span flight = {bytes, length}, content;
	struct message message = {0};
	uint8_t record_type;

	while (take_record(&flight, &record_type, &content)) {
		if (record_type == TLS_CHANGE_CIPHER_SPEC) /* what follows is sealed */
			return false;
		if (record_type == TLS_HANDSHAKE && step_messages(&message, content, type))
			return true;
	}
	return false;
}
