/*
 * Records: real ones opened and sealed again byte for byte, and all that can be wrong with one.
 */
#include "pool/tls/record.h"

#include "tests/unit/fake/crypto.h"
#include "tests/unit/pool/tls/traces.h"

static uint8_t record[TLS_RECORD_MAX], bytes[TLS_RECORD_MAX], sealed[TLS_RECORD_MAX];

/* A record of a connection of which all is known. TLS 1.2: the secret is the master's, and there are randoms. */
static const struct example {
	uint16_t version, suite;
	const char *secret, *client_random, *server_random;
	bool is_servers;
	uint64_t number;
	uint8_t type;
	const char *content, *record;
} EXAMPLES[] = {
	{TLS_1_3, 0x1301, TRACE_SERVER_HANDSHAKE_SECRET, NULL, NULL, true, 0, TLS_HANDSHAKE, TRACE_SERVER_FLIGHT,
	 TRACE_SERVER_FLIGHT_RECORD},
	{TLS_1_3, 0x1301, TRACE_CLIENT_HANDSHAKE_SECRET, NULL, NULL, false, 0, TLS_HANDSHAKE, TRACE_CLIENT_FINISHED,
	 TRACE_CLIENT_FINISHED_RECORD},
	{TLS_1_3, 0x1301, TRACE_SERVER_SECRET, NULL, NULL, true, 0, TLS_HANDSHAKE, TRACE_TICKET, TRACE_TICKET_RECORD},
	{TLS_1_3, 0x1301, TRACE_CLIENT_SECRET, NULL, NULL, false, 0, TLS_APPLICATION_DATA, TRACE_DATA,
	 TRACE_CLIENT_DATA_RECORD},
	{TLS_1_3, 0x1301, TRACE_SERVER_SECRET, NULL, NULL, true, 1, TLS_APPLICATION_DATA, TRACE_DATA,
	 TRACE_SERVER_DATA_RECORD},
	{TLS_1_3, 0x1301, TRACE_CLIENT_SECRET, NULL, NULL, false, 1, TLS_ALERT, TRACE_ALERT, TRACE_CLIENT_ALERT_RECORD},
	{TLS_1_3, 0x1301, TRACE_SERVER_SECRET, NULL, NULL, true, 2, TLS_ALERT, TRACE_ALERT, TRACE_SERVER_ALERT_RECORD},
	{TLS_1_3, 0x1302, GCM_1_3_CLIENT_SECRET, NULL, NULL, false, 0, TLS_APPLICATION_DATA, GET_LINE,
	 GCM_1_3_CLIENT_RECORD},
	{TLS_1_3, 0x1302, GCM_1_3_SERVER_SECRET, NULL, NULL, true, 2, TLS_APPLICATION_DATA, STATUS_LINE,
	 GCM_1_3_SERVER_RECORD},
	{TLS_1_3, 0x1303, CHACHA_1_3_CLIENT_SECRET, NULL, NULL, false, 0, TLS_APPLICATION_DATA, GET_LINE,
	 CHACHA_1_3_CLIENT_RECORD},
	{TLS_1_3, 0x1303, CHACHA_1_3_SERVER_SECRET, NULL, NULL, true, 2, TLS_APPLICATION_DATA, STATUS_LINE,
	 CHACHA_1_3_SERVER_RECORD},
	{TLS_1_2, 0xc02b, GCM_128_MASTER, GCM_128_CLIENT_RANDOM, GCM_128_SERVER_RANDOM, false, 1, TLS_APPLICATION_DATA,
	 GET_LINE, GCM_128_CLIENT_RECORD},
	{TLS_1_2, 0xc02b, GCM_128_MASTER, GCM_128_CLIENT_RANDOM, GCM_128_SERVER_RANDOM, true, 1, TLS_APPLICATION_DATA,
	 STATUS_LINE, GCM_128_SERVER_RECORD},
	{TLS_1_2, 0xc030, GCM_256_MASTER, GCM_256_CLIENT_RANDOM, GCM_256_SERVER_RANDOM, false, 1, TLS_APPLICATION_DATA,
	 GET_LINE, GCM_256_CLIENT_RECORD},
	{TLS_1_2, 0xc030, GCM_256_MASTER, GCM_256_CLIENT_RANDOM, GCM_256_SERVER_RANDOM, true, 1, TLS_APPLICATION_DATA,
	 STATUS_LINE, GCM_256_SERVER_RECORD},
	{TLS_1_2, 0xcca9, CHACHA_MASTER, CHACHA_CLIENT_RANDOM, CHACHA_SERVER_RANDOM, false, 1, TLS_APPLICATION_DATA,
	 GET_LINE, CHACHA_CLIENT_RECORD},
	{TLS_1_2, 0xcca9, CHACHA_MASTER, CHACHA_CLIENT_RANDOM, CHACHA_SERVER_RANDOM, true, 1, TLS_APPLICATION_DATA,
	 STATUS_LINE, CHACHA_SERVER_RECORD},
};
#define N_EXAMPLES ((int)(sizeof(EXAMPLES) / sizeof(EXAMPLES[0])))

