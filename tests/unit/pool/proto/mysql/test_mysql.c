/*
 * Framing of MySQL: which conversations leave a connection that can be kept, and that it does not matter in which
 * pieces the bytes come. What is written at a login, and what proves a fence.
 */
#include <check.h>
#include <string.h>

#include "pool/proto/mysql/fence.h"
#include "pool/proto/mysql/login.h"
#include "pool/proto/protocol.h"

#define SALT_1 "12345678"
#define SALT_2 "9abcdefghijk"
/* Version, thread, salt, capabilities (with plugins), character set, status, capabilities, length of the salt. */
#define GREETING_OF(plugin)      \
	"\x0a"                   \
	"5.5.5-test\0"           \
	"\x07\0\0\0" SALT_1 "\0" \
	"\xff\xf7"               \
	"\x2d"                   \
	"\x02\0"                 \
	"\xff\x81"               \
	"\x15"                   \
	"\0\0\0\0\0\0\0\0\0\0" SALT_2 "\0" plugin "\0"
#define GREETING GREETING_OF("mysql_native_password")
#define SCRAMBLE "ABCDEFGHIJKLMNOPQRST"
#define FIXED(capabilities)                                   \
	capabilities "\0\0\0\1"                               \
		     "\x21"                                   \
		     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
		     "\0\0\0\0"
/* Without a database, with plugins. */
#define PLAIN "\x05\xa2\x08\0"
#define LOGIN        \
	FIXED(PLAIN) \
	"user\0"     \
	"\x14" SCRAMBLE "mysql_native_password\0"
#define LOGIN_WITH_DATABASE     \
	FIXED("\x0d\xa2\x08\0") \
	"user\0"                \
	"\x14" SCRAMBLE "db\0"  \
	"mysql_native_password\0"
#define OK "\0\0\0\x02\0\0\0"
#define MORE "\0\0\0\x0a\0\0\0"
#define END "\xfe\0\0\x02\0"
#define MORE_ROWS "\xfe\0\0\x0a\0"
#define ERROR "\xff\x28\x04#42000wrong"
#define COLUMN "\3def\0\0\0\1a\0\x0c\x3f\0\1\0\0\0\3\x81\0\0\0\0"

enum from { NOBODY, CLIENT, SERVER };

struct packet {
	enum from from;
	uint8_t number;
	const char *payload;
	size_t length;
};

#define PACKET(from, number, payload)                      \
	{                                                  \
		from, number, payload, sizeof(payload) - 1 \
	}
#define HELLO PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, LOGIN), PACKET(SERVER, 2, OK)

