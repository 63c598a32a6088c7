/*
 * The farewell of a parked connection: a close_notify that anybody may send who needs no key, once, and only as long as
 * nothing else was sealed under its number.
 */
#include "pool/tls/farewell.h"

#include <check.h>
#include <string.h>

#include "pool/tls/state.h"
#include "tests/unit/fake/crypto.h"

static union {
	struct tls_state state;
	uint8_t bytes[TLS_STATE_SIZE];
} memory;

static struct tls_seal writer, reader;

static const uint16_t SUITES[][2] = {{TLS_1_3, 0x1301}, {TLS_1_3, 0x1302}, {TLS_1_3, 0x1303},
				     {TLS_1_2, 0xc02b}, {TLS_1_2, 0xc030}, {TLS_1_2, 0xcca9}};
#define N_SUITES ((int)(sizeof(SUITES) / sizeof(SUITES[0])))

static void begin_with(int i)
{
	static const struct tls_traffic_key key = {.key = {1, 2, 3}, .iv = {4, 5, 6}};
	const struct tls_suite *suite = tls_suite_find(SUITES[i][0], SUITES[i][1]);

	memset(&memory, 0, sizeof(memory));
	tls_state_begin(&memory.state, 7);
	memory.state.explicit_base = 1000;
	atomic_store(&memory.state.write_number, 5);
	ck_assert_ptr_nonnull(suite);
	ck_assert(tls_seal_begin(&writer, &fake_crypto, suite, &key, true));
	ck_assert(tls_seal_begin(&reader, &fake_crypto, suite, &key, false));
}

static void begin(void)
{
	begin_with(0);
}

static void end(void)
{
	tls_seal_free(&writer);
	tls_seal_free(&reader);
}

START_TEST(the_server_reads_a_close_notify)
{
	struct pool_farewell farewell;
	struct tls_content content;
	uint8_t bytes[TLS_RECORD_MAX];

	end();
	begin_with(_i);
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(tls_farewell_take(&memory.state, &farewell));
	ck_assert(tls_record_open(&reader, 5, farewell.bytes, farewell.length, bytes, &content));
	ck_assert_int_eq(content.type, TLS_ALERT);
	ck_assert_uint_eq(content.length, 2);
	ck_assert(bytes[0] == 1 && bytes[1] == 0);
}
END_TEST

START_TEST(it_is_taken_once)
{
	struct pool_farewell farewell;
	uint64_t number;

	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(tls_farewell_take(&memory.state, &farewell));
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
	/* Its number is taken with it. */
	ck_assert(tls_state_take_number(&memory.state, 0, &number));
	ck_assert_uint_eq(number, 6);
}
END_TEST

START_TEST(a_lease_that_was_used_leaves_none)
{
	struct pool_farewell farewell;
	uint64_t number;

	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(tls_state_take_number(&memory.state, 0, &number));
	ck_assert_uint_eq(number, 5);
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
	/* Parked again. */
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(tls_farewell_take(&memory.state, &farewell));
}
END_TEST

/* And a lease that was given back unused leaves the same one. */
START_TEST(it_is_sealed_alike_again)
{
	struct tls_farewell first;

	tls_farewell_seal(&memory.state, &writer, 0);
	first = memory.state.farewell;
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert_mem_eq(&first, &memory.state.farewell, sizeof(first));
}
END_TEST

START_TEST(it_is_of_one_key)
{
	struct pool_farewell farewell;

	tls_farewell_seal(&memory.state, &writer, 0);
	tls_state_next_epoch(&memory.state);
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
	/* The holder of the old key seals none. */
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
}
END_TEST

START_TEST(a_key_that_is_used_up_seals_none)
{
	struct pool_farewell farewell;

	atomic_store(&memory.state.write_number, UINT64_C(1) << 23);
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
}
END_TEST

START_TEST(a_failing_library_leaves_none)
{
	struct pool_farewell farewell;

	tls_farewell_seal(&memory.state, &writer, 0);
	fake_crypto_fails_after = 0;
	tls_farewell_seal(&memory.state, &writer, 0);
	ck_assert(!tls_farewell_take(&memory.state, &farewell));
}
END_TEST

/* Another process may write anything there. */
START_TEST(no_length_leads_out_of_it)
{
	struct pool_farewell farewell;

	tls_farewell_seal(&memory.state, &writer, 0);
	for (unsigned length = sizeof(memory.state.farewell.record) + 1; length <= UINT16_MAX; length++) {
		memory.state.farewell.length = (uint16_t)length;
		ck_assert(!tls_farewell_take(&memory.state, &farewell));
	}
	memory.state.farewell.length = sizeof(memory.state.farewell.record);
	ck_assert(tls_farewell_take(&memory.state, &farewell));
}
END_TEST

Suite *tls_farewell_suite(void);
Suite *tls_farewell_suite(void)
{
	Suite *suite = suite_create("tls_farewell");
	TCase *tcase = tcase_create("tls_farewell");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, the_server_reads_a_close_notify, 0, N_SUITES);
	tcase_add_test(tcase, it_is_taken_once);
	tcase_add_test(tcase, a_lease_that_was_used_leaves_none);
	tcase_add_test(tcase, it_is_sealed_alike_again);
	tcase_add_test(tcase, it_is_of_one_key);
	tcase_add_test(tcase, a_key_that_is_used_up_seals_none);
	tcase_add_test(tcase, a_failing_library_leaves_none);
	tcase_add_test(tcase, no_length_leads_out_of_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
