/*
 * The bytes that the server gets instead of `close`, and the program instead of `keep-alive`: exact, and however the
 * bytes were cut, the server sees a wish to close exactly if framing says that it was not withheld.
 */
#include "pool/proto/http1/framing.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define INSERTED "Connection: keep-alive\r\n"
#define INSERTED_END "Connection: close\r\n"
#define GET(fields) "GET / HTTP/1.1\r\nHost: h\r\n" fields "\r\n"
#define GET_1_0(fields) "GET / HTTP/1.0\r\n" fields "\r\n"
#define SIGV4 "Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-date, Signature=ab\r\n"
#define SIGV4_CONNECTION \
	"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=connection;host, Signature=ab\r\n"
#define TEN_X "xxxxxxxxxx"
#define HUNDRED_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X
#define TOKEN_HUNDRED "Authorization: Bearer " HUNDRED_X HUNDRED_X "\r\n"

struct edited_request {
	const char *request;
	const char *wire; /* NULL: unchanged */
	bool edited;
};

static const struct edited_request REQUESTS[] = {
	{GET("Connection: close\r\n"), GET("Connection:      \r\n"), true},
	{GET("connection:CLOSE\r\n"), GET("connection:     \r\n"), true},
	{GET("Connection: \tClose \t\r\n"), GET("Connection: \t      \t\r\n"), true},
	{GET("Connection: close, TE\r\nTE: trailers\r\n"), GET("Connection:      , TE\r\nTE: trailers\r\n"), true},
	{GET("Connection: TE,close\r\n"), GET("Connection: TE,     \r\n"), true},
	{GET("Connection: a, close ,b\r\n"), GET("Connection: a,       ,b\r\n"), true},
	{GET("Connection: close, close\r\n"), GET("Connection:      ,      \r\n"), true},
	{GET("Connection: close\r\nProxy-Connection: close\r\n"),
	 GET("Connection:      \r\nProxy-Connection:      \r\n"), true},
	{GET("Proxy-Connection: Close\r\n"), GET("Proxy-Connection:      \r\n"), true},
	{"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 18\r\n\r\nConnection: close\r\n", NULL, false},
	{"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 19\r\n\r\nConnection: close\r\n",
	 "POST / HTTP/1.1\r\nConnection:      \r\nContent-Length: 19\r\n\r\nConnection: close\r\n", true},
	{"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n",
	 "POST / HTTP/1.1\r\nConnection:      \r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n",
	 true},
	{GET("") GET("Connection: close\r\n"), GET("") GET("Connection:      \r\n"), true},
	{GET(SIGV4 "Connection: close\r\n"), GET(SIGV4 "Connection:      \r\n"), true},
	{GET(TOKEN_HUNDRED "Connection: close\r\n"), GET(TOKEN_HUNDRED "Connection:      \r\n"), true},
	{GET("Connection: close\r\nCookie: connection\r\n"), GET("Connection:      \r\nCookie: connection\r\n"), true},
	{GET("Connection: close\r\nSignature: sig1=:YWJj:\r\n"), GET("Connection:      \r\nSignature: sig1=:YWJj:\r\n"),
	 true},
	{"GET / HTTP/1.1\r\nConnection: close\r\nX", "GET / HTTP/1.1\r\nConnection:      \r\nX", false},
	{"GET / HTTP/1.1\r\nConnection: close\r\n", "GET / HTTP/1.1\r\nConnection:      \r\n", false},
	{"GET / HTTP/1.1\r\nConnection: close\r", "GET / HTTP/1.1\r\nConnection:      \r", false},
	{"GET / HTTP/1.1\r\nConnection: close,", "GET / HTTP/1.1\r\nConnection:      ,", false},

	/* HTTP/1.0 needs an insertion. */
	{GET_1_0(""), "GET / HTTP/1.0\r\n" INSERTED "\r\n", true},
	{GET_1_0("Host: h\r\n"), "GET / HTTP/1.0\r\n" INSERTED "Host: h\r\n\r\n", true},
	{GET_1_0("Connection: close\r\n"), "GET / HTTP/1.0\r\n" INSERTED "Connection:      \r\n\r\n", true},
	{GET_1_0("Connection: keep-alive, close\r\n"),
	 "GET / HTTP/1.0\r\n" INSERTED "Connection: keep-alive,      \r\n\r\n", true},
	{GET_1_0("Connection: keep-alive\r\n") GET_1_0(""),
	 GET_1_0("Connection: keep-alive\r\n") "GET / HTTP/1.0\r\n" INSERTED "\r\n", true},
	{"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "POST / HTTP/1.0\r\n" INSERTED "Content-Length: 2\r\n\r\nab",
	 true},
	{GET_1_0("Connection: keep-alive\r\n"), NULL, false},
	{"GET / HTTP/1.0\n\n", NULL, false},
	{"GET  / HTTP/1.0\r\n\r\n", NULL, false},
	{"GET /a b HTTP/1.0\r\n\r\n", NULL, false},
	{GET_1_0("Upgrade: x\r\n"), NULL, false},

	/* Left alone. */
	{GET(""), NULL, false},
	{GET("Connection: closed\r\n"), NULL, false},
	{GET("Connection: close d\r\n"), NULL, false},
	{GET("X-Connection: close\r\nConnections: close\r\n"), NULL, false},
	{GET("Connection: close\r\nUpgrade: websocket\r\n"), NULL, false},
	{GET("Upgrade: websocket\r\nConnection: close\r\n"), NULL, false},
	{GET("Upgrade: h2c\r\n") GET("Connection: close\r\n"), NULL, false},
	{GET("Connection: close\r\n" SIGV4_CONNECTION), NULL, false},
	{GET(SIGV4_CONNECTION "Connection: close\r\n"), NULL, false},
	{GET("Authorization: Signature headers=\"conneconnection\"\r\nConnection: close\r\n"), NULL, false},
	{GET("Connection: close\r\nSignature: keyId=\"a\",headers=\"date Connection\"\r\n"), NULL, false},
	{GET("Connection: close\r\nSignature-Input: sig1=()\r\n"), NULL, false},
	{GET("Connection: close\r\nAuthorization: Negotiate YII=\r\n"), NULL, false},
	{GET("Connection: close\r\nX: folded\r\n line\r\n"), NULL, false},
	{GET("Connection: close\r\nConnection: close\r\n folded\r\n"), NULL, false},
	{GET("Connection: close\r\n") GET(""), NULL, false},
	{GET("Connection: close\r\n") "\r\n", NULL, false},
	{GET_1_0("") GET_1_0(""), NULL, false},
	{"CONNECT h:1 HTTP/1.1\r\nConnection: close\r\n\r\n", NULL, false},
	{"GET / HTTP/1.1\r\nConnection: close", NULL, false},
	{"GET / HTTP/1.1\r\nConnection: close ", NULL, false},
	{GET("Connection: close,close,close,close,close,close,close,close,close\r\n"),
	 GET("Connection:      ,     ,     ,     ,     ,     ,     ,     ,close\r\n"), false},
	{GET_1_0("Connection: close,close,close,close,close,close,close,close,close\r\n"),
	 GET_1_0("Connection:      ,     ,     ,     ,     ,     ,     ,     ,close\r\n"), false},
};