static const struct {
	enum refusal refusal, doubt;
	unsigned n_requests;
	struct packet packets[16];
} conversations[] = {
	{REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, 0, {PACKET(SERVER, 0, GREETING)}},
	{REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, 1, {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, LOGIN)}},
	{REFUSAL_NONE, REFUSAL_NONE, 1, {HELLO}},
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 1,
	 {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, LOGIN), PACKET(SERVER, 2, "\xfeother\0salt"),
	  PACKET(CLIENT, 3, "answer"), PACKET(SERVER, 4, "\1\4"), PACKET(SERVER, 5, OK)}},
	{REFUSAL_SERVER_CLOSE,
	 REFUSAL_SERVER_CLOSE,
	 1,
	 {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, LOGIN), PACKET(SERVER, 2, ERROR)}},
	{REFUSAL_SERVER_CLOSE, REFUSAL_SERVER_CLOSE, 0, {PACKET(SERVER, 0, ERROR)}},
	{REFUSAL_UNKNOWN_PROTOCOL,
	 REFUSAL_UNKNOWN_PROTOCOL,
	 0,
	 {PACKET(SERVER, 0,
		 "\x09"
		 "old")}},
	/* TLS, compression, a client of before 4.1. */
	{REFUSAL_TLS_OPAQUE,
	 REFUSAL_TLS_OPAQUE,
	 1,
	 {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, FIXED("\x05\xaa\x08\0"))}},
	{REFUSAL_REFUSED_COMMAND,
	 REFUSAL_REFUSED_COMMAND,
	 1,
	 {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, FIXED("\x25\xa2\x08\0") "user\0\0")}},
	{REFUSAL_UNKNOWN_PROTOCOL,
	 REFUSAL_UNKNOWN_PROTOCOL,
	 1,
	 {PACKET(SERVER, 0, GREETING), PACKET(CLIENT, 1, "\x05\xa0\0\0\0user")}},
	/* Commands and their replies. */
	{REFUSAL_NONE, REFUSAL_NONE, 2, {HELLO, PACKET(CLIENT, 0, "\x0e"), PACKET(SERVER, 1, OK)}},
	{REFUSAL_NONE, REFUSAL_NONE, 2, {HELLO, PACKET(CLIENT, 0, "\x03set @x = 1"), PACKET(SERVER, 1, OK)}},
	{REFUSAL_NONE, REFUSAL_NONE, 2, {HELLO, PACKET(CLIENT, 0, "\x03sellect"), PACKET(SERVER, 1, ERROR)}},
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03select 1"), PACKET(SERVER, 1, "\1"), PACKET(SERVER, 2, COLUMN),
	  PACKET(SERVER, 3, END),
	  PACKET(SERVER, 4,
		 "\1"
		 "1"),
	  PACKET(SERVER, 5, END)}},
	{REFUSAL_UNFINISHED_REPLY,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03select 1"), PACKET(SERVER, 1, "\1"), PACKET(SERVER, 2, COLUMN),
	  PACKET(SERVER, 3, END),
	  PACKET(SERVER, 4,
		 "\1"
		 "1")}},
	/* A row that begins like an end, and an error among the rows. */
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03select x"), PACKET(SERVER, 1, "\1"), PACKET(SERVER, 2, COLUMN),
	  PACKET(SERVER, 3, END),
	  PACKET(SERVER, 4,
		 "\xfe"
		 "12345678long"),
	  PACKET(SERVER, 5, ERROR)}},
	/* Two results of one command. */
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO,
	  PACKET(CLIENT, 0,
		 "\x03"
		 "call p()"),
	  PACKET(SERVER, 1, "\1"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, END), PACKET(SERVER, 4, MORE_ROWS),
	  PACKET(SERVER, 5, OK)}},
	{REFUSAL_UNFINISHED_REPLY,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03set @x = 1; set @y = 2"), PACKET(SERVER, 1, MORE)}},
	/* How far a statement has come. */
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO,
	  PACKET(CLIENT, 0,
		 "\x03"
		 "alter table t"),
	  PACKET(SERVER, 1, "\xff\xff\xff\1\1\1\0\0\0"), PACKET(SERVER, 2, OK)}},
	/* Prepared: one parameter and one column; its long data and its end have no reply. */
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 3,
	 {HELLO, PACKET(CLIENT, 0, "\x16select ?"), PACKET(SERVER, 1, "\0\1\0\0\0\1\0\1\0\0\0\0"),
	  PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, END), PACKET(SERVER, 4, COLUMN), PACKET(SERVER, 5, END),
	  PACKET(CLIENT, 0, "\x18\1\0\0\0\0\0data"), PACKET(CLIENT, 0, "\x17\1\0\0\0\0\1\0\0\0"), PACKET(SERVER, 1, OK),
	  PACKET(CLIENT, 0, "\x19\1\0\0\0")}},
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x16set @x = 1"), PACKET(SERVER, 1, "\0\1\0\0\0\0\0\0\0\0\0\0")}},
	/* A file of the client's. */
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03load data local"),
	  PACKET(SERVER, 1,
		 "\xfb"
		 "name"),
	  PACKET(CLIENT, 2, "line"), PACKET(CLIENT, 3, ""), PACKET(SERVER, 4, OK)}},
	{REFUSAL_UNFINISHED_REPLY,
	 REFUSAL_NONE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03load data local"),
	  PACKET(SERVER, 1,
		 "\xfb"
		 "name"),
	  PACKET(CLIENT, 2, "line")}},
	/* What can't be undone, or is not followed. */
	{REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, 1, {HELLO, PACKET(CLIENT, 0, "\x11user")}},
	{REFUSAL_REFUSED_COMMAND,
	 REFUSAL_REFUSED_COMMAND,
	 1,
	 {HELLO, PACKET(CLIENT, 0,
			"\x12"
			"binlog")}},
	{REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, 1, {HELLO, PACKET(CLIENT, 0, "\x77")}},
	{REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, 1, {HELLO, PACKET(CLIENT, 0, "")}},
	{REFUSAL_REFUSED_COMMAND,
	 REFUSAL_REFUSED_COMMAND,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x03 \n xA start 'x'"), PACKET(SERVER, 1, OK)}},
	{REFUSAL_REFUSED_COMMAND,
	 REFUSAL_REFUSED_COMMAND,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x0e"), PACKET(CLIENT, 0, "\x0e")}},
	{REFUSAL_CLIENT_CLOSE, REFUSAL_CLIENT_CLOSE, 1, {HELLO, PACKET(CLIENT, 0, "\x01")}},
	/* Several statements at once are allowed, and no more. */
	{REFUSAL_SESSION_STATE,
	 REFUSAL_SESSION_STATE,
	 2,
	 {HELLO, PACKET(CLIENT, 0, "\x1b\0\0"), PACKET(SERVER, 1, END)}},
	{REFUSAL_NONE,
	 REFUSAL_NONE,
	 3,
	 {HELLO, PACKET(CLIENT, 0, "\x1b\0\0"), PACKET(SERVER, 1, END), PACKET(CLIENT, 0, "\x1b\1\0"),
	  PACKET(SERVER, 1, END)}},
	/* Unasked: the server is about to end it. */
	{REFUSAL_SERVER_CLOSE, REFUSAL_SERVER_CLOSE, 1, {HELLO, PACKET(SERVER, 0, ERROR)}},
	{REFUSAL_ERROR, REFUSAL_ERROR, 1, {HELLO, PACKET(SERVER, 0, OK)}},
};

static size_t write_packet(const struct packet *packet, uint8_t *to)
{
	to[0] = (uint8_t)packet->length;
	to[1] = (uint8_t)(packet->length >> 8);
	to[2] = 0;
	to[3] = packet->number;
	memcpy(to + 4, packet->payload, packet->length);
	return packet->length + 4;
}

static void feed(struct protocol_state *state, const struct packet *packet, size_t piece)
{
	uint8_t bytes[512];
	size_t length = write_packet(packet, bytes);

	for (size_t at = 0; at < length; at += piece) {
		size_t n = length - at < piece ? length - at : piece;

		if (packet->from == CLIENT)
			protocol_feed_request(state, NULL, (char *)bytes + at, n, NULL);
		else
			protocol_feed_response(state, NULL, (char *)bytes + at, n, NULL);
	}
}

static void feed_all(struct protocol_state *state, const struct packet *packets, size_t piece)
{
	protocol_begin_as(state, PROTOCOL_MYSQL);
	for (; packets->from != NOBODY; packets++)
		feed(state, packets, piece);
}

START_TEST(any_pieces_tell_the_same)
{
	for (size_t piece = 1; piece < 200; piece = piece * 2 + 1) {
		struct protocol_state state;
		struct protocol_status status;

		feed_all(&state, conversations[_i].packets, piece);
		status = protocol_status(&state);
		ck_assert_msg(status.refusal == conversations[_i].refusal, "pieces of %zu: %d", piece, status.refusal);
		ck_assert_int_eq(status.doubt, conversations[_i].doubt);
		ck_assert_uint_eq(status.n_requests, conversations[_i].n_requests);
		ck_assert(status.at_boundary || status.refusal != REFUSAL_NONE);
	}
}
END_TEST

static const struct packet hello[] = {HELLO, {NOBODY, 0, NULL, 0}};
static const struct packet greeting_packet = PACKET(SERVER, 0, GREETING);

START_TEST(a_long_row_may_pass_unseen)
{
	static const struct packet packets[] = {HELLO,
						PACKET(CLIENT, 0, "\x03select 1"),
						PACKET(SERVER, 1, "\1"),
						PACKET(SERVER, 2, COLUMN),
						PACKET(SERVER, 3, END),
						{NOBODY, 0, NULL, 0}};
	char head[4 + MYSQL_START] = {(char)0xff, (char)0xff, (char)0xff, 4, 'x'};
	char rest[] = {2, 0, 0, 5, 'x', 'x'};
	static const struct packet end = PACKET(SERVER, 6, END);
	struct protocol_state state;

	feed_all(&state, packets, 100);
	protocol_feed_response(&state, NULL, head, sizeof(head), NULL);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 0xffffff - MYSQL_START);
	protocol_pass_response(&state, 0xffffff - MYSQL_START);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 0);
	/* The longest packet goes on in the next. */
	protocol_feed_response(&state, NULL, rest, sizeof(rest), NULL);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_UNFINISHED_REPLY);
	feed(&state, &end, 100);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
}
END_TEST

