/*
 * The state of framing between the first byte of a request and the last of its response, and parts of its interface
 * that the table of whole exchanges doesn't reach.
 */
#include "pool/proto/http1/framing.h"

#include <check.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct framing framing;

static void begin(void)
{
	framing_init(&framing, true);
}

static void ask(const char *bytes)
{
	framing_feed_request(&framing, bytes, strlen(bytes), NULL);
}

static void answer(const char *bytes)
{
	framing_feed_response(&framing, bytes, strlen(bytes), NULL);
}

START_TEST(begins_with_nothing)
{
	memset(&framing, 0xee, sizeof(framing));
	begin();
	ck_assert_int_eq(framing.doubt, FRAMING_CANONICAL);
	ck_assert(!framing_at_boundary(&framing));
	ck_assert(!framing_can_keep(&framing));
	ck_assert(framing_can_replay(&framing));
	ck_assert_uint_eq(framing.keep_alive_max, UINT32_MAX);
	ck_assert_uint_eq(framing.keep_alive_timeout_s, 0);
}
END_TEST

START_TEST(nothing_fed_changes_nothing)
{
	struct framing before;
	struct framing_plan plan;

	begin();
	ask("GET / HT");
	before = framing;
	memset(&plan, 0xee, sizeof(plan));
	framing_feed_request(&framing, "", 0, &plan);
	ck_assert_uint_eq(plan.n_edits, 0);
	ck_assert(!plan.insert);
	memset(&plan, 0xee, sizeof(plan));
	framing_feed_response(&framing, "", 0, &plan);
	ck_assert_uint_eq(plan.n_edits, 0);
	ck_assert_mem_eq(&before, &framing, sizeof(framing));
}
END_TEST