struct wire {
	char bytes[2048];
	size_t length;
	size_t inserted_at; /* 0: nothing */
};

/* Sends on the wire what the owner would send for [bytes, bytes + length). */
static void put(struct wire *wire, const char *bytes, size_t length, const struct framing_plan *plan)
{
	char *copy = wire->bytes + wire->length;
	size_t tail = length;

	ck_assert_uint_lt(wire->length + length + sizeof(INSERTED), sizeof(wire->bytes));
	memcpy(copy, bytes, length);
	for (unsigned i = 0; i < plan->n_edits; i++) {
		for (size_t at = plan->edits[i].offset; at < plan->edits[i].offset + plan->edits[i].length; at++)
			if (at < length)
				copy[at] = ' ';
	}
	if (plan->insert && plan->insert_offset <= length)
		wire->inserted_at = wire->length + plan->insert_offset;
	wire->length += length;
	if (!plan->insert || plan->insert_offset > length)
		return;
	tail -= plan->insert_offset;
	memmove(copy + plan->insert_offset + sizeof(INSERTED) - 1, copy + plan->insert_offset, tail);
	memcpy(copy + plan->insert_offset, INSERTED, sizeof(INSERTED) - 1);
	wire->length += sizeof(INSERTED) - 1;
}

static void check_plan(const struct framing_plan *plan, size_t length)
{
	size_t at = 0;

	ck_assert_uint_le(plan->n_edits, FRAMING_MAX_EDITS);
	for (unsigned i = 0; i < plan->n_edits; i++) {
		ck_assert_uint_ge(plan->edits[i].offset, at);
		ck_assert_uint_gt(plan->edits[i].length, 0);
		at = plan->edits[i].offset + plan->edits[i].length;
		ck_assert_uint_le(at, length);
	}
	ck_assert(plan->insert || plan->insert_offset == 0);
}