START_TEST(knows_a_greeting)
{
	uint8_t bytes[512];
	size_t length = write_packet(&greeting_packet, bytes);

	for (size_t n = 1; n <= length; n++)
		ck_assert_int_eq(protocol_recognize_greeting(~0u, (char *)bytes, n), PROTOCOL_MYSQL);
	ck_assert_int_eq(protocol_recognize_greeting(~0u, (char *)bytes, 0), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize_greeting(1u << PROTOCOL_REDIS, (char *)bytes, length), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize_greeting(~0u, "220 mail", 8), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize_greeting(~0u, "SSH-2.0-", 8), PROTOCOL_COUNT);
	bytes[4] = 9;
	ck_assert_int_eq(protocol_recognize_greeting(~0u, (char *)bytes, length), PROTOCOL_COUNT);
	ck_assert_int_eq(protocol_recognize(~0u, (char *)bytes, length), PROTOCOL_COUNT);
}
END_TEST

START_TEST(knows_a_goodbye)
{
	struct protocol_state state;

	feed_all(&state, hello, 100);
	ck_assert(protocol_is_goodbye(&state, "\1\0\0\0\1", 5));
	ck_assert(!protocol_is_goodbye(&state, "\1\0\0\0\2", 5));
	ck_assert(!protocol_is_goodbye(&state, "\1\0\0\0\1\1", 6));
	protocol_feed_request(&state, NULL, "\1\0\0\0\x0e", 5, NULL);
	ck_assert(!protocol_is_goodbye(&state, "\1\0\0\0\1", 5));
}
END_TEST

