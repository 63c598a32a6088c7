/*
 * The table of protocols: what its entries answer, and that a state can be carried elsewhere.
 */
#include "pool/proto/protocol.h"

#include <check.h>
#include <string.h>

#include "pool/proto/http1/memo.h"

#define GET_CLOSE "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static struct protocol_state state;
static struct framing_memo memo;

static void begin(void)
{
	memset(&state, 0xee, sizeof(state));
	protocol_begin(&state, true);
}

static struct framing_plan ask(const char *bytes)
{
	struct framing_plan plan;

	protocol_feed_request(&state, &memo, bytes, strlen(bytes), &plan);
	return plan;
}

static struct framing_plan answer(const char *bytes)
{
	struct framing_plan plan;

	protocol_feed_response(&state, &memo, bytes, strlen(bytes), &plan);
	return plan;
}

START_TEST(classifies_by_the_first_entry)
{
	ck_assert_int_eq(protocol_classify("", 0), FRAMING_FIRST_PARTIAL);
	ck_assert_int_eq(protocol_classify("GE", 2), FRAMING_FIRST_PARTIAL);
	ck_assert_int_eq(protocol_classify("GET /", 5), FRAMING_FIRST_SAFE);
	ck_assert_int_eq(protocol_classify("POST /", 6), FRAMING_FIRST_UNSAFE);
	ck_assert_int_eq(protocol_classify("*1\r\n$4\r\nPING\r\n", 14), FRAMING_FIRST_UNKNOWN);
	ck_assert(protocol_is_tls("\x16\x03\x01", 3) && !protocol_is_tls("\x16", 1) && !protocol_is_tls("GET ", 4));
}
END_TEST

START_TEST(a_state_begins_by_the_first_entry)
{
	struct protocol_status status;

	begin();
	status = protocol_status(&state);
	ck_assert_ptr_eq(protocol_of(&state), &http1);
	ck_assert_int_eq(status.refusal, REFUSAL_CLIENT_CLOSE);
	ck_assert_int_eq(status.doubt, REFUSAL_NONE);
	ck_assert(status.may_edit && status.can_replay && status.parses_request && !status.at_boundary);
	ck_assert(!status.owes_end && !status.end_is_due && !status.wants_end && !status.awaits_answer);
	ck_assert_uint_eq(status.requests_left, UINT32_MAX);
	protocol_forbid_edits(&state);
	ck_assert(!protocol_status(&state).may_edit);
	ck_assert_uint_eq(ask(GET_CLOSE).n_edits, 0);
}
END_TEST

START_TEST(an_end_is_owed_until_it_is_due)
{
	struct protocol_status status;

	begin();
	ck_assert_uint_eq(ask(GET_CLOSE).n_edits, 1);
	status = protocol_status(&state);
	ck_assert(status.wants_end && status.owes_end && !status.end_is_due && status.is_behind_last);
	ck_assert(status.awaits_answer && !status.answer_started);
	answer(OK_2);
	status = protocol_status(&state);
	ck_assert(status.owes_end && status.answer_started && status.in_answer && !status.in_answer_head);
	ck_assert_uint_eq(status.skippable_answer, 2);
	ck_assert_uint_eq(status.known_answer, 2);
	protocol_pass_response(&state, 0);
	protocol_pass_response(&state, 2);
	status = protocol_status(&state);
	ck_assert(!status.owes_end && status.end_is_due && status.at_boundary && status.answer_ended);
	ck_assert_int_eq(status.refusal, REFUSAL_NONE);
	ck_assert_uint_eq(status.n_requests, 1);
}
END_TEST

START_TEST(what_was_not_withheld_is_not_owed)
{
	struct protocol_status status;

	begin();
	protocol_forbid_edits(&state);
	ask(GET_CLOSE);
	ck_assert(protocol_status(&state).wants_end && !protocol_status(&state).owes_end);
	answer(OK_2 "ok");
	status = protocol_status(&state);
	ck_assert(status.answer_ended && !status.end_is_due);
	ck_assert_int_eq(status.refusal, REFUSAL_SERVER_CLOSE);
}
END_TEST