/* As an owner does: a scratch copy plans, the kernel accepts `accepted` bytes. */
static void send_some(struct framing *framing, struct wire *wire, const char *bytes, size_t length, size_t accepted)
{
	struct framing scratch = *framing;
	struct framing_plan plan;

	framing_feed_request(&scratch, bytes, length, &plan);
	check_plan(&plan, length);
	if (accepted == length) {
		*framing = scratch;
	} else {
		if (plan.insert && plan.insert_offset >= accepted)
			plan.insert = false, plan.insert_offset = 0;
		framing_feed_request_part(framing, bytes, accepted, &plan);
	}
	put(wire, bytes, accepted, &plan);
}

/* On the wire only whole tokens may differ, apart from the insertion. */
static void check_tokens(const char *request, const struct wire *wire)
{
	size_t skipped = 0;

	for (size_t at = 0; at + skipped < wire->length; at++) {
		if (at > 0 && at == wire->inserted_at)
			skipped = sizeof(INSERTED) - 1;
		if (request[at] == wire->bytes[at + skipped])
			continue;
		ck_assert_msg(strncasecmp(request + at, "close", 5) == 0 &&
				      memcmp(wire->bytes + at + skipped, "     ", 5) == 0,
			      "at %zu: %.*s", at, (int)wire->length, wire->bytes);
		at += 4;
	}
}

/* A server that reads the wire must see a wish to close exactly if it was not withheld. */
static void check_wire(const struct framing *framing, const struct wire *wire)
{
	struct framing server;

	framing_init(&server, false);
	framing_feed_request(&server, wire->bytes, wire->length, NULL);
	ck_assert_uint_eq(server.n_requests, framing->n_requests);
	ck_assert_msg(server.close_wanted == (framing->close_wanted && !framing->edited),
		      "server sees close: %d, wanted: %d, withheld: %d; %.*s", server.close_wanted,
		      framing->close_wanted, framing->edited, (int)wire->length, wire->bytes);
}

START_TEST(request_is_edited_to_the_byte)
{
	const struct edited_request *edit = &REQUESTS[_i];
	const char *expected = edit->wire ? edit->wire : edit->request;
	struct framing framing, blind;
	struct wire wire = {0};

	framing_init(&framing, true);
	send_some(&framing, &wire, edit->request, strlen(edit->request), strlen(edit->request));
	ck_assert_msg(wire.length == strlen(expected) && memcmp(wire.bytes, expected, wire.length) == 0, "%.*s",
		      (int)wire.length, wire.bytes);
	ck_assert_int_eq(framing.edited, edit->edited);
	check_wire(&framing, &wire);

	/* Without a plan the decisions are the same. */
	framing_init(&blind, true);
	framing_feed_request(&blind, edit->request, strlen(edit->request), NULL);
	ck_assert_int_eq(blind.edited, framing.edited);
	ck_assert_int_eq(blind.close_wanted, framing.close_wanted);
	ck_assert_int_eq(blind.doubt, framing.doubt);
}
END_TEST

START_TEST(nothing_is_edited_without_leave)
{
	const struct edited_request *edit = &REQUESTS[_i];
	struct framing framing, with;
	struct framing_plan plan;

	framing_init(&framing, false);
	framing_feed_request(&framing, edit->request, strlen(edit->request), &plan);
	ck_assert_uint_eq(plan.n_edits, 0);
	ck_assert(!plan.insert);
	ck_assert(!framing.edited);
	framing_init(&with, true);
	framing_feed_request(&with, edit->request, strlen(edit->request), &plan);
	ck_assert_int_eq(framing.close_wanted, with.close_wanted);
	ck_assert_int_eq(framing.doubt, with.doubt);
}
END_TEST

START_TEST(bytes_sent_as_they_are_are_not_edited)
{
	static const struct framing_plan NOTHING;
	const struct edited_request *edit = &REQUESTS[_i];
	struct framing verbatim, without;

	framing_init(&verbatim, true);
	framing_feed_request_part(&verbatim, edit->request, strlen(edit->request), &NOTHING);
	framing_init(&without, false);
	framing_feed_request(&without, edit->request, strlen(edit->request), NULL);
	ck_assert(!verbatim.edited);
	ck_assert_int_eq(verbatim.close_wanted, without.close_wanted);
	ck_assert_int_eq(verbatim.doubt, without.doubt);
}
END_TEST

