/*
 * The copy of what was sent, and how the program's own bytes are had back from it.
 */
#include "pool/exchange/replay.h"

#include <check.h>
#include <string.h>

#include "pool/proto/protocol.h"

static char memory[512];
static struct replay replay;

static void begin(void)
{
	replay = (struct replay){.block = {memory, sizeof(memory)}};
	replay_reset(&replay);
}

static void hold(const char *bytes)
{
	replay.length = (uint32_t)strlen(bytes);
	memcpy(memory, bytes, replay.length);
}

START_TEST(a_blanked_wish_comes_back)
{
	begin();
	hold("a:      \r\nb:      ");
	replay_note_blank(&replay, &http1, 3, 5);
	replay_note_blank(&replay, &http1, 13, 5);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 18);
	ck_assert_mem_eq(memory, "a: close\r\nb: close", 18);
	ck_assert(replay.is_complete);
	ck_assert_uint_eq(replay.n_edits, 0);
}
END_TEST

START_TEST(an_insertion_is_taken_out)
{
	begin();
	hold("line\r\nINSERTEDc:      ");
	replay_note_insertion(&replay, 6, 8);
	/* In the program's own bytes. */
	replay_note_blank(&replay, &http1, 9, 5);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 14);
	ck_assert_mem_eq(memory, "line\r\nc: close", 14);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 14);
}
END_TEST

START_TEST(what_can_not_be_remembered_makes_it_useless)
{
	begin();
	for (int i = 0; i < REPLAY_MAX_EDITS; i++)
		replay_note_blank(&replay, &http1, (size_t)i * 8, 5);
	ck_assert(replay.is_complete);
	replay_note_blank(&replay, &http1, 100, 5);
	ck_assert(!replay.is_complete);
	begin();
	replay_note_blank(&replay, &http1, 3, 4); /* half a wish */
	ck_assert(!replay.is_complete);
	begin();
	replay_note_blank(&replay, &http1, UINT16_MAX + 1u, 5);
	ck_assert(!replay.is_complete);
	begin();
	replay_note_insertion(&replay, 3, 4);
	ck_assert(replay.is_complete);
	replay_note_insertion(&replay, 13, 4);
	ck_assert(!replay.is_complete);
}
END_TEST

START_TEST(who_gives_up_keeps_the_block)
{
	begin();
	hold("bytes");
	replay_note_insertion(&replay, 0, 1);
	replay_give_up(&replay);
	ck_assert(!replay.is_complete && !replay.length && !replay.inserted);
	ck_assert_ptr_eq(replay.block.bytes, memory);
	replay_reset(&replay);
	ck_assert(replay.is_complete && !replay.length);
}
END_TEST

#define GET_A "GET /a HTTP/1.1\r\n\r\n"
#define HEAD_B "HEAD /b HTTP/1.1\r\n\r\n"
#define POST_C "POST /c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
#define GET_D "GET /d HTTP/1.1\r\nContent-Length: 2\r\n\r\nde"
#define LAST "GET /e HTTP/1.1\r\nConnection:      \r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static struct protocol_state state;

static void ask(const char *bytes)
{
	protocol_feed_request(&state, NULL, bytes, strlen(bytes), NULL);
	memcpy(memory + replay.length, bytes, strlen(bytes));
	replay.length += (uint32_t)strlen(bytes);
}

static void answer(const char *bytes)
{
	protocol_feed_response(&state, NULL, bytes, strlen(bytes), NULL);
}

static void begin_exchange(void)
{
	begin();
	protocol_begin(&state, true);
}

static void expect_copy(const char *bytes)
{
	ck_assert_uint_eq(replay.length, strlen(bytes));
	ck_assert_mem_eq(memory, bytes, strlen(bytes));
}

static const char *const answered[] = {"", OK, OK OK_HEAD, OK OK_HEAD OK};
static const char *const left[] = {GET_A HEAD_B GET_D LAST, HEAD_B GET_D LAST, GET_D LAST, LAST};

