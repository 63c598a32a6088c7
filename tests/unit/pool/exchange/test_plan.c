/*
 * A send from its plan to its account: what goes out, what the program is told, what could be sent again, and that all
 * cuts by the kernel lead to the same state.
 */
#include "pool/exchange/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_11 "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define WIRE_11 "GET / HTTP/1.1\r\nHost: h\r\nConnection:      \r\n\r\n"
#define HEAD_10 "GET / HTTP/1.0\r\nHost: h\r\n\r\n"
#define WIRE_10 "GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: h\r\n\r\n"

static char memory[REPLAY_MAX];
static struct protocol_state state;
static struct replay replay;
static struct plan plan;

static void begin(void)
{
	protocol_begin(&state, true);
	replay = (struct replay){.block = {memory, sizeof(memory)}};
	replay_reset(&replay);
}

static void make(const struct iovec *vector, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += vector[i].iov_len;
	plan = (struct plan){0};
	ck_assert(plan_begin(&plan, &state, &replay, total));
	ck_assert_uint_le(plan_room(&plan), REPLAY_MAX);
	plan_make(&plan, &state, NULL, &replay, vector, n);
}

static struct iovec whole(const char *bytes)
{
	return (struct iovec){(char *)bytes, strlen(bytes)};
}

static const struct {
	const char *written, *wire;
} requests[] = {{HEAD_11, WIRE_11}, {HEAD_10, WIRE_10}};

START_TEST(the_copy_asks_the_server_to_stay)
{
	struct iovec vector = whole(requests[_i].written);
	size_t wire_length = strlen(requests[_i].wire);

	begin();
	make(&vector, 1);
	ck_assert_uint_eq(plan.copied + plan.inserted, wire_length);
	ck_assert_mem_eq(memory, requests[_i].wire, wire_length);
	ck_assert_uint_eq(plan_own_bytes(&plan, wire_length), vector.iov_len);
	plan_account_all(&plan, &state, &vector, 1, wire_length);
	ck_assert(plan_keep_copy(&plan, &replay, wire_length));
	ck_assert_uint_eq(replay.length, wire_length);
	ck_assert(protocol_status(&state).owes_end);
	replay_undo_edits(&replay, protocol_of(&state));
	ck_assert_uint_eq(replay.length, vector.iov_len);
	ck_assert_mem_eq(memory, requests[_i].written, vector.iov_len);
}
END_TEST

START_TEST(a_vector_is_one_send)
{
	struct iovec vector[] = {{(char *)HEAD_11, 10}, {NULL, 0}, {(char *)HEAD_11 + 10, strlen(HEAD_11) - 10}};
	char part[8];

	begin();
	make(vector, 3);
	ck_assert_mem_eq(memory, WIRE_11, strlen(WIRE_11));
	plan_copy_out(vector, 3, 7, part, sizeof(part));
	ck_assert_mem_eq(part, &HEAD_11[7], sizeof(part));
}
END_TEST

/* The kernel takes what it likes, the program writes the rest again: the server gets the same bytes, the state is the
 * same. But a cut before the insertion leaves no whole request line to put it behind: then the request goes out as it
 * is. */