/* The program writes in two pieces, or byte by byte. Bytes that come too late to withdraw an edit are not tested
 * here. */
START_TEST(server_and_framing_agree_however_cut)
{
	const char *request = REQUESTS[_i].request;
	size_t length = strlen(request);

	for (size_t cut = 1; cut <= length; cut++) {
		struct framing framing;
		struct wire wire = {0};

		framing_init(&framing, true);
		send_some(&framing, &wire, request, cut, cut);
		send_some(&framing, &wire, request + cut, length - cut, length - cut);
		if (!framing.sent_behind)
			check_wire(&framing, &wire);
	}
	struct framing framing;
	struct wire wire = {0};

	framing_init(&framing, true);
	for (size_t at = 0; at < length; at++)
		send_some(&framing, &wire, request + at, 1, 1);
	ck_assert(!framing.edited);
	ck_assert(wire.length == length && memcmp(wire.bytes, request, length) == 0);
}
END_TEST

/* The kernel accepts a part of a buffer, even amid a token or one byte at a time: never half a token on the wire. */
START_TEST(server_and_framing_agree_after_short_writes)
{
	const char *request = REQUESTS[_i].request;
	size_t length = strlen(request);

	for (size_t cut = 1; cut < length; cut++) {
		for (size_t step = 1; step <= 3; step++) {
			struct framing framing;
			struct wire wire = {0};

			framing_init(&framing, true);
			send_some(&framing, &wire, request, length, cut);
			for (size_t at = cut; at < length;) {
				size_t n = step < length - at ? step : length - at;
				send_some(&framing, &wire, request + at, length - at, n);
				at += n;
			}
			check_tokens(request, &wire);
			if (!framing.sent_behind)
				check_wire(&framing, &wire);
		}
	}
}
END_TEST

#define OK(fields) "HTTP/1.1 200 OK\r\n" fields "Content-Length: 0\r\n\r\n"
#define DATED(fields) OK(fields "Date: now\r\n")
#define DATED_INSERTED(fields) "HTTP/1.1 200 OK\r\n" fields "Date: now\r\nContent-Length: 0\r\n" INSERTED_END "\r\n"

static const struct {
	const char *request, *response, *shown;
} RESPONSES[] = {
	{GET("Connection: close\r\n"), OK("Connection: keep-alive\r\n"), OK("Connection: close     \r\n")},
	{GET("Connection: close\r\n"), OK("connection:\tKeep-Alive, foo\r\n"), OK("connection:\tclose     , foo\r\n")},
	{GET("Connection: close\r\n"), OK("Connection: a,keep-alive ,b\r\n"), OK("Connection: a,close      ,b\r\n")},
	{GET("Connection: close\r\n"), OK("Proxy-Connection: keep-alive\r\n"), OK("Proxy-Connection: close     \r\n")},
	{GET("Connection: close\r\n"), DATED("Keep-Alive: keep-alive\r\n"),
	 DATED_INSERTED("Keep-Alive: keep-alive\r\n")},
	{GET("Connection: close\r\n"), DATED(""), DATED_INSERTED("")},
	{GET("Connection: close\r\n"), DATED("Connection: upgrade\r\n"), DATED_INSERTED("Connection: upgrade\r\n")},
	{GET("Connection: close\r\n"), "HTTP/1.1 304 N\r\nDate: now\r\n\r\n",
	 "HTTP/1.1 304 N\r\nDate: now\r\n" INSERTED_END "\r\n"},
	{GET("Connection: close\r\n"), "HTTP/1.1 100 C\r\n\r\n" DATED(""), "HTTP/1.1 100 C\r\n\r\n" DATED_INSERTED("")},
	{GET("Connection: close\r\n"), OK("Connection: close\r\n"), OK("Connection: close\r\n")},
	{GET("Connection: close\r\n"), "HTTP/1.0 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n",
	 "HTTP/1.0 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n"},
	{GET("Connection: close\r\n"), "HTTP/1.1 200 OK\nDate: now\nContent-Length: 0\n\n",
	 "HTTP/1.1 200 OK\nDate: now\nContent-Length: 0\n\n"},
	{GET("Connection: close\r\nUpgrade: h2c\r\n"), DATED(""), DATED("")},
	{GET("Connection: close\r\n"), OK(""), OK("")},
	{GET(""), DATED(""), DATED("")},
	{GET_1_0(""), DATED(""), DATED("")},
	{GET("") GET("Connection: close\r\n"), DATED("") DATED(""), DATED("") DATED_INSERTED("")},
	{GET_1_0(""), OK("Connection: keep-alive\r\n"), OK("Connection: close     \r\n")},
	{GET_1_0("Connection: keep-alive\r\n"), OK("Connection: keep-alive\r\n"), OK("Connection: keep-alive\r\n")},
	{GET(""), OK("Connection: keep-alive\r\n"), OK("Connection: keep-alive\r\n")},
	{GET("Connection: close\r\n"),
	 "HTTP/1.1 103 E\r\nConnection: keep-alive\r\n\r\n" OK("Connection: keep-alive\r\n"),
	 "HTTP/1.1 103 E\r\nConnection: keep-alive\r\n\r\n" OK("Connection: close     \r\n")},
	{GET("") GET("Connection: close\r\n"), OK("Connection: keep-alive\r\n") OK("Connection: keep-alive\r\n"),
	 OK("Connection: keep-alive\r\n") OK("Connection: close     \r\n")},
};

