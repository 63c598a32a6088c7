/*
 * The list that decides whether a connection is kept, and what follows when bytes have moved.
 */
#include "pool/exchange/verdict.h"

#include <check.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct protocol_state state;
static struct verdict_facts facts;

static void exchange(const char *asked, const char *answered)
{
	protocol_begin(&state, true);
	protocol_feed_request(&state, NULL, asked, strlen(asked), NULL);
	protocol_feed_response(&state, NULL, answered, strlen(answered), NULL);
	facts = (struct verdict_facts){.state = &state, .mode = CONFIG_MODE_FULL, .is_ours = true};
}

START_TEST(keeps_what_nothing_speaks_against)
{
	exchange(GET_CLOSE, OK);
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_NONE);
	facts.state = NULL; /* nothing was asked on it */
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_NONE);
}
END_TEST

/* Everything speaks against it; what is mended lets the next reason show. */
START_TEST(the_first_reason_counts)
{
	exchange(GET, "");
	facts = (struct verdict_facts){
		.state = &state, .mode = CONFIG_MODE_OBSERVE, .has_other_users = true, .unfit = REFUSAL_SOCKOPT};
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_CLIENT_CLOSE);
	protocol_feed_response(&state, NULL, OK, strlen(OK), NULL);
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_POLICY);
	facts.mode = CONFIG_MODE_FULL;
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_SHARED);
	facts.has_other_users = false;
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_SOCKOPT);
	facts.unfit = REFUSAL_NONE;
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_LEDGER);
	facts.is_ours = true;
	ck_assert_int_eq(verdict_keep(&facts), REFUSAL_NONE);
}
END_TEST

START_TEST(the_ledger_has_to_agree)
{
	ck_assert_int_eq(verdict_of_ledger(LEDGER_EXACT, true), REFUSAL_NONE);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_IN_FLIGHT, false), REFUSAL_NONE);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_IN_FLIGHT, true), REFUSAL_LEDGER);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_SURPLUS, false), REFUSAL_BODY_UNREAD);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_CLOSED, false), REFUSAL_SERVER_CLOSE);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_UNSETTLED, false), REFUSAL_LEDGER);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_MISMATCH, false), REFUSAL_LEDGER);
	ck_assert_int_eq(verdict_of_ledger(LEDGER_UNKNOWN, false), REFUSAL_LEDGER);
}
END_TEST

START_TEST(the_servers_end_is_the_reason_where_there_is_no_other)
{
	exchange(GET, OK);
	ck_assert_int_eq(verdict_at_server_end(&state), REFUSAL_SERVER_CLOSE);
	exchange(GET, "");
	ck_assert_int_eq(verdict_at_server_end(&state), REFUSAL_SERVER_CLOSE);
	exchange(GET, "HTTP/1.1 101 S\r\n\r\n");
	ck_assert_int_eq(verdict_at_server_end(&state), REFUSAL_UPGRADE);
}
END_TEST

/* Observed connections are not edited. */
START_TEST(a_close_that_was_asked_for_could_have_been_withheld)
{
	protocol_begin(&state, false);
	protocol_feed_request(&state, NULL, GET_CLOSE, strlen(GET_CLOSE), NULL);
	ck_assert_int_eq(verdict_observed(&state, true), REFUSAL_SERVER_CLOSE);
	ck_assert_int_eq(verdict_observed(&state, false), REFUSAL_CLIENT_CLOSE);
	protocol_feed_response(&state, NULL, OK, strlen(OK), NULL);
	ck_assert_int_eq(verdict_observed(&state, true), REFUSAL_NONE);
	ck_assert_int_eq(verdict_observed(&state, false), REFUSAL_NONE);
}
END_TEST

static const struct {
	const char *asked, *answered;
	enum verdict_next next, next_if_asked;
} cases[] = {
	{GET, "", VERDICT_GO_ON, VERDICT_GO_ON},
	{GET, OK, VERDICT_GO_ON, VERDICT_GO_ON},
	{GET_CLOSE, "", VERDICT_GO_ON, VERDICT_GO_ON},
	{GET_CLOSE, OK, VERDICT_END, VERDICT_GO_ON},
	/* The server closes all the same. */
	{GET_CLOSE, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", VERDICT_GO_ON, VERDICT_GO_ON},
	/* In doubt, and nothing is owed. */
	{GET, "HTTP/1.1 101 S\r\n\r\n", VERDICT_RELEASE, VERDICT_RELEASE},
	{GET_CLOSE, "HTTP/1.1 101 S\r\n\r\n", VERDICT_RELEASE, VERDICT_RELEASE},
	/* In doubt, and an end is owed. */
	{GET_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", VERDICT_ASK_SERVER, VERDICT_ASK_SERVER},
	/* Both wait for the other's end. */
	{GET_CLOSE, "HTTP/1.1 200 OK\r\n\r\nall", VERDICT_ASK_SERVER, VERDICT_GO_ON},
};

START_TEST(bytes_have_moved)
{
	exchange(cases[_i].asked, cases[_i].answered);
	ck_assert_int_eq(verdict_next(&state, false), cases[_i].next);
	ck_assert_int_eq(verdict_next(&state, true), cases[_i].next_if_asked);
}
END_TEST

Suite *verdict_suite(void)
{
	Suite *suite = suite_create("verdict");
	TCase *all = tcase_create("all");

	tcase_add_test(all, keeps_what_nothing_speaks_against);
	tcase_add_test(all, the_first_reason_counts);
	tcase_add_test(all, the_ledger_has_to_agree);
	tcase_add_test(all, the_servers_end_is_the_reason_where_there_is_no_other);
	tcase_add_test(all, a_close_that_was_asked_for_could_have_been_withheld);
	tcase_add_loop_test(all, bytes_have_moved, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(suite, all);
	return suite;
}
