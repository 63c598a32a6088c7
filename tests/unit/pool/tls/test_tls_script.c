/*
 * A handshake is recorded and played: in the pieces in which a library sends and reads, and with everything that can
 * be different the second time.
 */
#include "pool/tls/script.h"

#include <string.h>

#include "tests/unit/fake/crypto.h"
#include "tests/unit/pool/tls/traces.h"

static struct tls_recorder recorder;
static struct tls_script script;
static union {
	struct tls_state state;
	uint8_t bytes[TLS_STATE_SIZE];
} memory;

static uint8_t hello[2048], server_hello[2048], finished[256];
static size_t hello_length, server_hello_length, finished_length;

/* As the trace of RFC 8448 has it: hello, answer, Finished; with two draws before. */
static void record(void)
{
	memset(&memory, 0, sizeof(memory));
	tls_state_begin(&memory.state, 1);
	hello_length = unhex(TRACE_CLIENT_HELLO, hello);
	server_hello_length = unhex(TRACE_SERVER_HELLO, server_hello);
	finished_length = unhex(TRACE_CLIENT_FINISHED_RECORD, finished);
	tls_recorder_begin(&recorder);
	tls_recorder_drew(&recorder, 'R', "random", 6);
	tls_recorder_drew(&recorder, 'K', "key", 3);
	tls_recorder_sent(&recorder, hello, 100);
	tls_recorder_sent(&recorder, hello + 100, hello_length - 100);
	tls_recorder_received(&recorder, server_hello, 5);
	tls_recorder_received(&recorder, server_hello + 5, server_hello_length - 5);
	tls_recorder_sent(&recorder, finished, finished_length);
	ck_assert(tls_recorder_save(&recorder, &memory.state));
	ck_assert_uint_eq(memory.state.version, TLS_1_3);
	ck_assert_uint_eq(memory.state.suite, 0x1301);
	ck_assert_uint_eq(memory.state.last_flight, hello_length);
	ck_assert(tls_state_check(&memory.state));
	tls_script_begin(&script, &memory.state);
}

static void draw(void)
{
	size_t length;

	ck_assert_mem_eq(tls_script_draw(&script, 'R', &length), "random", 6);
	ck_assert_uint_eq(length, 6);
	ck_assert_mem_eq(tls_script_draw(&script, 'K', &length), "key", 3);
}

START_TEST(it_is_played_in_any_pieces)
{
	size_t piece = (size_t)_i + 1, got = 0, n;
	uint8_t bytes[4096];

	draw();
	/* Nothing before the client has sent all that the server had then. */
	for (size_t at = 0; at < hello_length; at += piece) {
		ck_assert_uint_eq(tls_script_read(&script, bytes, sizeof(bytes)), 0);
		tls_script_sent(&script, hello + at, hello_length - at < piece ? hello_length - at : piece);
	}
	while ((n = tls_script_read(&script, bytes + got, piece)))
		got += n;
	ck_assert_uint_eq(got, server_hello_length);
	ck_assert_mem_eq(bytes, server_hello, got);
	ck_assert(!tls_script_is_complete(&script, NULL));
	tls_script_sent(&script, finished, finished_length);
	ck_assert(tls_script_is_complete(&script, NULL));
}
END_TEST

START_TEST(another_byte_is_seen)
{
	uint8_t bytes[4096];

	draw();
	hello[_i * 37 % hello_length] ^= 1;
	tls_script_sent(&script, hello, hello_length);
	ck_assert(script.differs);
	/* And the recorded answer is not for it. */
	ck_assert_uint_eq(tls_script_read(&script, bytes, sizeof(bytes)), 0);
	ck_assert(!tls_script_is_complete(&script, NULL));
	ck_assert_uint_eq(script.hello_length,
			  hello_length < sizeof(script.hello) ? hello_length : sizeof(script.hello));
}
END_TEST

START_TEST(more_than_was_recorded_is_seen)
{
	uint8_t bytes[4096];

	draw();
	tls_script_sent(&script, hello, hello_length);
	ck_assert_uint_eq(tls_script_read(&script, bytes, sizeof(bytes)), server_hello_length);
	tls_script_sent(&script, finished, finished_length);
	ck_assert(tls_script_is_complete(&script, NULL));
	tls_script_sent(&script, finished, 1);
	ck_assert(!tls_script_is_complete(&script, NULL));
}
END_TEST

START_TEST(all_has_to_be_used)
{
	uint8_t bytes[4096];
	size_t length;

	if (_i != 0)
		ck_assert_ptr_nonnull(tls_script_draw(&script, 'R', &length));
	if (_i > 1)
		ck_assert_ptr_nonnull(tls_script_draw(&script, 'K', &length));
	tls_script_sent(&script, hello, hello_length);
	if (_i != 2)
		tls_script_read(&script, bytes, sizeof(bytes));
	else
		tls_script_read(&script, bytes, server_hello_length - 1);
	tls_script_sent(&script, finished, finished_length);
	ck_assert(!script.differs);
	ck_assert(tls_script_is_complete(&script, NULL) == (_i > 2));
}
END_TEST

