/*
 * Fuzz target for records.
 *
 * Input: byte 0 chooses a version and a cipher, 1 a type, 2 and 3 a length, 4 and 5 a padding, 6 a number, 7 to 9 a
 * change (position and bits); the rest is content, and a record of an attacker. Then:
 *   - content comes back as it was sealed, in a record of the length that the overhead says; or it is none that a
 *     record may hold;
 *   - a record with any change, of another number, or cut off is refused, and nothing of it is left;
 *   - the attacker's record is refused without reading beyond it.
 */
#include "pool/tls/record.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/crypto.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t SUITES[][2] = {{TLS_1_3, 0x1301}, {TLS_1_3, 0x1302}, {TLS_1_3, 0x1303},
				     {TLS_1_2, 0xc02f}, {TLS_1_2, 0xc030}, {TLS_1_2, 0xcca8}};

static uint8_t content_bytes[1 << 16], record[TLS_RECORD_MAX], opened[TLS_RECORD_MAX];

static void begin_both(unsigned choice, struct tls_seal *writer, struct tls_seal *reader)
{
	const uint16_t *chosen = SUITES[choice % (sizeof(SUITES) / sizeof(SUITES[0]))];
	const struct tls_suite *suite = tls_suite_find(chosen[0], chosen[1]);
	static const struct tls_traffic_key KEY = {.key = {1}, .iv = {2}};

	MUST(tls_seal_begin(writer, &fake_crypto, suite, &KEY, true));
	MUST(tls_seal_begin(reader, &fake_crypto, suite, &KEY, false));
}

static void must_refuse(struct tls_seal *reader, uint64_t number, const uint8_t *bytes, size_t length)
{
	static const uint8_t NONE[TLS_RECORD_MAX];
	uint8_t *copy = malloc(length ? length : 1);
	struct tls_content content;

	memcpy(copy, bytes, length);
	memset(opened, 0, sizeof(opened));
	MUST(!tls_record_open(reader, number, copy, length, opened, &content));
	MUST(memcmp(opened, NONE, sizeof(NONE)) == 0);
	free(copy);
}

static void check_record(struct tls_seal *writer, struct tls_seal *reader, const struct tls_content *content,
			 uint64_t number, const uint8_t *change)
{
	bool is_1_3 = writer->suite->version == TLS_1_3;
	size_t whole = tls_record_overhead(writer->suite) + content->length + content->padding;
	bool is_possible = content->type && content->length <= TLS_CONTENT_MAX && whole <= TLS_RECORD_MAX &&
			   (is_1_3 || !content->padding);
	size_t length = tls_record_seal(writer, number, number + 9, content_bytes, content, record);
	struct tls_content seen;

	MUST(length == (is_possible ? whole : 0));
	if (!length)
		return;
	/* Types that are none are told only sealed in TLS 1.3. */
	bool is_record = is_1_3 || (content->type >= 20 && content->type <= 23);
	MUST(tls_record_length(record) == (is_record ? length : 0));
	if (!is_record)
		return;
	MUST(tls_record_open(reader, number, record, length, opened, &seen));
	MUST(seen.type == content->type && seen.length == content->length && seen.padding == content->padding);
	MUST(memcmp(opened, content_bytes, content->length) == 0);
	MUST(tls_record_explicit_nonce(writer->suite, record) == 0 ||
	     tls_record_explicit_nonce(writer->suite, record) == number + 9);

	must_refuse(reader, number + 1, record, length);
	must_refuse(reader, number, record, ((size_t)change[0] << 8 | change[1]) % length);
	record[((size_t)change[0] << 8 | change[1]) % length] ^= change[2] ? change[2] : 1;
	must_refuse(reader, number, record, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_seal writer = {0}, reader = {0};

	if (size < 10 || size > 30000)
		return 0;
	struct tls_content content = {
		.type = data[1],
		.length = (uint16_t)(data[2] << 8 | data[3]),
		.padding = (uint16_t)(data[4] << 8 | data[5]),
	};
	memcpy(content_bytes, data + 10, size - 10);
	begin_both(data[0], &writer, &reader);
	must_refuse(&reader, data[6], data + 10, size - 10);
	check_record(&writer, &reader, &content, data[6], data + 7);
	tls_seal_end(&writer);
	tls_seal_end(&reader);
	MUST(fake_crypto_n_keys == 0);
	return 0;
}
