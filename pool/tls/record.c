/*
 * Records with an AEAD; see record.h. A seal owns the library's key for one direction. What could not be authenticated
 * is wiped and never looked at.
 *
 * Lengths are judged as libssl and libgnutls judge them, not more strictly: what they accept from a server must not be
 * refused here.
 */
#include "pool/tls/record.h"

#include <string.h>

#define CIPHERTEXT_MAX (TLS_RECORD_MAX - TLS_HEADER_LENGTH)
#define ASSOCIATED_MAX 13u /* RFC 5246 6.2.3.3 */

static void put_number(uint8_t *out, uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(number >> (56 - 8 * i));
}

static bool sends_nonce(const struct tls_suite *suite)
{
	return suite->version == TLS_1_2 && suite->cipher != TLS_CHACHA20_POLY1305;
}

static size_t explicit_length(const struct tls_suite *suite)
{
	return sends_nonce(suite) ? TLS_EXPLICIT_NONCE : 0;
}

bool tls_seal_begin(struct tls_seal *seal, const struct tls_crypto *crypto, const struct tls_suite *suite,
		    const struct tls_traffic_key *key, bool seals)
{
	if (seal->aead.owner == crypto)
		tls_seal_end(seal);
	else
		tls_seal_free(seal);
	seal->aead.owner = crypto;
	if (!crypto->aead_begin(&seal->aead, suite->cipher, key->key, seals))
		return false;
	seal->crypto = crypto;
	seal->suite = suite;
	memcpy(seal->iv, key->iv, sizeof(seal->iv));
	return true;
}

void tls_seal_end(struct tls_seal *seal)
{
	struct tls_aead kept;

	if (seal->crypto)
		seal->crypto->aead_end(&seal->aead);
	kept = seal->aead;
	explicit_bzero(seal, sizeof(*seal));
	seal->aead = kept;
}

void tls_seal_free(struct tls_seal *seal)
{
	tls_seal_end(seal);
	if (seal->aead.state)
		seal->aead.owner->aead_free(&seal->aead);
	seal->aead = (struct tls_aead){0};
}

size_t tls_record_length(const uint8_t *header)
{
	size_t length = (size_t)header[3] << 8 | header[4];

	if (header[0] < TLS_CHANGE_CIPHER_SPEC || header[0] > TLS_APPLICATION_DATA)
		return 0;
	if (header[1] != 3 || header[2] > 3 || length > CIPHERTEXT_MAX)
		return 0;
	return TLS_HEADER_LENGTH + length;
}

size_t tls_record_overhead(const struct tls_suite *suite)
{
	size_t type_length = suite->version == TLS_1_3;

	return TLS_HEADER_LENGTH + explicit_length(suite) + type_length + TLS_TAG_LENGTH;
}