static void begin(struct tls_seal *seal, const struct example *example, bool seals)
{
	const struct tls_suite *suite = tls_suite_find(example->version, example->suite);
	uint8_t secret[TLS_HASH_MAX], client_random[32], server_random[32];
	struct tls_traffic_key key, other;

	unhex(example->secret, secret);
	if (example->version == TLS_1_3) {
		ck_assert(tls_keys_of_secret(&fake_crypto, suite, secret, &key));
	} else {
		unhex(example->client_random, client_random);
		unhex(example->server_random, server_random);
		ck_assert(tls_keys_of_master(&fake_crypto, suite, secret, client_random, server_random,
					     example->is_servers ? &other : &key, example->is_servers ? &key : &other));
	}
	*seal = (struct tls_seal){0};
	ck_assert(tls_seal_begin(seal, &fake_crypto, suite, &key, seals));
}

/* One key of each version and cipher. */
static const uint16_t SUITES[][2] = {{TLS_1_3, 0x1301}, {TLS_1_3, 0x1302}, {TLS_1_3, 0x1303},
				     {TLS_1_2, 0xc02f}, {TLS_1_2, 0xc030}, {TLS_1_2, 0xcca8}};
#define N_SUITES ((int)(sizeof(SUITES) / sizeof(SUITES[0])))

static void begin_both(int i, struct tls_seal *writer, struct tls_seal *reader)
{
	const struct tls_suite *suite = tls_suite_find(SUITES[i][0], SUITES[i][1]);
	static const struct tls_traffic_key KEY = {.key = {1, 2, 3}, .iv = {4, 5, 6, 7}};

	*writer = *reader = (struct tls_seal){0};
	ck_assert(tls_seal_begin(writer, &fake_crypto, suite, &KEY, true));
	ck_assert(tls_seal_begin(reader, &fake_crypto, suite, &KEY, false));
}

START_TEST(a_record_is_opened_and_sealed_byte_for_byte)
{
	const struct example *example = &EXAMPLES[_i];
	uint8_t expected[TLS_RECORD_MAX];
	size_t length = unhex(example->record, record), expected_length = unhex(example->content, expected);
	struct tls_seal reader, writer;
	struct tls_content content;

	begin(&reader, example, false);
	begin(&writer, example, true);
	ck_assert_uint_eq(tls_record_length(record), length);
	ck_assert(tls_record_open(&reader, example->number, record, length, bytes, &content));
	ck_assert_uint_eq(content.type, example->type);
	ck_assert_uint_eq(content.length, expected_length);
	ck_assert_uint_eq(content.padding, 0);
	ck_assert_mem_eq(bytes, expected, expected_length);
	ck_assert_uint_eq(tls_record_overhead(reader.suite) + expected_length, length);

	uint64_t explicit_nonce = tls_record_explicit_nonce(reader.suite, record);
	ck_assert_uint_eq(tls_record_seal(&writer, example->number, explicit_nonce, bytes, &content, sealed), length);
	ck_assert_mem_eq(sealed, record, length);
	tls_seal_end(&reader);
	tls_seal_end(&writer);
	ck_assert_uint_eq(fake_crypto_n_keys, 0);
}
END_TEST

