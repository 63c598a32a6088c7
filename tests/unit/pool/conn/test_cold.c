/* Connections that were silent for long. */
#include "pool/conn/cold.h"

#include <check.h>
#include <errno.h>

#include "pool/conn/conn.h"
#include "tests/unit/fake/sys.h"

#define SECOND 1000000000ull

static const struct {
	uint64_t used_ns, now_ns;
	uint32_t rtt_us;
	unsigned expected_ms;
} CASES[] = {
	{5 * SECOND, 5 * SECOND, 100, 0},	 {5 * SECOND, 7 * SECOND, 100, 0},
	{5 * SECOND, 7 * SECOND + 1, 100, 1000}, {5 * SECOND, 60 * SECOND, 250000, 1000},
	{5 * SECOND, 60 * SECOND, 500000, 2000}, /* four round trips */
	{5 * SECOND, 4 * SECOND, 100, 0},	 /* another clock is ahead */
};

START_TEST(after_two_seconds)
{
	struct conn conn = {.fd = fake_socket_new(), .used_ns = CASES[_i].used_ns};

	fake_socket(conn.fd)->rtt_us = CASES[_i].rtt_us;
	ck_assert_uint_eq(cold_timeout_ms(&fake_sys, &conn, CASES[_i].now_ns), CASES[_i].expected_ms);
}
END_TEST

START_TEST(nothing_is_known_of_it)
{
	struct conn conn = {.fd = fake_socket_new()};

	fake_sys_fail(FAKE_CALL_GETSOCKOPT, 1, 1, ENOTSUP);
	ck_assert_uint_eq(cold_timeout_ms(&fake_sys, &conn, 60 * SECOND), 1000);
}
END_TEST

Suite *cold_suite(void);
Suite *cold_suite(void)
{
	Suite *suite = suite_create("cold");
	TCase *tcase = tcase_create("cold");

	tcase_add_checked_fixture(tcase, fake_sys_start, fake_sys_stop);
	tcase_add_loop_test(tcase, after_two_seconds, 0, sizeof(CASES) / sizeof(CASES[0]));
	tcase_add_test(tcase, nothing_is_known_of_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
