/*
 * Hellos: real ones, each truncation, and what makes two programs' wishes equal.
 */
#include "pool/tls/hello.h"

#include <stddef.h>
#include <stdlib.h>

#include "pool/tls/keys.h"
#include "tests/unit/fake/crypto.h"
#include "tests/unit/pool/tls/traces.h"

static const uint8_t SALT[] = "library 1";

static enum tls_hello_verdict read_hello(const uint8_t *bytes, size_t length, struct tls_hello *hello)
{
	return tls_hello_read(&fake_crypto, bytes, length, SALT, sizeof(SALT), hello);
}

/* A ClientHello that a test puts together. Its lengths are filled in by finish(). */
struct made {
	uint8_t bytes[32768];
	size_t length;
	size_t extensions_at;
};

static void put(struct made *made, const char *hex)
{
	made->length += unhex(hex, made->bytes + made->length);
}

static void put_number(uint8_t *at, size_t number)
{
	at[0] = (uint8_t)(number >> 8);
	at[1] = (uint8_t)number;
}

/* Up to the extensions. */
static void begin_hello(struct made *made, uint8_t random, const char *session_id, const char *suites)
{
	made->length = 0;
	put(made, "160301000001000000"
		  "0303");
	memset(made->bytes + made->length, random, 32);
	made->length += 32;
	made->bytes[made->length++] = (uint8_t)(strlen(session_id) / 2);
	put(made, session_id);
	put_number(made->bytes + made->length, strlen(suites) / 2);
	made->length += 2;
	put(made, suites);
	put(made, "0100");
	made->extensions_at = made->length;
	put(made, "0000");
}

static void add(struct made *made, unsigned type, const char *content)
{
	put_number(made->bytes + made->length, type);
	put_number(made->bytes + made->length + 2, strlen(content) / 2);
	made->length += 4;
	put(made, content);
}

static void finish(struct made *made)
{
	put_number(made->bytes + made->extensions_at, made->length - made->extensions_at - 2);
	put_number(made->bytes + 3, made->length - 5);
	put_number(made->bytes + 7, made->length - 9);
}

#define KEY_A "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY_B "2222222222222222222222222222222222222222222222222222222222222222"
#define TICKET_A "000c0006aabbccddeeff0000000a002120" KEY_A
#define TICKET_B "000e0008aabbccddeeff99990000000b002120" KEY_B

/* What a hello of a test consists of; NULL: that extension is left out. */
struct wish {
	uint8_t random;
	const char *session_id, *suites, *server_name, *alpn, *groups, *key_shares, *versions, *ticket, *unknown,
		*padding, *psk;
};

static const struct wish USUAL = {
	.random = 1,
	.session_id = KEY_A,
	.suites = "130113031302c02bc02f",
	.server_name = "00070000046e616d65",
	.alpn = "000908687474702f312e31",
	.groups = "0004001d0017",
	.key_shares = "0024001d0020" KEY_A,
	.versions = "0403040303",
	.ticket = "",
};

static void make(const struct wish *wish, struct made *made)
{
	const struct {
		unsigned type;
		const char *content;
	} extensions[] = {
		{0, wish->server_name},	 {16, wish->alpn},     {10, wish->groups},
		{35, wish->ticket},	 {43, wish->versions}, {51, wish->key_shares},
		{0x1a1a, wish->unknown}, {21, wish->padding},  {41, wish->psk},
	};

	begin_hello(made, wish->random, wish->session_id, wish->suites);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (extensions[i].content)
			add(made, extensions[i].type, extensions[i].content);
	finish(made);
}

static enum tls_hello_verdict read_wish(const struct wish *wish, struct tls_hello *hello)
{
	static struct made made;

	make(wish, &made);
	enum tls_hello_verdict verdict = read_hello(made.bytes, made.length, hello);
	if (verdict == TLS_HELLO_FINE)
		ck_assert_uint_eq(hello->record_length, made.length);
	return verdict;
}