START_TEST(keeps_what_was_said_at_the_login)
{
	struct protocol_state state;
	const struct login *login;
	uint8_t bytes[512];

	feed_all(&state, hello, 7);
	login = mysql_login_of(&state);
	ck_assert_uint_eq(login->greeting_length, write_packet(&greeting_packet, bytes));
	ck_assert_mem_eq(login->greeting, bytes, login->greeting_length);
	ck_assert_uint_eq(login->capabilities, 0x8a205);
	ck_assert_uint_eq(login->max_packet, 0x1000000);
	mysql_set_greeting(&state, (const uint8_t *)"other", 5);
	ck_assert_uint_eq(login->greeting_length, 5);
	mysql_set_greeting(&state, bytes, LOGIN_GREETING_MAX + 1);
	ck_assert_uint_eq(login->greeting_length, 0);
}
END_TEST

START_TEST(a_greeting_is_read_whole_or_not)
{
	uint8_t bytes[512];
	size_t length = write_packet(&greeting_packet, bytes);
	struct mysql_greeting greeting;

	ck_assert(mysql_read_greeting(bytes, length, &greeting));
	ck_assert(greeting.is_native);
	ck_assert(!greeting.offers_tls);
	ck_assert_mem_eq(greeting.salt, SALT_1 SALT_2, MYSQL_SALT);
	for (size_t n = 0; n < length; n++)
		ck_assert(!mysql_read_greeting(bytes, n, &greeting));
	for (size_t n = 5; n + 30 < length; n++) {
		bytes[0] = (uint8_t)(n - 4);
		ck_assert(!mysql_read_greeting(bytes, n, &greeting));
	}
}
END_TEST

