/*
 * The memo of framing: its outcome is always that of framing alone.
 */
#include "pool/proto/http1/memo.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct framing_memo memo;
static struct framing with, without;

static void begin(void)
{
	/* Two objects that are equal down to their padding: they are compared as bytes. */
	memset(&with, 0, sizeof(with));
	memset(&without, 0, sizeof(without));
	framing_init(&with, true);
	framing_init(&without, true);
}

static void start(void)
{
	memset(&memo, 0, sizeof(memo));
	begin();
}

static void check_equal(const struct framing_plan *plan, const struct framing_plan *expected)
{
	ck_assert_uint_eq(plan->n_edits, expected->n_edits);
	ck_assert_mem_eq(plan->edits, expected->edits, plan->n_edits * sizeof(plan->edits[0]));
	ck_assert_uint_eq(plan->insert, expected->insert);
	ck_assert_uint_eq(plan->insert_offset, expected->insert_offset);
	ck_assert_uint_eq(with.doubt, without.doubt);
	ck_assert_uint_eq(with.n_outstanding, without.n_outstanding);
	ck_assert_uint_eq(with.edited, without.edited);
	ck_assert_uint_eq(with.response_ended, without.response_ended);
	ck_assert_uint_eq(with.request.phase, without.request.phase);
	ck_assert_uint_eq(with.response.phase, without.response.phase);
	ck_assert_uint_eq(framing_can_keep(&with), framing_can_keep(&without));
	ck_assert_uint_eq(framing_skippable_response(&with), framing_skippable_response(&without));
}

static void send_bytes(const char *bytes, size_t length)
{
	struct framing_plan plan = {0}, expected = {0};

	framing_memo_feed_request(&memo, &with, bytes, length, &plan);
	framing_feed_request(&without, bytes, length, &expected);
	check_equal(&plan, &expected);
}

static void receive_bytes(const char *bytes, size_t length)
{
	struct framing_plan plan = {0}, expected = {0};

	framing_memo_feed_response(&memo, &with, bytes, length, &plan);
	framing_feed_response(&without, bytes, length, &expected);
	check_equal(&plan, &expected);
}

static const char *const requests[] = {
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade, close\r\n\r\n",
	"\x16\x03\x01 no HTTP",
};
static const char *const responses[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
	"HTTP/1.0 200 OK\r\n\r\nuntil close",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
	"garbage\r\n\r\n",
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(every_pair_twice_over)
{
	for (size_t i = 0; i < LENGTH(requests); i++)
		for (size_t j = 0; j < LENGTH(responses); j++)
			for (int turn = 0; turn < 3; turn++) {
				begin();
				send_bytes(requests[i], strlen(requests[i]));
				receive_bytes(responses[j], strlen(responses[j]));
			}
}
END_TEST

START_TEST(the_same_answer_to_another_request)
{
	/* The bytes alone don't decide: after HEAD there is no body. */
	for (int turn = 0; turn < 2; turn++)
		for (size_t i = 0; i < 4; i++) {
			begin();
			send_bytes(requests[i], strlen(requests[i]));
			receive_bytes(responses[1], strlen(responses[1]));
		}
}
END_TEST

START_TEST(cut_anywhere)
{
	const char *request = requests[0], *response = responses[0];

	for (size_t cut = 1; cut < strlen(request); cut++)
		for (int turn = 0; turn < 2; turn++) {
			begin();
			send_bytes(request, cut);
			send_bytes(request + cut, strlen(request) - cut);
			receive_bytes(response, strlen(response));
		}
	for (size_t cut = 1; cut < strlen(response); cut++)
		for (int turn = 0; turn < 2; turn++) {
			begin();
			send_bytes(request, strlen(request));
			receive_bytes(response, cut);
			receive_bytes(response + cut, strlen(response) - cut);
		}
}
END_TEST

START_TEST(it_remembers)
{
	const char *request = requests[0], *response = responses[0];

	for (int turn = 0; turn < 2; turn++) {
		begin();
		send_bytes(request, strlen(request));
		receive_bytes(response, strlen(response));
		/* The second time the answer comes from the memo: a false one would show. */
		ck_assert_uint_eq(memo.request.length, strlen(request));
		ck_assert_uint_eq(memo.response.length, strlen(response));
		memo.response.after.n_requests = 77;
	}
	ck_assert_uint_eq(with.n_requests, 77);
}
END_TEST

START_TEST(in_use_or_too_long_it_stays_out)
{
	static char long_request[FRAMING_MEMO_BYTES + 100];
	const char *request = requests[0];
	int n = snprintf(long_request, sizeof(long_request), "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n",
			 FRAMING_MEMO_BYTES, 0);

	send_bytes(long_request, (size_t)n);
	ck_assert_uint_eq(memo.request.length, 0);
	begin();
	atomic_store(&memo.is_busy, true);
	send_bytes(request, strlen(request));
	ck_assert_uint_eq(memo.request.length, 0);
	ck_assert(atomic_load(&memo.is_busy));
}
END_TEST

Suite *framing_memo_suite(void)
{
	Suite *suite = suite_create("framing_memo");
	TCase *tcase = tcase_create("memo");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, every_pair_twice_over);
	tcase_add_test(tcase, the_same_answer_to_another_request);
	tcase_add_test(tcase, cut_anywhere);
	tcase_add_test(tcase, it_remembers);
	tcase_add_test(tcase, in_use_or_too_long_it_stays_out);
	suite_add_tcase(suite, tcase);
	return suite;
}