START_TEST(the_end_can_be_shown)
{
	begin();
	ask(GET_CLOSE);
	ck_assert_uint_eq(answer("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").n_edits, 1);
	ck_assert(protocol_status(&state).end_is_shown);
}
END_TEST

START_TEST(the_server_tells_how_long_it_keeps)
{
	begin();
	ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	answer("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=7, max=3\r\nContent-Length: 0\r\n\r\n");
	ck_assert_uint_eq(protocol_status(&state).keep_alive_s, 7);
	ck_assert_uint_eq(protocol_status(&state).requests_left, 3);
}
END_TEST

static const struct {
	const char *asked, *answered;
	bool has_ended; /* by the server */
	enum refusal refusal, doubt;
} refusals[] = {
	{"GET / HTTP/1.1\r\n\r\n", OK_2 "o", false, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE},
	{"GET / HTTP/1.1\r\n\r\n", OK_2 "ok", false, REFUSAL_NONE, REFUSAL_NONE},
	{"GET / HTTP/1.1\r\n\r\n", OK_2 "ok", true, REFUSAL_SERVER_CLOSE, REFUSAL_NONE},
	{"GET / HTTP/1.1\r\n\r\n", OK_2 "oks", false, REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL},
	{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, REFUSAL_HTTP10, REFUSAL_NONE},
	{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nall", true, REFUSAL_NO_FRAMING, REFUSAL_NONE},
	{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 101 S\r\n\r\n", false, REFUSAL_UPGRADE, REFUSAL_UPGRADE},
	{"GET / HTTP/1.1\r\nAuthorization: NTLM x\r\n\r\n", "", false, REFUSAL_AUTH_BOUND, REFUSAL_AUTH_BOUND},
	{"no request\r\n\r\n", "", false, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL},
};

START_TEST(refuses_to_keep)
{
	struct protocol_status status;

	begin();
	ask(refusals[_i].asked);
	answer(refusals[_i].answered);
	if (refusals[_i].has_ended)
		protocol_feed_end(&state);
	status = protocol_status(&state);
	ck_assert_int_eq(status.refusal, refusals[_i].refusal);
	ck_assert_int_eq(status.doubt, refusals[_i].doubt);
	ck_assert_int_eq(status.server_ends, refusals[_i].has_ended || status.refusal == REFUSAL_HTTP10);
}
END_TEST

START_TEST(http1_needs_no_reset_and_no_farewell)
{
	begin();
	ask(GET_CLOSE);
	answer(OK_2 "ok");
	ck_assert_int_eq(protocol_status(&state).left_state, REFUSAL_NONE);
	ck_assert(!protocol_status(&state).wants_fresh);
	ck_assert(!protocol_is_goodbye(&state, "QUIT\r\n", 6));
}
END_TEST

START_TEST(recognizes_what_the_first_entry_does_not_know)
{
	ck_assert_int_eq(protocol_recognize(~0u, "*1\r\n$4\r\nPING\r\n", 14), PROTOCOL_REDIS);
	ck_assert_int_eq(protocol_recognize(~0u, "PING\r\n", 6), PROTOCOL_REDIS);
	ck_assert_int_eq(protocol_recognize(~0u, "get key\r\n", 9), PROTOCOL_MEMCACHED);
	ck_assert_int_eq(protocol_recognize(1u << PROTOCOL_REDIS, "get key\r\n", 9), PROTOCOL_REDIS);
	ck_assert_int_eq(protocol_recognize(~0u, "set key value\r\n", 15), PROTOCOL_REDIS);
	ck_assert_int_eq(protocol_recognize(~0u, "set key 0 0 5\r\n", 15), PROTOCOL_MEMCACHED);
	ck_assert_int_eq(protocol_recognize(~0u, "watch fetchers\r\n", 16), PROTOCOL_REDIS);
	ck_assert_int_eq(protocol_recognize(~0u, "bogus\r\n", 7), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize(~0u, "*1\r\n", 4), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize(~0u, "\x16\x03\x01", 3), PROTOCOL_COUNT);
	protocol_begin_as(&state, PROTOCOL_REDIS);
	ck_assert_ptr_eq(protocol_of(&state), &redis);
	ck_assert(!protocol_status(&state).may_edit && !protocol_status(&state).can_replay);
}
END_TEST

START_TEST(knows_a_late_goodbye)
{
	static const char goodbye[] = "HTTP/1.1 408 Request Timeout\r\n\r\n";

	begin();
	ck_assert(protocol_is_late_goodbye(&state, goodbye, sizeof(goodbye) - 1));
	ck_assert(protocol_is_late_goodbye(&state, goodbye, 12));
	ck_assert(!protocol_is_late_goodbye(&state, goodbye, 11));
	ck_assert(!protocol_is_late_goodbye(&state, "HTTP/1.1 200 OK\r\n", 17));
}
END_TEST

START_TEST(a_memo_changes_no_outcome)
{
	struct framing_plan with, without;
	struct protocol_state plain;

	for (int i = 0; i < 2; i++) {
		begin();
		with = ask(GET_CLOSE);
		/* Bytes between fields are compared, too. */
		memset(&plain, 0xee, sizeof(plain));
		protocol_begin(&plain, true);
		protocol_feed_request(&plain, NULL, GET_CLOSE, strlen(GET_CLOSE), &without);
		ck_assert_uint_eq(with.n_edits, without.n_edits);
		ck_assert_mem_eq(with.edits, without.edits, with.n_edits * sizeof(with.edits[0]));
		ck_assert_uint_eq(with.insert, without.insert);
		ck_assert_mem_eq(&state.http1, &plain.http1, sizeof(plain.http1));
		protocol_feed_request(&plain, &memo, "", 0, NULL);
	}
}
END_TEST

/* As if this copy came from where the library lay lower. */
START_TEST(a_state_can_be_carried_elsewhere)
{
	const uintptr_t by = 0x1000;
	struct protocol_state copy;

	begin();
	ask("GET / HT");
	copy = state;
	http1.relocate(&copy, -by);
	ck_assert(protocol_arrive(&copy, protocol_anchor() - by));
	ck_assert_mem_eq(&copy.http1, &state.http1, sizeof(copy.http1));
	state = copy;
	ask("TP/1.1\r\n\r\n");
	answer(OK_2 "ok");
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
	/* Of an entry that there is not here. */
	copy.number = PROTOCOL_COUNT;
	ck_assert(!protocol_arrive(&copy, protocol_anchor()));
	ck_assert_uint_ne(protocol_stamp(), 0);
}
END_TEST

Suite *protocol_suite(void)
{
	Suite *suite = suite_create("protocol");
	TCase *all = tcase_create("all");

	tcase_add_test(all, classifies_by_the_first_entry);
	tcase_add_test(all, a_state_begins_by_the_first_entry);
	tcase_add_test(all, an_end_is_owed_until_it_is_due);
	tcase_add_test(all, what_was_not_withheld_is_not_owed);
	tcase_add_test(all, the_end_can_be_shown);
	tcase_add_test(all, the_server_tells_how_long_it_keeps);
	tcase_add_loop_test(all, refuses_to_keep, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(all, http1_needs_no_reset_and_no_farewell);
	tcase_add_test(all, recognizes_what_the_first_entry_does_not_know);
	tcase_add_test(all, knows_a_late_goodbye);
	tcase_add_test(all, a_memo_changes_no_outcome);
	tcase_add_test(all, a_state_can_be_carried_elsewhere);
	suite_add_tcase(suite, all);
	return suite;
}