START_TEST(any_cut_leads_to_the_same_end)
{
	const char *written = requests[_i].written, *wire = requests[_i].wire;
	size_t own = strlen(written), length = strlen(wire), inserted = length - own;

	for (size_t cut = 1; cut < length; cut++) {
		struct iovec vector = whole(written), rest;
		bool is_asked;
		char sent[128], originals[128];
		size_t accepted;

		begin();
		make(&vector, 1);
		/* No owner leaves a half insertion behind. */
		if (inserted && cut > plan.inserted_at && cut < plan.inserted_at + inserted)
			continue;
		is_asked = !inserted || cut > plan.inserted_at;
		memcpy(sent, memory, cut);
		accepted = plan_own_bytes(&plan, cut);
		if (accepted < plan.copied) {
			plan_copy_out(&vector, 1, 0, originals, accepted);
			plan_take_back(&plan, &state);
			plan_account_part(&plan, &state, originals, cut);
		}
		ck_assert(!plan_keep_copy(&plan, &replay, cut));
		rest = (struct iovec){(char *)written + accepted, own - accepted};
		make(&rest, 1);
		memcpy(sent + cut, memory, plan.copied + plan.inserted);
		ck_assert_uint_eq(cut + plan.copied + plan.inserted, is_asked ? length : own);
		ck_assert_mem_eq(sent, is_asked ? wire : written, is_asked ? length : own);
		ck_assert_int_eq(protocol_status(&state).owes_end, is_asked);
		ck_assert_uint_eq(protocol_status(&state).n_requests, 1);
	}
}
END_TEST

START_TEST(the_second_send_comes_behind_the_first)
{
	struct iovec head = {(char *)HEAD_11, 20}, tail = whole(&HEAD_11[20]);

	begin();
	make(&head, 1);
	plan_account_all(&plan, &state, &head, 1, 20);
	ck_assert(plan_keep_copy(&plan, &replay, 20));
	make(&tail, 1);
	ck_assert_uint_eq(plan.base, 20);
	plan_account_all(&plan, &state, &tail, 1, tail.iov_len);
	ck_assert(plan_keep_copy(&plan, &replay, tail.iov_len));
	ck_assert_mem_eq(memory, WIRE_11, strlen(WIRE_11));
	replay_undo_edits(&replay, protocol_of(&state));
	ck_assert_mem_eq(memory, HEAD_11, strlen(HEAD_11));
}
END_TEST

START_TEST(a_long_body_follows_from_the_programs_buffer)
{
	static const char head[] = "PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n";
	char *body = calloc(1, 200000);
	struct iovec vector[] = {{(char *)head, sizeof(head) - 1}, {body, 200000}};
	size_t total = sizeof(head) - 1 + 200000;

	begin();
	make(vector, 2);
	ck_assert(plan.is_rest_appended);
	ck_assert_uint_eq(plan.copied, PLAN_ROOM_MAX);
	plan_account_all(&plan, &state, vector, 2, total);
	ck_assert(!plan_keep_copy(&plan, &replay, total));
	ck_assert(!replay.is_complete && !protocol_status(&state).in_request);
	free(body);
}
END_TEST

START_TEST(a_body_of_known_length_needs_no_copy)
{
	static const char head[] = "PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\n";
	struct iovec vector = whole(head), body = {(char *)"0123456789", 10};

	begin();
	make(&vector, 1);
	plan_account_all(&plan, &state, &vector, 1, vector.iov_len);
	replay_give_up(&replay);
	plan = (struct plan){0};
	ck_assert(!plan_begin(&plan, &state, &replay, 10));
	plan_give_up(&plan, &state, false);
	ck_assert(protocol_status(&state).may_edit);
	plan_account_all(&plan, &state, &body, 1, 4);
	ck_assert_uint_eq(protocol_status(&state).skippable_request, 6);
	ck_assert(!plan_keep_copy(&plan, &replay, 4));
}
END_TEST

START_TEST(without_a_copy_nothing_is_asked)
{
	struct iovec vector = whole(HEAD_11);

	begin();
	plan = (struct plan){0};
	ck_assert(plan_begin(&plan, &state, &replay, vector.iov_len));
	plan_give_up(&plan, &state, true);
	ck_assert(!protocol_status(&state).may_edit && !protocol_status(&plan.before).may_edit);
	plan_account_all(&plan, &state, &vector, 1, vector.iov_len);
	ck_assert(protocol_status(&state).wants_end && !protocol_status(&state).owes_end);
	ck_assert(!plan_keep_copy(&plan, &replay, vector.iov_len));
}
END_TEST