START_TEST(the_hello_of_the_trace_is_read)
{
	uint8_t bytes[1024], random[32];
	size_t length = unhex(TRACE_CLIENT_HELLO, bytes);
	struct tls_hello hello;

	unhex("cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7", random);
	bytes[length] = 0xee; /* what comes behind doesn't matter */
	ck_assert_int_eq(read_hello(bytes, length + 1, &hello), TLS_HELLO_FINE);
	ck_assert_uint_eq(hello.record_length, length);
	ck_assert_mem_eq(hello.random, random, sizeof(random));
	ck_assert_str_eq(hello.server_name, "server");
	ck_assert(!hello.offers_alpn && !hello.offers_h2 && !hello.offers_session);
}
END_TEST

/* Its cookie and its other group are part of what it asks for. */
START_TEST(a_second_hello_differs_from_the_first)
{
	uint8_t bytes[1024];
	struct tls_hello first, second;

	ck_assert_int_eq(read_hello(bytes, unhex(TRACE_FIRST_CLIENT_HELLO, bytes), &first), TLS_HELLO_FINE);
	ck_assert_int_eq(read_hello(bytes, unhex(TRACE_SECOND_CLIENT_HELLO, bytes), &second), TLS_HELLO_FINE);
	ck_assert_mem_eq(first.random, second.random, TLS_RANDOM_LENGTH);
	ck_assert_mem_ne(first.digest, second.digest, TLS_DIGEST_LENGTH);
}
END_TEST