/* No bit and no other number or length passes, and no text is left of what does not. */
START_TEST(a_record_that_was_changed_is_refused)
{
	const struct example *example = &EXAMPLES[_i];
	size_t length = unhex(example->record, record);
	static const uint8_t NONE[TLS_RECORD_MAX];
	struct tls_seal reader;
	struct tls_content content;

	begin(&reader, example, false);
	for (size_t bit = 0; bit < 8 * length; bit++) {
		if (bit >= 8 * 32 && bit % 17)
			continue;
		memset(bytes, 0, sizeof(bytes));
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!tls_record_open(&reader, example->number, record, length, bytes, &content));
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (memcmp(bytes, NONE, sizeof(NONE)) != 0)
			ck_abort_msg("text is left after a change of bit %zu", bit);
	}
	ck_assert(!tls_record_open(&reader, example->number + 1, record, length, bytes, &content));
	ck_assert(!tls_record_open(&reader, example->number ^ 1ull << 63, record, length, bytes, &content));
	for (size_t shorter = 0; shorter < length; shorter++)
		ck_assert(!tls_record_open(&reader, example->number, record, shorter, bytes, &content));
	ck_assert(!tls_record_open(&reader, example->number, record, length + 1, bytes, &content));
	/* It still opens after all that. */
	ck_assert(tls_record_open(&reader, example->number, record, length, bytes, &content));
	tls_seal_end(&reader);
}
END_TEST