/* RFC 5288 3 (AES-GCM in TLS 1.2: what is sent counts); RFC 8446 5.3 and RFC 7905 2 (the number counts). */
static void make_nonce(const struct tls_seal *seal, uint64_t number, const uint8_t *sent, uint8_t *nonce)
{
	memcpy(nonce, seal->iv, TLS_NONCE_LENGTH);
	if (sends_nonce(seal->suite)) {
		memcpy(nonce + TLS_NONCE_LENGTH - TLS_EXPLICIT_NONCE, sent, TLS_EXPLICIT_NONCE);
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		nonce[TLS_NONCE_LENGTH - 8 + i] ^= (uint8_t)(number >> (56 - 8 * i));
}

/* What is authenticated beside the text: the header (RFC 8446 5.2), or number, type, version and the text's length (RFC
 * 5246 6.2.3.3). Its length. */
static size_t make_associated(const struct tls_suite *suite, uint64_t number, const uint8_t *header, size_t length,
			      uint8_t *out)
{
	if (suite->version == TLS_1_3) {
		memcpy(out, header, TLS_HEADER_LENGTH);
		return TLS_HEADER_LENGTH;
	}
	put_number(out, number);
	memcpy(out + 8, header, 3);
	out[11] = (uint8_t)(length >> 8);
	out[12] = (uint8_t)length;
	return ASSOCIATED_MAX;
}

/* Takes type and padding off an inner text (RFC 8446 5.4). */
static bool cut_padding(const uint8_t *text, size_t length, struct tls_content *content)
{
	size_t end = length;

	while (end > 0 && text[end - 1] == 0)
		end--;
	if (end == 0 || end - 1 > TLS_CONTENT_MAX)
		return false;
	content->type = text[end - 1];
	content->length = (uint16_t)(end - 1);
	content->padding = (uint16_t)(length - end);
	return true;
}

/* Says what an opened text holds. */
static bool describe(const struct tls_suite *suite, const uint8_t *header, const uint8_t *text, size_t length,
		     struct tls_content *content)
{
	if (suite->version == TLS_1_3)
		return cut_padding(text, length, content);
	if (length > TLS_CONTENT_MAX)
		return false;
	*content = (struct tls_content){.type = header[0], .length = (uint16_t)length};
	return true;
}

bool tls_record_open(struct tls_seal *seal, uint64_t number, const uint8_t *record, size_t length, uint8_t *bytes,
		     struct tls_content *content)
{
	const struct tls_suite *suite = seal->suite;
	size_t explicit = explicit_length(suite), beside = TLS_HEADER_LENGTH + explicit + TLS_TAG_LENGTH;
	uint8_t nonce[TLS_NONCE_LENGTH], associated[ASSOCIATED_MAX];

	if (length < beside || tls_record_length(record) != length)
		return false;
	if (suite->version == TLS_1_3 && record[0] != TLS_APPLICATION_DATA)
		return false;
	size_t text_length = length - beside;
	const uint8_t *sent = record + TLS_HEADER_LENGTH;
	make_nonce(seal, number, sent, nonce);
	size_t associated_length = make_associated(suite, number, record, text_length, associated);
	if (seal->crypto->aead_open(&seal->aead, nonce, associated, associated_length, sent + explicit,
				    text_length + TLS_TAG_LENGTH, bytes) &&
	    describe(suite, record, bytes, text_length, content))
		return true;
	explicit_bzero(bytes, text_length);
	return false;
}

size_t tls_record_seal(struct tls_seal *seal, uint64_t number, uint64_t explicit_nonce, const uint8_t *bytes,
		       const struct tls_content *content, uint8_t *record)
{
	const struct tls_suite *suite = seal->suite;
	bool is_1_3 = suite->version == TLS_1_3;
	size_t explicit = explicit_length(suite), length = content->length;
	size_t whole = tls_record_overhead(suite) + length + content->padding;
	uint8_t nonce[TLS_NONCE_LENGTH], associated[ASSOCIATED_MAX], *text = record + TLS_HEADER_LENGTH + explicit;

	if (length > TLS_CONTENT_MAX || whole > TLS_RECORD_MAX || content->type == 0 || (!is_1_3 && content->padding))
		return 0;
	record[0] = is_1_3 ? TLS_APPLICATION_DATA : content->type;
	record[1] = TLS_1_2 >> 8;
	record[2] = TLS_1_2 & 0xff;
	record[3] = (uint8_t)((whole - TLS_HEADER_LENGTH) >> 8);
	record[4] = (uint8_t)(whole - TLS_HEADER_LENGTH);
	if (explicit)
		put_number(record + TLS_HEADER_LENGTH, explicit_nonce);
	memcpy(text, bytes, length);
	if (is_1_3) {
		text[length++] = content->type;
		memset(text + length, 0, content->padding);
		length += content->padding;
	}
	make_nonce(seal, number, record + TLS_HEADER_LENGTH, nonce);
	size_t associated_length = make_associated(suite, number, record, length, associated);
	if (seal->crypto->aead_seal(&seal->aead, nonce, associated, associated_length, text, length, text))
		return whole;
	explicit_bzero(record, whole);
	return 0;
}

uint64_t tls_record_explicit_nonce(const struct tls_suite *suite, const uint8_t *record)
{
	uint64_t number = 0;

	if (!sends_nonce(suite))
		return 0;
	for (unsigned i = 0; i < TLS_EXPLICIT_NONCE; i++)
		number = number << 8 | record[TLS_HEADER_LENGTH + i];
	return number;
}