START_TEST(own_bytes_leave_out_the_insertion)
{
	struct iovec vector = whole(HEAD_10);

	begin();
	make(&vector, 1);
	ck_assert_uint_eq(plan_own_bytes(&plan, plan.inserted_at), plan.inserted_at);
	ck_assert_uint_eq(plan_own_bytes(&plan, plan.inserted_at + 3), plan.inserted_at);
	ck_assert_uint_eq(plan_own_bytes(&plan, plan.inserted_at + plan.inserted), plan.inserted_at);
	ck_assert_uint_eq(plan_own_bytes(&plan, plan.inserted_at + plan.inserted + 2), plan.inserted_at + 2);
}
END_TEST

START_TEST(the_answer_shows_the_end)
{
	char bytes[] = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
	struct iovec vector = whole(HEAD_11);
	struct framing_plan changes;

	begin();
	make(&vector, 1);
	protocol_feed_response(&state, NULL, bytes, sizeof(bytes) - 1, &changes);
	plan_show_end(&changes, protocol_of(&state), bytes);
	ck_assert_str_eq(bytes, "HTTP/1.1 200 OK\r\nConnection: close     \r\nContent-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(end_is_inserted_before_the_bytes)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nab";
	struct iovec vector = whole(HEAD_11);
	char room[PROTOCOL_INSERTION_MAX + sizeof(answer)], *bytes = room + PROTOCOL_INSERTION_MAX, *shown;
	struct framing_plan changes;
	size_t length = sizeof(answer);

	begin();
	make(&vector, 1);
	memcpy(bytes, answer, sizeof(answer));
	protocol_feed_response(&state, NULL, bytes, sizeof(answer) - 1, &changes);
	shown = plan_insert_end(&changes, protocol_of(&state), bytes, &length);
	ck_assert(shown >= room);
	ck_assert_uint_eq(length, strlen(shown) + 1);
	ck_assert_str_eq(shown, "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab");
	changes = (struct framing_plan){0};
	ck_assert_ptr_eq(plan_insert_end(&changes, protocol_of(&state), bytes, &length), bytes);
}
END_TEST

/* One request behind another for ever: what was answered makes room in the copy. */
START_TEST(answered_requests_make_room)
{
	static const char answered[] = "HTTP/1.1 204 No Content\r\n\r\n";
	char request[8192];
	struct iovec vector = {request, sizeof(request)};
	int n = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nX-Long: ");

	memset(request + n, 'x', sizeof(request) - (size_t)n);
	memcpy(request + sizeof(request) - 4, "\r\n\r\n", 4);
	begin();
	for (int i = 0; i < 50; i++) {
		make(&vector, 1);
		ck_assert_uint_eq(plan.copied, sizeof(request));
		ck_assert(plan_keep_copy(&plan, &replay, sizeof(request)));
		if (i >= 3)
			protocol_feed_response(&state, NULL, answered, sizeof(answered) - 1, NULL);
	}
	ck_assert(replay_prepare(&replay, &state));
	ck_assert_uint_eq(replay.length, 3 * sizeof(request));
}
END_TEST

Suite *plan_suite(void)
{
	Suite *suite = suite_create("plan");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, the_copy_asks_the_server_to_stay, 0, 2);
	tcase_add_test(all, a_vector_is_one_send);
	tcase_add_loop_test(all, any_cut_leads_to_the_same_end, 0, 2);
	tcase_add_test(all, the_second_send_comes_behind_the_first);
	tcase_add_test(all, a_long_body_follows_from_the_programs_buffer);
	tcase_add_test(all, a_body_of_known_length_needs_no_copy);
	tcase_add_test(all, without_a_copy_nothing_is_asked);
	tcase_add_test(all, answered_requests_make_room);
	tcase_add_test(all, own_bytes_leave_out_the_insertion);
	tcase_add_test(all, the_answer_shows_the_end);
	tcase_add_test(all, end_is_inserted_before_the_bytes);
	suite_add_tcase(suite, all);
	return suite;
}