/* Empty ones, those of one byte, and the longest. */
START_TEST(any_length_comes_back)
{
	static const uint16_t LENGTHS[] = {0, 1, 15, 16, 17, 255, 256, 4096, TLS_CONTENT_MAX - 1, TLS_CONTENT_MAX};
	struct tls_seal writer, reader;

	begin_both(_i, &writer, &reader);
	for (size_t i = 0; i < TLS_RECORD_MAX; i++)
		record[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
		struct tls_content content = {.type = TLS_APPLICATION_DATA, .length = LENGTHS[i]}, opened;
		size_t length = tls_record_seal(&writer, i, 1000 + i, record, &content, sealed);

		ck_assert_uint_eq(length, tls_record_overhead(writer.suite) + LENGTHS[i]);
		ck_assert_uint_eq(tls_record_length(sealed), length);
		ck_assert(tls_record_open(&reader, i, sealed, length, bytes, &opened));
		ck_assert_uint_eq(opened.type, TLS_APPLICATION_DATA);
		ck_assert_uint_eq(opened.length, LENGTHS[i]);
		ck_assert_uint_eq(opened.padding, 0);
		ck_assert_mem_eq(bytes, record, LENGTHS[i]);
	}
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

START_TEST(padding_is_told_and_put_back)
{
	static const uint16_t PADDINGS[] = {0, 1, 239, TLS_CONTENT_MAX};
	struct tls_seal writer, reader;
	uint8_t text[] = {1, 2, 0, 0}; /* that it ends with zeros must not matter */

	begin_both(0, &writer, &reader);
	for (size_t i = 0; i < sizeof(PADDINGS) / sizeof(PADDINGS[0]); i++) {
		struct tls_content content = {.type = TLS_HANDSHAKE, .length = sizeof(text), .padding = PADDINGS[i]};
		struct tls_content opened;
		size_t length = tls_record_seal(&writer, i, 0, text, &content, sealed);

		ck_assert_uint_eq(length, tls_record_overhead(writer.suite) + sizeof(text) + PADDINGS[i]);
		ck_assert(tls_record_open(&reader, i, sealed, length, bytes, &opened));
		ck_assert_uint_eq(opened.type, TLS_HANDSHAKE);
		ck_assert_uint_eq(opened.length, sizeof(text));
		ck_assert_uint_eq(opened.padding, PADDINGS[i]);
		ck_assert_mem_eq(bytes, text, sizeof(text));
	}
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

/* Seals an inner text of any bytes, as only a peer with other ideas would. */
static size_t seal_inner(struct tls_seal *writer, uint8_t fill, size_t length)
{
	uint8_t *text = sealed + TLS_HEADER_LENGTH;
	size_t whole = length + TLS_TAG_LENGTH;

	sealed[0] = TLS_APPLICATION_DATA;
	sealed[1] = sealed[2] = 3;
	sealed[3] = (uint8_t)(whole >> 8);
	sealed[4] = (uint8_t)whole;
	memset(text, fill, length);
	ck_assert(writer->crypto->aead_seal(&writer->aead, writer->iv, sealed, TLS_HEADER_LENGTH, text, length, text));
	return TLS_HEADER_LENGTH + whole;
}

START_TEST(an_inner_text_without_a_type_is_refused)
{
	static const size_t LENGTHS[] = {0, 1, 100, TLS_CONTENT_MAX + 1};
	struct tls_seal writer, reader;
	struct tls_content content;

	begin_both(0, &writer, &reader);
	for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
		size_t length = seal_inner(&writer, 0, LENGTHS[i]);

		ck_assert(!tls_record_open(&reader, 0, sealed, length, bytes, &content));
	}
	/* Authentic, but longer than content may be. */
	ck_assert(!tls_record_open(&reader, 0, sealed, seal_inner(&writer, 23, TLS_CONTENT_MAX + 2), bytes, &content));
	ck_assert(tls_record_open(&reader, 0, sealed, seal_inner(&writer, 23, TLS_CONTENT_MAX + 1), bytes, &content));
	ck_assert_uint_eq(content.length, TLS_CONTENT_MAX);
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

START_TEST(content_that_no_record_may_hold_is_not_sealed)
{
	struct tls_seal writer, reader;
	struct tls_content too_long = {.type = 23, .length = TLS_CONTENT_MAX + 1};
	struct tls_content untyped = {.type = 0, .length = 1};
	struct tls_content padded = {.type = 23, .length = 1, .padding = 1};
	struct tls_content overflowing = {.type = 23, .length = TLS_CONTENT_MAX, .padding = 240};

	begin_both(_i, &writer, &reader);
	ck_assert_uint_eq(tls_record_seal(&writer, 0, 0, bytes, &too_long, sealed), 0);
	ck_assert_uint_eq(tls_record_seal(&writer, 0, 0, bytes, &untyped, sealed), 0);
	ck_assert_uint_eq(tls_record_seal(&writer, 0, 0, bytes, &overflowing, sealed), 0);
	ck_assert_int_eq(tls_record_seal(&writer, 0, 0, bytes, &padded, sealed) > 0, writer.suite->version == TLS_1_3);
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

START_TEST(the_explicit_nonce_is_what_is_sent)
{
	struct tls_seal writer, reader;
	struct tls_content content = {.type = TLS_ALERT, .length = 2}, opened;
	uint64_t nonce = 0x1502c0e98ad05eafull;

	begin_both(_i, &writer, &reader);
	size_t length = tls_record_seal(&writer, 7, nonce, (const uint8_t *)"\1\0", &content, sealed);
	bool is_sent = writer.suite->version == TLS_1_2 && writer.suite->cipher != TLS_CHACHA20_POLY1305;
	ck_assert_uint_eq(tls_record_explicit_nonce(writer.suite, sealed), is_sent ? nonce : 0);
	ck_assert(tls_record_open(&reader, 7, sealed, length, bytes, &opened));
	/* The type is sealed in TLS 1.3, and in the open before. */
	ck_assert_uint_eq(sealed[0], writer.suite->version == TLS_1_3 ? TLS_APPLICATION_DATA : TLS_ALERT);
	ck_assert_uint_eq(opened.type, TLS_ALERT);
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

START_TEST(headers_are_judged)
{
	static const struct {
		uint8_t header[5];
		size_t length;
	} CASES[] = {
		{{22, 3, 1, 0, 0}, 5},	  {{20, 3, 3, 0, 1}, 6},
		{{21, 3, 3, 0, 2}, 7},	  {{23, 3, 3, 0x41, 0}, 5 + 16640},
		{{23, 3, 3, 0x41, 1}, 0}, {{23, 3, 3, 0xff, 0xff}, 0},
		{{23, 3, 0, 0, 9}, 14},	  {{23, 3, 4, 0, 9}, 0},
		{{23, 2, 3, 0, 9}, 0},	  {{24, 3, 3, 0, 9}, 0},
		{{19, 3, 3, 0, 9}, 0},	  {{'G', 'E', 'T', ' ', '/'}, 0},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		ck_assert_uint_eq(tls_record_length(CASES[i].header), CASES[i].length);
}
END_TEST

START_TEST(records_in_the_open_are_not_opened)
{
	struct tls_seal writer, reader;
	struct tls_content content;
	static const uint8_t CHANGE[] = {20, 3, 3, 0, 1, 1}, ALERT[] = {21, 3, 3, 0, 2, 1, 0};

	begin_both(_i, &writer, &reader);
	ck_assert(!tls_record_open(&reader, 0, CHANGE, sizeof(CHANGE), bytes, &content));
	ck_assert(!tls_record_open(&reader, 0, ALERT, sizeof(ALERT), bytes, &content));
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

START_TEST(a_key_takes_the_place_of_another)
{
	static const struct tls_traffic_key KEY = {.key = {9}};
	struct tls_content content = {.type = 23, .length = 1};
	struct tls_seal writer, reader;

	begin_both(_i, &writer, &reader);
	ck_assert_uint_eq(fake_crypto_n_keys, 2);
	ck_assert(tls_seal_begin(&writer, &fake_crypto, writer.suite, &KEY, true));
	ck_assert_uint_eq(fake_crypto_n_keys, 2);
	size_t length = tls_record_seal(&writer, 0, 0, bytes, &content, sealed);
	ck_assert(!tls_record_open(&reader, 0, sealed, length, bytes, &content));
	ck_assert(tls_seal_begin(&reader, &fake_crypto, writer.suite, &KEY, false));
	ck_assert(tls_record_open(&reader, 0, sealed, length, bytes, &content));

	/* A failure leaves none. */
	fake_crypto_fails_after = 0;
	ck_assert(!tls_seal_begin(&writer, &fake_crypto, reader.suite, &KEY, true));
	ck_assert_uint_eq(fake_crypto_n_keys, 1);
	tls_seal_end(&writer);
	tls_seal_end(&reader);
	tls_seal_end(&reader);
	ck_assert_uint_eq(fake_crypto_n_keys, 0);
}
END_TEST

START_TEST(a_failure_of_the_library_gives_no_record)
{
	struct tls_content content = {.type = 23, .length = 5}, opened;
	static const uint8_t TEXT[] = "plain", NONE[64];
	struct tls_seal writer, reader;

	begin_both(_i, &writer, &reader);
	memset(sealed, 0, sizeof(sealed));
	fake_crypto_fails_after = 0;
	ck_assert_uint_eq(tls_record_seal(&writer, 0, 0, TEXT, &content, sealed), 0);
	ck_assert_mem_eq(sealed, NONE, sizeof(NONE)); /* above all not the text */
	size_t length = tls_record_seal(&writer, 0, 0, TEXT, &content, sealed);
	fake_crypto_fails_after = 0;
	ck_assert(!tls_record_open(&reader, 0, sealed, length, bytes, &opened));
	fake_crypto_fails_after = -1;
	ck_assert(tls_record_open(&reader, 0, sealed, length, bytes, &opened));
	tls_seal_end(&writer);
	tls_seal_end(&reader);
}
END_TEST

Suite *tls_record_suite(void)
{
	Suite *suite = suite_create("tls_record");
	TCase *tests = tcase_create("record");

	tcase_add_loop_test(tests, a_record_is_opened_and_sealed_byte_for_byte, 0, N_EXAMPLES);
	tcase_add_loop_test(tests, a_record_that_was_changed_is_refused, 0, N_EXAMPLES);
	tcase_add_loop_test(tests, any_length_comes_back, 0, N_SUITES);
	tcase_add_test(tests, padding_is_told_and_put_back);
	tcase_add_test(tests, an_inner_text_without_a_type_is_refused);
	tcase_add_loop_test(tests, content_that_no_record_may_hold_is_not_sealed, 0, N_SUITES);
	tcase_add_loop_test(tests, the_explicit_nonce_is_what_is_sent, 0, N_SUITES);
	tcase_add_test(tests, headers_are_judged);
	tcase_add_loop_test(tests, records_in_the_open_are_not_opened, 0, N_SUITES);
	tcase_add_loop_test(tests, a_key_takes_the_place_of_another, 0, N_SUITES);
	tcase_add_loop_test(tests, a_failure_of_the_library_gives_no_record, 0, N_SUITES);
	suite_add_tcase(suite, tests);
	return suite;
}