START_TEST(all_is_found)
{
	struct wish wish = USUAL;
	struct tls_hello hello;

	ck_assert_int_eq(read_wish(&wish, &hello), TLS_HELLO_FINE);
	ck_assert_str_eq(hello.server_name, "name");
	ck_assert(hello.offers_alpn && !hello.offers_h2 && !hello.offers_session);
	wish.alpn = "000c02683208687474702f312e31";
	ck_assert_int_eq(read_wish(&wish, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_alpn && hello.offers_h2);
	wish.alpn = "0003026832";
	ck_assert_int_eq(read_wish(&wish, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_h2);
	wish.alpn = "0004036832"
		    "63"; /* h2c is another one */
	ck_assert_int_eq(read_wish(&wish, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_alpn && !hello.offers_h2);
}
END_TEST

START_TEST(sessions_are_told)
{
	struct wish ticket = USUAL, psk = USUAL, id_only = USUAL;
	struct tls_hello hello;

	ticket.ticket = KEY_A;
	ck_assert_int_eq(read_wish(&ticket, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_session);
	psk.psk = TICKET_A;
	ck_assert_int_eq(read_wish(&psk, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_session);
	id_only.versions = NULL;
	id_only.key_shares = NULL;
	ck_assert_int_eq(read_wish(&id_only, &hello), TLS_HELLO_FINE);
	ck_assert(hello.offers_session);
	id_only.session_id = "";
	ck_assert_int_eq(read_wish(&id_only, &hello), TLS_HELLO_FINE);
	ck_assert(!hello.offers_session);
}
END_TEST

/* One part of the usual wish, and what takes its place. */
struct change {
	const char *name;
	size_t part;
	const char *value;
};

#define IN(part) offsetof(struct wish, part)

/* What is random, belongs to a session or follows from the length. */
static const struct change EQUAL[] = {
	{"the same", IN(ticket), ""},		{"another session id", IN(session_id), KEY_B},
	{"no session id", IN(session_id), ""},	{"another key share", IN(key_shares), "0024001d0020" KEY_B},
	{"a ticket", IN(ticket), KEY_A},	{"a longer ticket", IN(ticket), KEY_A KEY_B},
	{"padding", IN(padding), "00000000"},	{"empty padding", IN(padding), ""},
	{"a session's PSK", IN(psk), TICKET_A}, {"another session's PSK", IN(psk), TICKET_B},
};

static const struct change UNEQUAL[] = {
	{"another name", IN(server_name), "00070000046e616d66"},
	{"a name in capitals", IN(server_name), "00070000044e414d45"},
	{"no name", IN(server_name), NULL},
	{"another protocol", IN(alpn), "000908687474702f312e30"},
	{"one more protocol", IN(alpn), "000c08687474702f312e31026832"},
	{"no protocol", IN(alpn), NULL},
	{"another order of suites", IN(suites), "130313011302c02bc02f"},
	{"one suite less", IN(suites), "130113031302c02b"},
	{"one suite more", IN(suites), "130113031302c02bc02fc030"},
	{"other groups", IN(groups), "0004001d0018"},
	{"another order of groups", IN(groups), "00040017001d"},
	{"a GREASE extension", IN(unknown), ""},
	{"a GREASE extension with bytes", IN(unknown), "0001"},
	{"two key shares", IN(key_shares), "0048001d0020" KEY_A "00170020" KEY_A},
	{"no key shares", IN(key_shares), "0000"},
	{"a key share of another group", IN(key_shares), "002400170020" KEY_A},
	{"a shorter key share", IN(key_shares), "0006001d00021111"},
	{"other versions", IN(versions), "020304"},
	{"no ticket extension", IN(ticket), NULL},
};

static void read_changed(const struct change *change, struct tls_hello *hello)
{
	struct wish wish = USUAL;

	memcpy((char *)&wish + change->part, &change->value, sizeof(change->value));
	ck_assert_int_eq(read_wish(&wish, hello), TLS_HELLO_FINE);
}

START_TEST(what_is_random_makes_no_difference)
{
	struct tls_hello usual, other;

	ck_assert_int_eq(read_wish(&USUAL, &usual), TLS_HELLO_FINE);
	read_changed(&EQUAL[_i], &other);
	if (memcmp(usual.digest, other.digest, TLS_DIGEST_LENGTH) != 0)
		ck_abort_msg("%s", EQUAL[_i].name);
}
END_TEST

START_TEST(each_wish_makes_a_difference)
{
	struct tls_hello usual, other, third;

	ck_assert_int_eq(read_wish(&USUAL, &usual), TLS_HELLO_FINE);
	read_changed(&UNEQUAL[_i], &other);
	if (memcmp(usual.digest, other.digest, TLS_DIGEST_LENGTH) == 0)
		ck_abort_msg("%s", UNEQUAL[_i].name);
	for (size_t j = 0; j < sizeof(UNEQUAL) / sizeof(UNEQUAL[0]); j++) {
		read_changed(&UNEQUAL[j], &third);
		if ((memcmp(third.digest, other.digest, TLS_DIGEST_LENGTH) == 0) != (j == (size_t)_i))
			ck_abort_msg("%s and %s", UNEQUAL[_i].name, UNEQUAL[j].name);
	}
}
END_TEST

/* Each byte counts that is none of those, wherever it stands. */
START_TEST(each_byte_of_the_rest_makes_a_difference)
{
	uint8_t bytes[1024];
	size_t length = unhex(TRACE_CLIENT_HELLO, bytes);
	struct tls_hello usual, other;
	unsigned n_equal = 0;

	ck_assert_int_eq(read_hello(bytes, length, &usual), TLS_HELLO_FINE);
	for (size_t at = 0; at < length; at++) {
		bytes[at] ^= 1;
		if (read_hello(bytes, length, &other) == TLS_HELLO_FINE &&
		    memcmp(usual.digest, other.digest, TLS_DIGEST_LENGTH) == 0)
			n_equal++;
		bytes[at] ^= 1;
	}
	ck_assert_uint_eq(n_equal, 32 + 32); /* the random and the key */
}
END_TEST

/* GnuTLS shuffles them. */
START_TEST(the_order_of_extensions_makes_no_difference)
{
	static const uint16_t orders[][3] = {{10, 13, 0x1a1a}, {13, 0x1a1a, 10}, {0x1a1a, 13, 10}, {10, 13, 0x1a1b}};
	static struct made made;
	struct tls_hello hellos[4];

	for (unsigned i = 0; i < 4; i++) {
		begin_hello(&made, 1, "", "1301");
		for (unsigned j = 0; j < 3; j++)
			add(&made, orders[i][j], orders[i][j] == 13 ? "0002 0403" : "0002 001d");
		finish(&made);
		ck_assert_int_eq(read_hello(made.bytes, made.length, &hellos[i]), TLS_HELLO_FINE);
	}
	ck_assert_mem_eq(hellos[0].digest, hellos[1].digest, TLS_DIGEST_LENGTH);
	ck_assert_mem_eq(hellos[0].digest, hellos[2].digest, TLS_DIGEST_LENGTH);
	ck_assert_mem_ne(hellos[0].digest, hellos[3].digest, TLS_DIGEST_LENGTH);
}
END_TEST

START_TEST(the_salt_and_the_version_make_a_difference)
{
	uint8_t bytes[1024];
	size_t length = unhex(TRACE_CLIENT_HELLO, bytes);
	struct tls_hello usual, other;

	ck_assert_int_eq(read_hello(bytes, length, &usual), TLS_HELLO_FINE);
	ck_assert_int_eq(tls_hello_read(&fake_crypto, bytes, length, SALT, sizeof(SALT) - 1, &other), TLS_HELLO_FINE);
	ck_assert_mem_ne(usual.digest, other.digest, TLS_DIGEST_LENGTH);
	ck_assert_int_eq(tls_hello_read(&fake_crypto, bytes, length, NULL, 0, &other), TLS_HELLO_FINE);
	ck_assert_mem_ne(usual.digest, other.digest, TLS_DIGEST_LENGTH);
	bytes[2] = 3;
	ck_assert_int_eq(read_hello(bytes, length, &other), TLS_HELLO_FINE);
	ck_assert_mem_ne(usual.digest, other.digest, TLS_DIGEST_LENGTH);
}
END_TEST

/* The text that is hashed is longer than one block: each byte of it counts. */
START_TEST(long_hellos_are_digested_to_their_end)
{
	static struct made made;
	struct tls_hello usual, other;

	begin_hello(&made, 1, "", "1301");
	add(&made, 0x1a1a, "");
	memset(made.bytes + made.length, 7, 12000);
	put_number(made.bytes + made.length - 2, 12000);
	made.length += 12000;
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &usual), TLS_HELLO_FINE);
	for (size_t at = made.length - 12000; at < made.length; at += 499) {
		made.bytes[at] ^= 0x80;
		ck_assert_int_eq(read_hello(made.bytes, made.length, &other), TLS_HELLO_FINE);
		ck_assert_mem_ne(usual.digest, other.digest, TLS_DIGEST_LENGTH);
		made.bytes[at] ^= 0x80;
	}
}
END_TEST

START_TEST(truncated_hellos_are_partial)
{
	static const char *const HELLOS[] = {TRACE_CLIENT_HELLO, TRACE_FIRST_CLIENT_HELLO, TRACE_SECOND_CLIENT_HELLO};
	uint8_t bytes[1024];
	size_t length = unhex(HELLOS[_i], bytes);
	struct tls_hello hello;

	for (size_t shorter = 0; shorter < length; shorter++) {
		uint8_t *copy = malloc(shorter + 1); /* so that a sanitizer sees a step too far */

		memcpy(copy, bytes, shorter);
		copy = realloc(copy, shorter ? shorter : 1);
		ck_assert_int_eq(read_hello(copy, shorter, &hello), TLS_HELLO_PARTIAL);
		free(copy);
	}
	ck_assert_int_eq(read_hello(bytes, length, &hello), TLS_HELLO_FINE);
}
END_TEST

/* The same, where each outer length has been made to agree: what is cut is missed in the middle. */
START_TEST(hellos_that_end_early_are_malformed)
{
	uint8_t bytes[1024];
	size_t length = unhex(TRACE_CLIENT_HELLO, bytes);
	struct tls_hello hello;

	for (size_t shorter = 9; shorter < length; shorter++) {
		put_number(bytes + 3, shorter - 5);
		put_number(bytes + 7, shorter - 9);
		/* Without any extension it is a hello. */
		bool is_whole = shorter == 5 + 4 + 2 + 32 + 1 + 8 + 2;
		ck_assert_int_eq(read_hello(bytes, shorter, &hello), is_whole ? TLS_HELLO_FINE : TLS_HELLO_MALFORMED);
	}
}
END_TEST

START_TEST(other_protocols_are_none)
{
	static const char *const TEXTS[] = {
		"GET / HTTP/1.1\r\n", "\x16\x02\x01", "\x80\x2e\x01\x03\x01", "\x15\x03\x01\x00\x02\x01\x00", "\x16GET",
		"\x17\x03\x03",	      "SSH-2.0-"};
	struct tls_hello hello;

	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		ck_assert_int_eq(read_hello((const uint8_t *)TEXTS[i], 3, &hello), TLS_HELLO_MALFORMED);
	ck_assert_int_eq(read_hello((const uint8_t *)"\x16\x03", 2, &hello), TLS_HELLO_PARTIAL);
	/* Without waiting for the rest of a record that is too long or holds no message. */
	ck_assert_int_eq(read_hello((const uint8_t *)"\x16\x03\x01\xff\xff", 5, &hello), TLS_HELLO_MALFORMED);
	ck_assert_int_eq(read_hello((const uint8_t *)"\x16\x03\x01\x00\x03", 5, &hello), TLS_HELLO_MALFORMED);
	ck_assert_int_eq(read_hello((const uint8_t *)"\x16\x03\x01\x00\x00", 5, &hello), TLS_HELLO_MALFORMED);
}
END_TEST

START_TEST(a_hello_over_two_records_is_malformed)
{
	uint8_t bytes[1024];
	size_t length = unhex(TRACE_CLIENT_HELLO, bytes);
	struct tls_hello hello;

	put_number(bytes + 3, 100);
	ck_assert_int_eq(read_hello(bytes, length, &hello), TLS_HELLO_MALFORMED);
	/* Nor may another message be behind it in the same record. */
	unhex(TRACE_CLIENT_HELLO, bytes);
	memcpy(bytes + length, "\x14\0\0\0", 4);
	put_number(bytes + 3, length - 5 + 4);
	ck_assert_int_eq(read_hello(bytes, length + 4, &hello), TLS_HELLO_MALFORMED);
	/* Another message than a ClientHello. */
	unhex(TRACE_CLIENT_HELLO, bytes);
	bytes[5] = 2;
	ck_assert_int_eq(read_hello(bytes, length, &hello), TLS_HELLO_MALFORMED);
}
END_TEST

/* What is wrong with one extension. */
static const struct {
	unsigned type;
	const char *content;
} WRONG[] = {
	{0, ""},
	{0, "0000"},
	{0, "00070000046e616d"},
	{0, "00070000046e616d6500"},
	{0, "00070100046e616d65"},
	{0, "0003000000"},
	{0, "00070000046e616d00"},
	{0, "000e0000046e616d650000046e616d65"},
	{0, "00060000046e616d65"},
	{16, ""},
	{16, "0000"},
	{16, "000100"},
	{16, "0003036832"},
	{16, "000302683200"},
	{16, "00040268"},
	{43, ""},
	{43, "0103"},
	{43, "020304ff"},
	{51, ""},
	{51, "0001"},
	{51, "0003001d00"},
	{51, "0005001d000211"},
	{51, "0004001d0000ff"},
	{41, ""},
	{41, "0000"},
	{41, "00000000"},
	{41, "000c0006aabbccddeeff0000000a"},
	{41, TICKET_A "00"},
	{41, "000a0006aabbccddeeff0000"
	     "0000"},
};

START_TEST(malformed_extensions_are_seen)
{
	static struct made made;
	struct tls_hello hello;

	begin_hello(&made, 1, "", "1301");
	add(&made, WRONG[_i].type, WRONG[_i].content);
	finish(&made);
	if (read_hello(made.bytes, made.length, &hello) != TLS_HELLO_MALFORMED)
		ck_abort_msg("%u %s", WRONG[_i].type, WRONG[_i].content);
}
END_TEST

START_TEST(an_extension_comes_once_and_a_psk_last)
{
	static struct made made;
	struct tls_hello hello;

	begin_hello(&made, 1, "", "1301");
	add(&made, 10, "0002001d");
	add(&made, 10, "0002001d");
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &hello), TLS_HELLO_MALFORMED);

	begin_hello(&made, 1, "", "1301");
	add(&made, 41, TICKET_A);
	add(&made, 10, "0002001d");
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &hello), TLS_HELLO_MALFORMED);

	/* More than are ever sent. */
	begin_hello(&made, 1, "", "1301");
	for (unsigned type = 1000; type < 1064; type++)
		add(&made, type, "");
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &hello), TLS_HELLO_FINE);
	add(&made, 1064, "");
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &hello), TLS_HELLO_MALFORMED);
}
END_TEST