START_TEST(response_is_edited_to_the_byte)
{
	const char *response = RESPONSES[_i].response;
	struct framing framing;
	struct framing_plan plan;
	char shown[512];

	framing_init(&framing, true);
	framing_feed_request(&framing, RESPONSES[_i].request, strlen(RESPONSES[_i].request), &plan);
	framing_feed_response(&framing, response, strlen(response), &plan);
	check_plan(&plan, strlen(response));
	strcpy(shown, response);
	for (unsigned i = 0; i < plan.n_edits; i++) {
		ck_assert_uint_ge(plan.edits[i].length, 5);
		memset(shown + plan.edits[i].offset, ' ', plan.edits[i].length);
		memcpy(shown + plan.edits[i].offset, "close", 5);
	}
	/* Not by every owner: the state does not tell of it. */
	ck_assert_int_eq(framing.close_shown, plan.n_edits != 0);
	if (plan.insert)
		sprintf(shown + plan.insert_offset, INSERTED_END "%s", response + plan.insert_offset);
	ck_assert_str_eq(shown, RESPONSES[_i].shown);
	ck_assert(framing_at_boundary(&framing));
}
END_TEST

/* In two pieces, the field is inserted unless the cut goes through the empty line: its first byte has gone then. */
START_TEST(end_is_inserted_however_cut)
{
	static const char RESPONSE[] = OK("Date: now\r\n");
	const size_t head = sizeof(RESPONSE) - 1;

	for (size_t cut = 1; cut < head; cut++) {
		struct framing framing;
		struct framing_plan plans[2];

		framing_init(&framing, true);
		framing_feed_request(&framing, GET("Connection: close\r\n"), strlen(GET("Connection: close\r\n")),
				     NULL);
		framing_feed_response(&framing, RESPONSE, cut, &plans[0]);
		framing_feed_response(&framing, RESPONSE + cut, head - cut, &plans[1]);
		ck_assert(!plans[0].insert);
		ck_assert_int_eq(plans[1].insert, cut != head - 1);
		if (plans[1].insert)
			ck_assert_uint_eq(cut + plans[1].insert_offset, head - 2);
	}
}
END_TEST

Suite *edit_suite(void);

Suite *edit_suite(void)
{
	const int n_requests = sizeof(REQUESTS) / sizeof(REQUESTS[0]),
		  n_responses = sizeof(RESPONSES) / sizeof(RESPONSES[0]);
	Suite *suite = suite_create("edit");
	TCase *tcase = tcase_create("requests");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, request_is_edited_to_the_byte, 0, n_requests);
	tcase_add_loop_test(tcase, nothing_is_edited_without_leave, 0, n_requests);
	tcase_add_loop_test(tcase, bytes_sent_as_they_are_are_not_edited, 0, n_requests);
	tcase_add_loop_test(tcase, server_and_framing_agree_however_cut, 0, n_requests);
	tcase_add_loop_test(tcase, server_and_framing_agree_after_short_writes, 0, n_requests);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("responses");
	tcase_add_loop_test(tcase, response_is_edited_to_the_byte, 0, n_responses);
	tcase_add_test(tcase, end_is_inserted_however_cut);
	suite_add_tcase(suite, tcase);
	return suite;
}