START_TEST(another_draw_is_seen)
{
	size_t length;

	ck_assert_ptr_null(tls_script_draw(&script, 'K', &length));
	ck_assert(script.differs);
	tls_script_begin(&script, &memory.state);
	draw();
	ck_assert_ptr_null(tls_script_draw(&script, 'R', &length));
	ck_assert(script.differs);
	/* A length that leads out: the memory is another process's. */
	tls_script_begin(&script, &memory.state);
	memset(memory.state.arena + memory.state.random.offset + 1, 0xff, 4);
	ck_assert_ptr_null(tls_script_draw(&script, 'R', &length));
}
END_TEST

START_TEST(too_much_is_not_recorded)
{
	static const uint8_t much[TLS_SERVER_MAX + 1];

	tls_recorder_begin(&recorder);
	switch (_i) {
	case 0:
		tls_recorder_sent(&recorder, much, TLS_CLIENT_MAX + 1);
		break;
	case 1:
		tls_recorder_received(&recorder, much, TLS_SERVER_MAX + 1);
		break;
	case 2:
		tls_recorder_drew(&recorder, 'R', much, TLS_RANDOM_MAX + 1);
		break;
	case 3:
		for (unsigned i = 0; i <= TLS_TURNS_MAX; i++) {
			tls_recorder_sent(&recorder, much, 1);
			tls_recorder_received(&recorder, much, 1);
		}
		break;
	}
	ck_assert(recorder.is_too_long);
	ck_assert(!tls_recorder_save(&recorder, &memory.state));
}
END_TEST

START_TEST(only_whole_records_are_saved)
{
	tls_recorder_begin(&recorder);
	tls_recorder_sent(&recorder, hello, hello_length - (_i == 0));
	tls_recorder_received(&recorder, server_hello, server_hello_length - (_i == 1));
	if (_i == 2)
		tls_recorder_sent(&recorder, (const uint8_t *)"\x17\x03\x03\x00", 4);
	ck_assert(tls_recorder_save(&recorder, &memory.state) == (_i == 3));
}
END_TEST

/* TLS 1.2 with AES-GCM: the last record's nonce is random, so what it holds is compared. */
START_TEST(a_finished_with_another_nonce_is_equal)
{
	const struct tls_suite *suite = tls_suite_find(TLS_1_2, 0xc02b);
	static const struct tls_traffic_key key = {.key = {1}, .iv = {2}};
	static const struct tls_content content = {.type = TLS_HANDSHAKE, .length = 16};
	struct tls_seal seal = {0}, open = {0};
	uint8_t text[16] = "finished", last[128];
	size_t length;

	ck_assert(tls_seal_begin(&seal, &fake_crypto, suite, &key, true));
	ck_assert(tls_seal_begin(&open, &fake_crypto, suite, &key, false));
	length = tls_record_seal(&seal, 0, 1111, text, &content, last);
	memory.state.version = TLS_1_2;
	memory.state.suite = 0xc02b;
	memory.state.client.length = (uint32_t)(hello_length + length);
	memory.state.random.length = 0;
	ck_assert(tls_state_add(&memory.state, text, sizeof(text), &memory.state.finished));
	tls_script_begin(&script, &memory.state);
	tls_script_sent(&script, hello, hello_length);
	script.server_at = memory.state.server.length;
	text[0] = _i == 1 ? 'F' : 'f';
	length = tls_record_seal(&seal, 0, 2222, text, &content, last);
	last[length - 1] ^= _i == 2;
	tls_script_sent(&script, last, length);
	ck_assert(!script.differs);
	ck_assert(tls_script_is_complete(&script, &open) == (_i == 0));
	tls_seal_end(&seal);
	tls_seal_end(&open);
}
END_TEST

Suite *tls_script_suite(void)
{
	Suite *suite = suite_create("tls_script");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, record, NULL);
	tcase_add_loop_test(all, it_is_played_in_any_pieces, 0, 40);
	tcase_add_loop_test(all, another_byte_is_seen, 0, 20);
	tcase_add_test(all, more_than_was_recorded_is_seen);
	tcase_add_loop_test(all, all_has_to_be_used, 0, 4);
	tcase_add_test(all, another_draw_is_seen);
	tcase_add_loop_test(all, too_much_is_not_recorded, 0, 4);
	tcase_add_loop_test(all, only_whole_records_are_saved, 0, 4);
	tcase_add_loop_test(all, a_finished_with_another_nonce_is_equal, 0, 3);
	suite_add_tcase(suite, all);
	return suite;
}