START_TEST(names_are_bounded)
{
	static struct made made;
	struct tls_hello hello;

	for (size_t length = 254; length <= 256; length++) {
		begin_hello(&made, 1, "", "1301");
		put_number(made.bytes + made.length, 0);
		put_number(made.bytes + made.length + 2, length + 5);
		put_number(made.bytes + made.length + 4, length + 3);
		made.bytes[made.length + 6] = 0;
		put_number(made.bytes + made.length + 7, length);
		memset(made.bytes + made.length + 9, 'n', length);
		made.length += 9 + length;
		finish(&made);
		ck_assert_int_eq(read_hello(made.bytes, made.length, &hello),
				 length <= 255 ? TLS_HELLO_FINE : TLS_HELLO_MALFORMED);
		if (length <= 255)
			ck_assert_uint_eq(strlen(hello.server_name), length);
	}
}
END_TEST

START_TEST(early_data_and_external_keys_are_told)
{
	struct wish external = USUAL;
	static struct made made;
	struct tls_hello hello;

	external.psk = "000c0006aabbccddeeff00000000002120" KEY_A;
	ck_assert_int_eq(read_wish(&external, &hello), TLS_HELLO_EARLY_DATA);
	ck_assert_str_eq(hello.server_name, "name");
	make(&USUAL, &made);
	add(&made, 42, "");
	add(&made, 41, TICKET_A);
	finish(&made);
	ck_assert_int_eq(read_hello(made.bytes, made.length, &hello), TLS_HELLO_EARLY_DATA);
	ck_assert_uint_eq(hello.record_length, made.length);
}
END_TEST