START_TEST(other_greetings_are_told_apart)
{
	static const struct packet sha2 = PACKET(SERVER, 0, GREETING_OF("caching_sha2_password"));
	uint8_t bytes[512];
	size_t length = write_packet(&sha2, bytes);
	struct mysql_greeting greeting;

	ck_assert(mysql_read_greeting(bytes, length, &greeting));
	ck_assert(!greeting.is_native);
	bytes[4 + 1 + 11 + 4 + 9 + 1] |= 8; /* CLIENT_SSL */
	ck_assert(mysql_read_greeting(bytes, length, &greeting));
	ck_assert(greeting.offers_tls);
}
END_TEST

static struct mysql_response response;
static uint8_t response_bytes[512];

static size_t read_response(const struct packet *packet)
{
	size_t length = write_packet(packet, response_bytes);

	ck_assert(mysql_read_response(response_bytes, length, &response));
	return length;
}

START_TEST(a_login_becomes_a_change_of_user)
{
	static const struct packet plain = PACKET(CLIENT, 1, LOGIN),
				   with_database = PACKET(CLIENT, 1, LOGIN_WITH_DATABASE);
	static const struct packet wanted[] = {PACKET(CLIENT, 0,
						      "\x11user\0\x14" SCRAMBLE "\0"
						      "\x21\0"
						      "mysql_native_password\0"),
					       PACKET(CLIENT, 0,
						      "\x11user\0\x14" SCRAMBLE "db\0"
						      "\x21\0"
						      "mysql_native_password\0")};
	uint8_t bytes[512], expected[512];

	for (int i = 0; i < 2; i++) {
		size_t length, n = write_packet(&wanted[i], expected);

		read_response(i ? &with_database : &plain);
		ck_assert(mysql_response_is_native(&response));
		length = mysql_write_change_user(&response, bytes, sizeof(bytes));
		ck_assert_uint_eq(length, n);
		ck_assert_mem_eq(bytes, expected, n);
		for (size_t room = 0; room < n; room++)
			ck_assert_uint_eq(mysql_write_change_user(&response, bytes, room), 0);
	}
}
END_TEST

/* As node-mysql says by default, and one that is only older than plugins. */
#define FIXED_NODE FIXED("\xcf\xf3\x06\0")
#define NO_PLUGIN "user\0\x14" SCRAMBLE "db\0"

START_TEST(who_names_no_plugin_gets_none)
{
	static const struct packet node = PACKET(CLIENT, 1, FIXED_NODE NO_PLUGIN),
				   old = PACKET(CLIENT, 1, FIXED("\x0d\xa2\0\0") NO_PLUGIN),
				   quoted = PACKET(CLIENT, 1, FIXED_NODE "'u'\0\x14" SCRAMBLE "db\0"),
				   change = PACKET(CLIENT, 0, "\x11user\0\x14" SCRAMBLE "db\0\x21\0");
	const struct mysql_bytes scramble = {(const uint8_t *)SCRAMBLE, 20};
	uint8_t bytes[512], expected[512];
	size_t n = write_packet(&change, expected);

	read_response(&quoted);
	ck_assert(!mysql_response_is_native(&response));
	read_response(&old);
	ck_assert(!mysql_response_is_native(&response));
	read_response(&node);
	ck_assert(mysql_response_is_native(&response));
	ck_assert_uint_eq(mysql_write_change_user(&response, bytes, sizeof(bytes)), n);
	ck_assert_mem_eq(bytes, expected, n);
	n = write_packet(&node, expected);
	ck_assert_uint_eq(mysql_write_response(&response, scramble, bytes, sizeof(bytes)), n);
	ck_assert_mem_eq(bytes, expected, n);
}
END_TEST

START_TEST(a_login_is_written_for_another_salt)
{
	static const struct packet plain = PACKET(CLIENT, 1, LOGIN),
				   wanted = PACKET(CLIENT, 1,
						   FIXED(PLAIN) "user\0"
								"\x14"
								"zyxwvutsrqponmlkjihg"
								"mysql_native_password\0");
	uint8_t bytes[512], expected[512];
	size_t n = write_packet(&wanted, expected);

	read_response(&plain);
	ck_assert_uint_eq(mysql_write_response(&response,
					       (struct mysql_bytes){(const uint8_t *)"zyxwvutsrqponmlkjihg", 20}, bytes,
					       sizeof(bytes)),
			  n);
	ck_assert_mem_eq(bytes, expected, n);
}
END_TEST