/* After each number of answers; and with each cut of the next one there is nothing to be repeated. */
START_TEST(what_was_answered_is_not_sent_again)
{
	static const char next[] = OK_HEAD;

	for (size_t cut = 0; cut < sizeof(next) - 1; cut++) {
		char part[sizeof(next)] = "";
		size_t at;

		begin_exchange();
		ask(GET_A HEAD_B GET_D);
		at = replay.length + strlen("GET /e HTTP/1.1\r\nConnection: ");
		ask(LAST);
		replay_note_blank(&replay, &http1, at, 5);
		answer(answered[_i]);
		memcpy(part, next, cut);
		answer(part);
		ck_assert_int_eq(replay_prepare(&replay, &state), cut == 0);
		if (cut)
			continue;
		expect_copy(left[_i]);
		/* Asked twice, it is the same; and what was blanked is still found. */
		ck_assert(replay_prepare(&replay, &state));
		expect_copy(left[_i]);
		replay_undo_edits(&replay, &http1);
		ck_assert_mem_eq(memory + replay.length - strlen("close\r\n\r\n"), "close", 5);
	}
}
END_TEST

START_TEST(an_insertion_stays_where_it_was)
{
	begin_exchange();
	ask(GET_A);
	ask("GET / HTTP/1.0\r\n");
	replay_note_insertion(&replay, replay.length, 24);
	memcpy(memory + replay.length, "Connection: keep-alive\r\n", 24);
	replay.length += 24;
	ask("\r\n");
	answer(OK);
	ck_assert(replay_prepare(&replay, &state));
	expect_copy("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	replay_undo_edits(&replay, &http1);
	expect_copy("GET / HTTP/1.0\r\n\r\n");
}
END_TEST

START_TEST(unsafe_ones_count_while_they_are_unanswered)
{
	begin_exchange();
	ask(GET_A POST_C GET_D);
	ck_assert(!replay_prepare(&replay, &state));
	answer(OK);
	ck_assert(!replay_prepare(&replay, &state));
	answer(OK);
	ck_assert(replay_prepare(&replay, &state));
	expect_copy(GET_D);
	answer(OK);
	ck_assert(replay_prepare(&replay, &state));
	ck_assert_uint_eq(replay.length, 0);
}
END_TEST

START_TEST(an_incomplete_request_is_kept)
{
	begin_exchange();
	ask(GET_A "GET /f HT");
	answer(OK);
	ck_assert(replay_prepare(&replay, &state));
	expect_copy("GET /f HT");
	/* More of it, and more behind it. */
	ask("TP/1.1\r\n\r\n" GET_D);
	answer(OK);
	ck_assert(replay_prepare(&replay, &state));
	expect_copy(GET_D);
}
END_TEST

START_TEST(empty_lines_are_no_requests)
{
	begin_exchange();
	ask("\r\n" GET_A "\r\n");
	ck_assert(replay_prepare(&replay, &state));
	expect_copy("\r\n" GET_A "\r\n");
}
END_TEST

START_TEST(an_announced_end_is_left_to_the_server)
{
	begin_exchange();
	ask(GET_A GET_D);
	answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	ck_assert(!replay_prepare(&replay, &state));
	begin_exchange();
	ask(GET_A GET_D);
	answer("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
	ck_assert(!replay_prepare(&replay, &state));
}
END_TEST

/* The copy does not begin with what the answers are to: nobody knows what to send. */
START_TEST(a_copy_that_does_not_fit_gives_up)
{
	begin_exchange();
	ask(GET_A GET_D);
	replay.length = 0;
	ck_assert(!replay_prepare(&replay, &state));
	ck_assert(!replay.is_complete);
	begin_exchange();
	/* The answer came before the request was whole. */
	ask("GET /a HTTP/1.1\r\n");
	answer(OK);
	replay_forget_answered(&replay, &state);
	ck_assert(!replay.is_complete);
	begin_exchange();
	ask(GET_A GET_D);
	replay_note_blank(&replay, &http1, 3, 5);
	answer(OK);
	ck_assert(!replay_prepare(&replay, &state));
}
END_TEST

Suite *replay_suite(void)
{
	Suite *suite = suite_create("replay");
	TCase *all = tcase_create("all");

	tcase_add_test(all, a_blanked_wish_comes_back);
	tcase_add_test(all, an_insertion_is_taken_out);
	tcase_add_test(all, what_can_not_be_remembered_makes_it_useless);
	tcase_add_test(all, who_gives_up_keeps_the_block);
	tcase_add_loop_test(all, what_was_answered_is_not_sent_again, 0, 4);
	tcase_add_test(all, an_insertion_stays_where_it_was);
	tcase_add_test(all, unsafe_ones_count_while_they_are_unanswered);
	tcase_add_test(all, an_incomplete_request_is_kept);
	tcase_add_test(all, empty_lines_are_no_requests);
	tcase_add_test(all, an_announced_end_is_left_to_the_server);
	tcase_add_test(all, a_copy_that_does_not_fit_gives_up);
	suite_add_tcase(suite, all);
	return suite;
}