START_TEST(response_starts_and_ends)
{
	begin();
	ask("G");
	ck_assert_uint_eq(framing.n_outstanding, 1);
	ck_assert(framing.request.in_message && framing.request.in_head);
	ask("ET / HTTP/1.1\r\n\r\n");
	ck_assert_uint_eq(framing.n_requests, 1);
	ck_assert(!framing.request.in_message);
	ck_assert(!framing.response_started);
	answer("H");
	ck_assert(framing.response_started && framing.response.in_head);
	ck_assert(!framing.response_ended);
	answer("TTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
	ck_assert(framing.response.in_message && !framing.response.in_head);
	answer("abc");
	ck_assert(framing.response_ended && framing_can_keep(&framing));
	ck_assert(!framing.response_started);
	ask("G");
	ck_assert(!framing.response_ended);
	ck_assert(!framing_at_boundary(&framing));
	ask("ET / HTTP/1.1\r\n\r\n");
	answer(OK);
	ck_assert(framing_can_keep(&framing));
	ck_assert_uint_eq(framing.n_requests, 2);
}
END_TEST

START_TEST(interim_response_starts_but_does_not_end)
{
	begin();
	ask(GET);
	answer("HTTP/1.1 103 E\r\n\r\n");
	ck_assert(framing.response_started);
	ck_assert(!framing.response.in_message);
	ck_assert(!framing.response_ended);
	ck_assert_uint_eq(framing.n_outstanding, 1);
	answer(OK);
	ck_assert(framing_can_keep(&framing));
}
END_TEST

START_TEST(early_answer_waits_for_the_request)
{
	begin();
	ask("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
	answer(OK);
	ck_assert(framing.response_ended);
	ck_assert(!framing_at_boundary(&framing));
	ask("c");
	ck_assert(!framing_at_boundary(&framing));
	ask("d");
	ck_assert(framing_can_keep(&framing));
}
END_TEST

START_TEST(answer_to_half_a_head_is_not_canonical)
{
	begin();
	ask("HEAD / HTTP/1.1\r\nHo");
	answer("HTTP/1.1 408 T\r\nContent-Length: 2\r\n\r\nno");
	ck_assert(framing.response_ended);
	ck_assert_int_eq(framing.doubt, FRAMING_DOUBT_NOT_CANONICAL);
	ck_assert(!framing.lost);
	/* The rest of the head must not disturb the next request's place in the queue. */
	ask("st: h\r\n\r\n" GET);
	ck_assert_uint_eq(framing.n_outstanding, 1);
	answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	ck_assert(framing_at_boundary(&framing));
}
END_TEST

START_TEST(continue_is_awaited)
{
	static const char POST[] = "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";

	begin();
	ask(POST);
	ck_assert(framing.expect_continue);
	answer("HTTP/1.1 100 Continue\r\n\r\n");
	ck_assert(!framing.expect_continue);
	ask("ab");
	answer(OK);
	ck_assert(framing_can_keep(&framing));

	/* A final answer while the body is outstanding: nobody knows whether the body will come. */
	begin();
	ask(POST);
	answer("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
	ck_assert(!framing.expect_continue);
	ck_assert(framing.response_ended);
	ask("ab");
	ck_assert(framing_at_boundary(&framing));
	ck_assert(!framing_can_keep(&framing));

	begin();
	ask(POST);
	ask("ab");
	answer(OK);
	ck_assert(framing_can_keep(&framing));
}
END_TEST

START_TEST(unsafe_requests_are_known_while_outstanding)
{
	begin();
	ask(GET);
	ck_assert(!framing.unsafe_outstanding);
	ask("PUT / HTTP/1.1\r\n");
	ck_assert(!framing.unsafe_outstanding && framing_can_replay(&framing));
	ask("Content-Length: 1\r\n\r\n");
	ck_assert(framing.unsafe_outstanding && !framing_can_replay(&framing));
	ask("x");
	answer(OK);
	ck_assert(framing.unsafe_outstanding);
	answer(OK);
	ck_assert(!framing.unsafe_outstanding);
	/* What awaits an answer may be sent again: nothing does. */
	ck_assert(framing_can_replay(&framing));
	ck_assert(framing_can_keep(&framing));
}
END_TEST

/* An answer to half a request: its rest must not become somebody else's. */
START_TEST(what_is_answered_too_early_is_not_repeated)
{
	begin();
	ask("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
	answer(OK);
	ck_assert_uint_eq(framing.n_outstanding, 0);
	ck_assert(!framing_can_replay(&framing));
	begin();
	ask("PUT / HTTP/1.1\r\n");
	answer(OK);
	ck_assert(framing_can_replay(&framing));
	ask("Content-Length: 5\r\n\r\n");
	ck_assert(!framing_can_replay(&framing));
}
END_TEST

/* Whole, half, none: at each cut of two requests. */
START_TEST(requests_are_measured)
{
	static const char first[] = "\r\nPUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
	static const char both[] = "\r\nPUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n\r\n\r\n";

	for (size_t length = 0; length < sizeof(both); length++) {
		size_t end = 99;

		ck_assert_int_eq(framing_measure_request(both, length, &end), length > 2);
		if (length > 2)
			ck_assert_uint_eq(end, length < sizeof(first) - 1 ? 0 : sizeof(first) - 1);
	}
	for (size_t length = 0; length < sizeof(both) - sizeof(first); length++) {
		size_t end = 99, whole = sizeof(both) - sizeof(first) - 2;

		ck_assert_int_eq(framing_measure_request(both + sizeof(first) - 1, length, &end), length > 0);
		if (length)
			ck_assert_uint_eq(end, length < whole ? 0 : whole);
	}
}
END_TEST

START_TEST(queue_holds_64_requests)
{
	begin();
	for (int i = 0; i < 64; i++)
		ask(i % 2 ? GET : "HEAD / HTTP/1.1\r\n\r\n");
	ck_assert_uint_eq(framing.n_outstanding, 64);
	for (int i = 0; i < 64; i++)
		answer(i % 2 ? "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
			     : "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
	ck_assert(framing_can_keep(&framing));
	ck_assert_uint_eq(framing.n_requests, 64);

	begin();
	for (int i = 0; i < 65; i++)
		ask(GET);
	ck_assert_uint_eq(framing.n_outstanding, 64);
	ck_assert(framing.lost && framing.doubt == FRAMING_DOUBT_NOT_CANONICAL);
	ck_assert(!framing_can_replay(&framing));
	for (int i = 0; i < 64; i++)
		answer(OK);
	ck_assert(framing.response_ended && !framing_at_boundary(&framing));
}
END_TEST

START_TEST(bodies_of_known_length_may_pass_unseen)
{
	const uint64_t length = 123456789012345;

	begin();
	ck_assert_uint_eq(framing_skippable_request(&framing), 0);
	ask("PUT / HTTP/1.1\r\nContent-Length: 123456789012345\r\n");
	ck_assert_uint_eq(framing_skippable_request(&framing), 0);
	ask("\r\n12345");
	ck_assert_uint_eq(framing_skippable_request(&framing), length - 5);
	ck_assert_uint_eq(framing.request.body_remaining, length - 5);
	framing_skip_request(&framing, length - 6);
	ck_assert(framing.request.in_message);
	framing_skip_request(&framing, 0);
	framing_skip_request(&framing, 1);
	ck_assert(!framing.request.in_message);
	ck_assert_uint_eq(framing_skippable_request(&framing), 0);

	answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
	ck_assert_uint_eq(framing_skippable_response(&framing), 10);
	framing_skip_response(&framing, 4);
	answer("12345");
	ck_assert_uint_eq(framing_skippable_response(&framing), 1);
	ck_assert(!framing.response_ended);
	framing_skip_response(&framing, 1);
	ck_assert(framing_can_keep(&framing));

	begin();
	ask(GET);
	answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
	ck_assert_uint_eq(framing_skippable_response(&framing), 0);
	framing_skip_response(&framing, 1);
	ck_assert(framing.lost);
}
END_TEST

START_TEST(keep_alive_field_is_read)
{
	static const struct {
		const char *fields;
		uint32_t timeout_s, max;
	} CASES[] = {
		{"Keep-Alive: timeout=5, max=100\r\n", 5, 100},
		{"Keep-Alive: Max=7,TIMEOUT=0\r\n", 0, 7},
		{"Keep-Alive: timeout=99999999999, max=x\r\n", 0, UINT32_MAX},
		{"Keep-Alive: timeout, max=\r\nX-Keep-Alive: timeout=3\r\n", 0, UINT32_MAX},
		{"Keep-Alive: timeout=12\r\nKeep-Alive: max=0\r\n", 12, 0},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		begin();
		ask("GET / HTTP/1.1\r\nKeep-Alive: timeout=77\r\n\r\n");
		answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
		answer(CASES[i].fields);
		answer("\r\n");
		ck_assert_uint_eq(framing.keep_alive_timeout_s, CASES[i].timeout_s);
		ck_assert_uint_eq(framing.keep_alive_max, CASES[i].max);
		ck_assert(framing_can_keep(&framing));
	}
}
END_TEST

START_TEST(restart_keeps_the_doubt_only)
{
	struct framing fresh;

	begin();
	ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n\r\n");
	ck_assert(framing_can_keep(&framing));
	framing_init(&fresh, false);
	framing_restart(&framing, false);
	ck_assert_mem_eq(&fresh, &framing, sizeof(framing));

	ask("GET / HTTP/1.1\r\nAuthorization: NTLM x\r\n\r\n");
	framing_restart(&framing, true);
	ck_assert_int_eq(framing.doubt, FRAMING_DOUBT_AUTH_BOUND);
	ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	ck_assert(framing.close_wanted && !framing.edited);
	answer(OK);
	ck_assert(framing_at_boundary(&framing) && !framing_can_keep(&framing));

	answer("surplus");
	framing_restart(&framing, true);
	ck_assert(framing.lost);
}
END_TEST

START_TEST(what_is_sent_behind_the_last_request_ends_nothing)
{
	framing_init(&framing, true);
	ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	ask("\r\n");
	ck_assert(framing.edited && !framing.lost && !framing_has_more_to_send(&framing));
	ck_assert_int_eq(framing.doubt, FRAMING_DOUBT_NOT_CANONICAL);
	answer(OK);
	ck_assert(framing.response_ended && !framing_has_surplus(&framing));
	ck_assert(!framing_at_boundary(&framing) && !framing_can_replay(&framing));
}
END_TEST

START_TEST(close_that_went_out_is_believed)
{
	framing_init(&framing, false);
	ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	answer(OK);
	ck_assert(framing_at_boundary(&framing));
	ck_assert_int_eq(framing.doubt, FRAMING_CANONICAL);
	ck_assert(!framing.server_closes);
	ck_assert(!framing_can_keep(&framing));
}
END_TEST

/* After withholding the close, the owner must see to it that such a server does not wait. */
START_TEST(server_may_wait_where_only_its_end_ends_the_answer)
{
	static const struct {
		const char *request, *answer;
		bool may_wait;
	} rows[] = {
		{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n", false},
		{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", OK, false},
		{GET, "HTTP/1.1 200 OK\r\n\r\n", false},
	};

	begin();
	ask(rows[_i].request);
	answer(rows[_i].answer);
	ck_assert_int_eq(framing_server_may_wait(&framing), rows[_i].may_wait);
	framing_feed_response_end(&framing);
	ck_assert(!framing_server_may_wait(&framing));
}
END_TEST

START_TEST(long_names_and_values_do_no_harm)
{
	char text[4096];

	memset(text, 'a', sizeof(text));
	begin();
	ask("GET / HTTP/1.1\r\n");
	framing_feed_request(&framing, text, sizeof(text), NULL);
	ask(": close\r\nConnection: ");
	framing_feed_request(&framing, text, sizeof(text), NULL);
	ask(", close\r\nAuthorization: Bearer ");
	framing_feed_request(&framing, text, sizeof(text), NULL);
	ask("\r\n\r\n");
	ck_assert(framing.close_wanted && framing.edited);
	ck_assert_int_eq(framing.doubt, FRAMING_CANONICAL);

	memset(text, '0', sizeof(text));
	answer("HTTP/1.1 200 OK\r\nContent-Length: ");
	framing_feed_response(&framing, text, 60, NULL);
	answer("2\r\n\r\nok");
	ck_assert(framing_can_keep(&framing));

	begin();
	ask(GET);
	answer("HTTP/1.1 200 OK\r\nContent-Length: ");
	framing_feed_response(&framing, text, sizeof(text), NULL);
	answer("2\r\n\r\n");
	ck_assert(framing.lost && framing.doubt == FRAMING_DOUBT_ERROR);
}
END_TEST

START_TEST(nul_bytes_are_not_canonical)
{
	static const char RESPONSE[] = "HTTP/1.1 200 OK\r\nX: a\0b\r\na\0b: c\r\nContent-Length: 1\r\n\r\nx";

	begin();
	ask(GET);
	framing_feed_response(&framing, RESPONSE, sizeof(RESPONSE) - 1, NULL);
	ck_assert_int_eq(framing.doubt, FRAMING_DOUBT_NOT_CANONICAL);
	ck_assert(framing_at_boundary(&framing));
}
END_TEST

/* An object may be copied and the original wiped between any two bytes. */
START_TEST(copies_go_on)
{
	static const char ASKED[] = "POST / HTTP/1.1\r\nConnection: a, close\r\nTransfer-Encoding: chunked\r\n\r\n"
				    "3\r\nabc\r\n0\r\n\r\n";
	static const char ANSWERED[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: max=5\r\n\r\n"
				       "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
	struct framing objects[2];
	unsigned now = 0;

	framing_init(&objects[0], true);
	for (size_t i = 0; i < sizeof(ASKED) + sizeof(ANSWERED) - 2; i++) {
		char byte = i < sizeof(ASKED) - 1 ? ASKED[i] : ANSWERED[i - (sizeof(ASKED) - 1)];

		if (i < sizeof(ASKED) - 1)
			framing_feed_request(&objects[now], &byte, 1, NULL);
		else
			framing_feed_response(&objects[now], &byte, 1, NULL);
		objects[!now] = objects[now];
		memset(&objects[now], 0xee, sizeof(objects[now]));
		now = !now;
	}
	ck_assert(framing_at_boundary(&objects[now]));
	ck_assert_int_eq(objects[now].doubt, FRAMING_CANONICAL);
	ck_assert(objects[now].close_wanted);
	ck_assert_uint_eq(objects[now].keep_alive_max, 5);
}
END_TEST

/* Whatever cut the bytes come in, an answer ends where it ends, and what is behind it is left. */
START_TEST(answers_are_taken_one_by_one)
{
	static const char first[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				    "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
	static const char both[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "3\r\nabc\r\n0\r\nX: y\r\n\r\n" OK;
	size_t cut = (size_t)_i, length = strlen(first);
	struct framing_plan plan;

	begin();
	ask(GET GET);
	if (cut > length)
		cut = length;
	ck_assert_uint_eq(framing_feed_answer(&framing, both, cut, &plan), cut);
	ck_assert_uint_eq(framing.n_outstanding, cut == length ? 1 : 2);
	if (cut < length)
		ck_assert_uint_eq(framing_feed_answer(&framing, both + cut, strlen(both) - cut, &plan), length - cut);
	ck_assert_uint_eq(framing.n_outstanding, 1);
	ck_assert_uint_eq(framing_feed_answer(&framing, OK OK, 2 * strlen(OK), &plan), strlen(OK));
	ck_assert(framing.response_ended && !framing.surplus);
	ck_assert_int_eq(framing.doubt, FRAMING_CANONICAL);
}
END_TEST

static const struct {
	const char *sent;
	bool takes_more;
} behind[] = {
	{GET, true},
	{GET GET, true},
	{"GET / HTTP/1.1\r\n", false},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
	{"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", false},
	{"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", false},
	{"GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},
	{"CONNECT h:1 HTTP/1.1\r\n\r\n", false},
	{"GET / HTTP/1.1\r\nAuthorization: NTLM x\r\n\r\n", false},
	{"HEAD / HTTP/1.1\r\n\r\n", true},
	{"\r\nGET / HTTP/1.1\r\n\r\n", false},
};

START_TEST(what_others_requests_may_follow)
{
	begin();
	ask(behind[_i].sent);
	ck_assert_int_eq(framing_takes_more(&framing), behind[_i].takes_more);
}
END_TEST

/* One that asks for close does so where that was withheld from the server. */
START_TEST(close_is_followed_where_it_was_blanked)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
	struct framing_plan plan;

	framing_init(&framing, _i);
	framing_feed_request(&framing, bytes, strlen(bytes), &plan);
	ck_assert_uint_eq(plan.n_edits, _i);
	ck_assert_int_eq(framing_takes_more(&framing), _i);
}
END_TEST

Suite *framing_states_suite(void);

Suite *framing_states_suite(void)
{
	Suite *suite = suite_create("framing_states");
	TCase *tcase = tcase_create("states");

	tcase_add_test(tcase, begins_with_nothing);
	tcase_add_test(tcase, nothing_fed_changes_nothing);
	tcase_add_test(tcase, response_starts_and_ends);
	tcase_add_test(tcase, interim_response_starts_but_does_not_end);
	tcase_add_test(tcase, early_answer_waits_for_the_request);
	tcase_add_test(tcase, answer_to_half_a_head_is_not_canonical);
	tcase_add_test(tcase, continue_is_awaited);
	tcase_add_test(tcase, unsafe_requests_are_known_while_outstanding);
	tcase_add_test(tcase, what_is_answered_too_early_is_not_repeated);
	tcase_add_test(tcase, requests_are_measured);
	tcase_add_test(tcase, queue_holds_64_requests);
	tcase_add_test(tcase, bodies_of_known_length_may_pass_unseen);
	tcase_add_test(tcase, keep_alive_field_is_read);
	tcase_add_test(tcase, restart_keeps_the_doubt_only);
	tcase_add_test(tcase, what_is_sent_behind_the_last_request_ends_nothing);
	tcase_add_test(tcase, close_that_went_out_is_believed);
	tcase_add_loop_test(tcase, server_may_wait_where_only_its_end_ends_the_answer, 0, 8);
	tcase_add_test(tcase, long_names_and_values_do_no_harm);
	tcase_add_test(tcase, nul_bytes_are_not_canonical);
	tcase_add_test(tcase, copies_go_on);
	tcase_add_loop_test(tcase, answers_are_taken_one_by_one, 1, 120);
	tcase_add_loop_test(tcase, what_others_requests_may_follow, 0, sizeof(behind) / sizeof(behind[0]));
	tcase_add_loop_test(tcase, close_is_followed_where_it_was_blanked, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