START_TEST(a_response_is_read_whole_or_not)
{
	static const struct packet plain = PACKET(CLIENT, 1, LOGIN_WITH_DATABASE);
	size_t length = read_response(&plain);

	for (size_t n = 0; n < length; n++) {
		response_bytes[0] = (uint8_t)(n - 4);
		ck_assert_msg(!mysql_read_response(response_bytes, n, &response), "%zu", n);
	}
}
END_TEST

START_TEST(users_have_numbers)
{
	static const struct packet plain = PACKET(CLIENT, 1, LOGIN),
				   other = PACKET(CLIENT, 1,
						  FIXED(PLAIN) "uses\0"
							       "\0"
							       "mysql_native_password\0");
	uint64_t number;

	read_response(&plain);
	number = mysql_user_number(&response);
	ck_assert_uint_ne(number, 0);
	read_response(&other);
	ck_assert(mysql_response_is_native(&response));
	ck_assert_uint_ne(mysql_user_number(&response), number);
}
END_TEST

START_TEST(the_same_question_is_known)
{
	static const struct packet same = PACKET(SERVER, 1, "\xfemysql_native_password\0" SALT_1 SALT_2 "\0"),
				   salt = PACKET(SERVER, 1, "\xfemysql_native_password\0" SALT_2 SALT_1 "\0"),
				   plugin = PACKET(SERVER, 1,
						   "\xfe"
						   "client_ed25519\0" SALT_1 SALT_2 "\0"),
				   ok = PACKET(SERVER, 1, OK);
	struct mysql_greeting greeting;
	uint8_t bytes[512];
	size_t n = write_packet(&greeting_packet, bytes);

	ck_assert(mysql_read_greeting(bytes, n, &greeting));
	n = write_packet(&same, bytes);
	ck_assert(mysql_asks_for_same(bytes, n, &greeting));
	ck_assert(!mysql_asks_for_same(bytes, n - 2, &greeting));
	ck_assert(!mysql_asks_for_same(bytes, write_packet(&salt, bytes), &greeting));
	ck_assert(!mysql_asks_for_same(bytes, write_packet(&plugin, bytes), &greeting));
	ck_assert(!mysql_asks_for_same(bytes, write_packet(&ok, bytes), &greeting));
	ck_assert_uint_eq(mysql_write_switch(&greeting, 1, bytes, sizeof(bytes)), n);
	ck_assert(mysql_asks_for_same(bytes, n, &greeting));
}
END_TEST

/* The answer to a fence, by its packets. */
#define NONCE  \
	"\x10" \
	"0123456789abcdef"
static const struct {
	enum mysql_answer answer;
	bool has_old_ends;
	struct packet packets[10];
} answers[] = {
	{MYSQL_ANSWER_GOOD,
	 true,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN), PACKET(SERVER, 4, END),
	  PACKET(SERVER, 5, NONCE "\0"), PACKET(SERVER, 6, END), PACKET(SERVER, 1, OK), PACKET(SERVER, 1, OK)}},
	{MYSQL_ANSWER_GOOD,
	 false,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN), PACKET(SERVER, 4, NONCE "\0"),
	  PACKET(SERVER, 5, "\xfe\0\0\2\0\0\0"), PACKET(SERVER, 1, OK), PACKET(SERVER, 1, OK)}},
	{MYSQL_ANSWER_NEVER, /* statements at each login */
	 false,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN),
	  PACKET(SERVER, 4, NONCE "\3set")}},
	{MYSQL_ANSWER_WRONG, /* another number */
	 false,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN),
	  PACKET(SERVER, 4,
		 "\x10"
		 "0123456789abcdeF"
		 "\0")}},
	{MYSQL_ANSWER_WRONG, false, {PACKET(SERVER, 1, ERROR)}},
	{MYSQL_ANSWER_WRONG, false, {PACKET(SERVER, 1, OK)}}, /* of a command before */
	{MYSQL_ANSWER_WRONG, false, {PACKET(SERVER, 0, "\2")}},
	{MYSQL_ANSWER_WRONG,
	 false,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN), PACKET(SERVER, 4, END)}},
	{MYSQL_ANSWER_NEVER, /* no COM_RESET_CONNECTION */
	 false,
	 {PACKET(SERVER, 1, "\2"), PACKET(SERVER, 2, COLUMN), PACKET(SERVER, 3, COLUMN), PACKET(SERVER, 4, NONCE "\0"),
	  PACKET(SERVER, 5, "\xfe\0\0\2\0\0\0"), PACKET(SERVER, 1, "\xff\x17\x04no")}},
};