START_TEST(without_the_library_there_is_no_digest)
{
	struct tls_hello hello;
	int n_calls = 0;

	for (;; n_calls++) {
		fake_crypto_fails_after = n_calls;
		if (read_wish(&USUAL, &hello) == TLS_HELLO_FINE)
			break;
		ck_assert_int_eq(hello.digest[0] | hello.digest[31], 0);
	}
	ck_assert_int_gt(n_calls, 0);
	fake_crypto_fails_after = -1;
}
END_TEST

/* Hexadecimal records one after the other. */
static size_t join(uint8_t *bytes, const char *const *records, size_t n)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++)
		length += unhex(records[i], bytes + length);
	return length;
}

#define JOIN(bytes, ...) \
	join(bytes, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define CHANGE_RECORD "140303000101"
#define WARNING_RECORD "15030300020170" /* unrecognized_name */
#define FATAL_RECORD "15030300020228"

START_TEST(a_server_hello_is_found)
{
	uint8_t bytes[4096], random[32];
	struct tls_server_hello hello;
	size_t length = JOIN(bytes, TRACE_SERVER_HELLO, TRACE_SERVER_FLIGHT_RECORD);

	ck_assert(tls_server_hello_find(bytes, length, &hello));
	ck_assert_uint_eq(hello.version, TLS_1_3);
	ck_assert_uint_eq(hello.suite, 0x1301);
	unhex("a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928", random);
	ck_assert_mem_eq(hello.random, random, sizeof(random));
	length = JOIN(bytes, WARNING_RECORD, TRACE_SERVER_HELLO);
	ck_assert(tls_server_hello_find(bytes, length, &hello));
}
END_TEST

START_TEST(a_retry_is_passed_over)
{
	uint8_t bytes[4096], random[32];
	struct tls_server_hello hello;
	size_t length = JOIN(bytes, TRACE_RETRY_REQUEST, CHANGE_RECORD, TRACE_RETRIED_SERVER_HELLO);

	unhex("bb341d847fd789c47c387172dc0c9bf147fccacb5043d86ca4c598d3ff571b98", random);
	ck_assert(tls_server_hello_find(bytes, length, &hello));
	ck_assert_mem_eq(hello.random, random, sizeof(random));
	length = JOIN(bytes, TRACE_RETRY_REQUEST, TRACE_RETRIED_SERVER_HELLO);
	ck_assert(tls_server_hello_find(bytes, length, &hello));
	ck_assert(!tls_server_hello_find(bytes, JOIN(bytes, TRACE_RETRY_REQUEST), &hello));
	length = JOIN(bytes, TRACE_RETRY_REQUEST, TRACE_RETRY_REQUEST, TRACE_RETRIED_SERVER_HELLO);
	ck_assert(!tls_server_hello_find(bytes, length, &hello));
}
END_TEST

START_TEST(truncated_server_hellos_are_not_there)
{
	uint8_t bytes[4096];
	struct tls_server_hello hello;
	size_t length = JOIN(bytes, TRACE_RETRY_REQUEST, CHANGE_RECORD, TRACE_RETRIED_SERVER_HELLO);

	for (size_t shorter = 0; shorter < length; shorter++)
		ck_assert(!tls_server_hello_find(bytes, shorter, &hello));
	/* With outer lengths that agree. */
	length = JOIN(bytes, TRACE_SERVER_HELLO);
	for (size_t shorter = 9; shorter < length; shorter++) {
		put_number(bytes + 3, shorter - 5);
		put_number(bytes + 7, shorter - 9);
		/* Without extensions it is one of TLS 1.2. */
		bool is_whole = shorter == 9 + 2 + 32 + 1 + 2 + 1;
		ck_assert_int_eq(tls_server_hello_find(bytes, shorter, &hello), is_whole);
		if (is_whole)
			ck_assert_uint_eq(hello.version, TLS_1_2);
	}
}
END_TEST

START_TEST(other_records_hide_a_server_hello)
{
	uint8_t bytes[4096];
	struct tls_server_hello hello;

	ck_assert(!tls_server_hello_find(bytes, JOIN(bytes, FATAL_RECORD, TRACE_SERVER_HELLO), &hello));
	ck_assert(!tls_server_hello_find(bytes, JOIN(bytes, TRACE_SERVER_DATA_RECORD, TRACE_SERVER_HELLO), &hello));
	ck_assert(!tls_server_hello_find(bytes, JOIN(bytes, TRACE_CLIENT_HELLO), &hello));
	ck_assert(!tls_server_hello_find(bytes, JOIN(bytes, "140303000102", TRACE_SERVER_HELLO), &hello));
	ck_assert(!tls_server_hello_find((const uint8_t *)"HTTP/1.1 400 Bad Request\r\n", 26, &hello));
}
END_TEST

/* A flight of TLS 1.2: ServerHello, Certificate, and so on, with lengths of our choice. */
#define HELLO_1_2                       \
	"0200002c0303" KEY_A "00c02f00" \
	"000400170000"
#define MESSAGES_1_2               \
	HELLO_1_2 "0b000003000000" \
		  "0c000004aabbccdd"

START_TEST(a_message_is_found_over_records)
{
	uint8_t flight[256], bytes[512];
	size_t length = unhex(MESSAGES_1_2 "0d0000020102"
					   "0e000000",
			      flight);

	/* Cut into two records anywhere, and into records of one byte. */
	for (size_t first = 1; first <= length; first++) {
		size_t n = first < length ? 2 : 1, end = 0, at = 0;

		for (size_t i = 0; i < n; i++) {
			size_t part = i == 0 ? first : length - first;
			memcpy(bytes + end, "\x16\3\3", 3);
			put_number(bytes + end + 3, part);
			memcpy(bytes + end + 5, flight + at, part);
			end += 5 + part;
			at += part;
		}
		for (unsigned type = 0; type < 30; type++) {
			bool is_there = type == 2 || type == 11 || type == 12 || type == 13 || type == 14;
			ck_assert_int_eq(tls_flight_has_message(bytes, end, (uint8_t)type), is_there);
		}
	}
}
END_TEST

START_TEST(messages_end_with_the_change_of_keys)
{
	uint8_t bytes[512];
	size_t length = JOIN(bytes, "16030300040e000000", CHANGE_RECORD, "16030300040d000000");

	ck_assert(tls_flight_has_message(bytes, length, 14));
	ck_assert(!tls_flight_has_message(bytes, length, 13));
	length = JOIN(bytes, WARNING_RECORD, "16030300040d000000");
	ck_assert(tls_flight_has_message(bytes, length, 13));
	ck_assert(!tls_flight_has_message(bytes, length - 1, 13));
	ck_assert(!tls_flight_has_message(bytes, 0, 13));
	/* Bytes of a body are no header. */
	length = JOIN(bytes, "16030300080b0000040d0d0d0d");
	ck_assert(!tls_flight_has_message(bytes, length, 13));
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

Suite *tls_hello_suite(void)
{
	Suite *suite = suite_create("tls_hello");
	TCase *client = tcase_create("client"), *server = tcase_create("server");

	tcase_add_test(client, the_hello_of_the_trace_is_read);
	tcase_add_test(client, a_second_hello_differs_from_the_first);
	tcase_add_test(client, all_is_found);
	tcase_add_test(client, sessions_are_told);
	tcase_add_loop_test(client, what_is_random_makes_no_difference, 0, COUNT(EQUAL));
	tcase_add_loop_test(client, each_wish_makes_a_difference, 0, COUNT(UNEQUAL));
	tcase_add_test(client, each_byte_of_the_rest_makes_a_difference);
	tcase_add_test(client, the_salt_and_the_version_make_a_difference);
	tcase_add_test(client, the_order_of_extensions_makes_no_difference);
	tcase_add_test(client, long_hellos_are_digested_to_their_end);
	tcase_add_loop_test(client, truncated_hellos_are_partial, 0, 3);
	tcase_add_test(client, hellos_that_end_early_are_malformed);
	tcase_add_test(client, other_protocols_are_none);
	tcase_add_test(client, a_hello_over_two_records_is_malformed);
	tcase_add_loop_test(client, malformed_extensions_are_seen, 0, COUNT(WRONG));
	tcase_add_test(client, an_extension_comes_once_and_a_psk_last);
	tcase_add_test(client, names_are_bounded);
	tcase_add_test(client, early_data_and_external_keys_are_told);
	tcase_add_test(client, without_the_library_there_is_no_digest);
	suite_add_tcase(suite, client);
	tcase_add_test(server, a_server_hello_is_found);
	tcase_add_test(server, a_retry_is_passed_over);
	tcase_add_test(server, truncated_server_hellos_are_not_there);
	tcase_add_test(server, other_records_hide_a_server_hello);
	tcase_add_test(server, a_message_is_found_over_records);
	tcase_add_test(server, messages_end_with_the_change_of_keys);
	suite_add_tcase(suite, server);
	return suite;
}