START_TEST(a_fence_is_proven_whole)
{
	struct fence fence = {.nonce = UINT64_C(0x0123456789abcdef), .parts = answers[_i].has_old_ends, .n_due = 1};
	uint8_t bytes[512];
	size_t length = 0, whole = 0;

	for (const struct packet *packet = answers[_i].packets; packet->from != NOBODY; packet++)
		length += write_packet(packet, bytes + length);
	ck_assert_int_eq(mysql_read_answer(&fence, bytes, length, &whole), answers[_i].answer);
	if (answers[_i].answer == MYSQL_ANSWER_GOOD)
		ck_assert_uint_eq(whole, length);
	/* The byte behind it is not its. */
	memset(bytes + length, 0, 1);
	ck_assert_int_eq(mysql_read_answer(&fence, bytes, length + 1, &whole), answers[_i].answer);
	if (answers[_i].answer == MYSQL_ANSWER_GOOD)
		ck_assert_uint_eq(whole, length);
	for (size_t n = 0; n < length && answers[_i].answer == MYSQL_ANSWER_GOOD; n++)
		ck_assert_int_eq(mysql_read_answer(&fence, bytes, n, &whole), MYSQL_ANSWER_PARTIAL);
}
END_TEST

START_TEST(a_fence_asks_for_its_number)
{
	struct protocol_state state;
	struct fence fence;
	char bytes[PROTOCOL_RESET_MAX];
	size_t length;

	feed_all(&state, hello, 100);
	ck_assert_int_eq(protocol_status(&state).left_state, REFUSAL_SESSION_STATE);
	mysql.reset(&state, UINT64_C(0xfedcba9876543210), &fence);
	length = mysql.write_fence(&fence, bytes);
	ck_assert_uint_eq(fence_n_awaited(&fence), 1);
	ck_assert_mem_eq(bytes + 4, "\x03SELECT 'fedcba9876543210', @@init_connect", 42);
	ck_assert_uint_eq((uint8_t)bytes[0], 42);
	ck_assert_uint_eq(length, 4 + 42 + 5 + 24);
	ck_assert_mem_eq(bytes + 51, "\x14\0\0\0\x03SET wait_timeout=15", 24);
	ck_assert_mem_eq(bytes + 46, "\1\0\0\0\x1f", 5);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *mysql_suite(void)
{
	Suite *suite = suite_create("mysql");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, any_pieces_tell_the_same, 0, COUNT(conversations));
	tcase_add_test(all, a_long_row_may_pass_unseen);
	tcase_add_test(all, knows_a_greeting);
	tcase_add_test(all, knows_a_goodbye);
	tcase_add_test(all, keeps_what_was_said_at_the_login);
	tcase_add_test(all, a_greeting_is_read_whole_or_not);
	tcase_add_test(all, other_greetings_are_told_apart);
	tcase_add_test(all, a_login_becomes_a_change_of_user);
	tcase_add_test(all, who_names_no_plugin_gets_none);
	tcase_add_test(all, a_login_is_written_for_another_salt);
	tcase_add_test(all, a_response_is_read_whole_or_not);
	tcase_add_test(all, users_have_numbers);
	tcase_add_test(all, the_same_question_is_known);
	tcase_add_loop_test(all, a_fence_is_proven_whole, 0, COUNT(answers));
	tcase_add_test(all, a_fence_asks_for_its_number);
	suite_add_tcase(suite, all);
	return suite;
}
