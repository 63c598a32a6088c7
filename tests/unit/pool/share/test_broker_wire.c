/*
 * Which bytes of a process count as a message: type, length, bounds and the number of descriptors must all be right.
 */
#include "pool/share/wire.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static union broker_packet packet;

static void start(void)
{
	memset(&packet, 0, sizeof(packet));
}

static const struct {
	enum broker_message type;
	size_t length;
	unsigned n_fds;
} MESSAGES[] = {
	{BROKER_HELLO, sizeof(packet.hello), 0},    {BROKER_LEASE, sizeof(packet.request), 0},
	{BROKER_PARK, sizeof(packet.request), 1},   {BROKER_DROP, sizeof(packet.request), 0},
	{BROKER_LOOKED, sizeof(packet.request), 0}, {BROKER_RELIEVE, sizeof(packet.request), 0},
	{BROKER_LIST, sizeof(packet.head), 0},	    {BROKER_RUN, sizeof(packet.head), 1},
};
#define N_MESSAGES (int)(sizeof(MESSAGES) / sizeof(MESSAGES[0]))

static void make(enum broker_message type)
{
	packet.head = broker_wire_head(type, 7, 0);
	if (type >= BROKER_LEASE && type < BROKER_LIST)
		packet.request.key.family = AF_INET;
}

static int check(const union broker_packet *what, size_t length, unsigned n_fds)
{
	return broker_wire_check(what, length, n_fds);
}

START_TEST(heads_are_of_this_version)
{
	struct broker_head head = broker_wire_head(BROKER_LEASE, 11, 12);

	ck_assert_uint_eq(head.version, broker_wire_stamp());
	ck_assert_uint_eq(head.type, BROKER_LEASE);
	ck_assert_uint_eq(head.sequence, 11);
	ck_assert_uint_eq(head.flags, 12);
	ck_assert_uint_eq(broker_wire_stamp(), broker_wire_stamp());
}
END_TEST

START_TEST(messages_of_the_right_length)
{
	make(MESSAGES[_i].type);
	for (size_t length = 0; length <= sizeof(packet); length++)
		for (unsigned n_fds = 0; n_fds < 4; n_fds++)
			ck_assert_int_eq(check(&packet, length, n_fds),
					 length == MESSAGES[_i].length && n_fds == MESSAGES[_i].n_fds ? 0 : -EPROTO);
}
END_TEST

START_TEST(other_types)
{
	static const uint32_t TYPES[] = {
		0, BROKER_WELCOME, BROKER_ANSWER, BROKER_HELD, BROKER_LISTED, BROKER_LISTED + 1, UINT32_MAX};

	make(BROKER_LEASE);
	packet.head.type = TYPES[_i];
	for (size_t length = 0; length <= sizeof(packet); length++)
		ck_assert_int_eq(check(&packet, length, 0), -EPROTO);
}
END_TEST

/* A question in HELLO is looked at as if it came by itself. */
START_TEST(the_question_in_hello)
{
	make(BROKER_HELLO);
	packet.hello.first.head.type = BROKER_LEASE;
	packet.hello.first.key.family = AF_INET;
	ck_assert_int_eq(check(&packet, sizeof(packet.hello), 0), 0);
	packet.hello.first.slot = SLOTS_PER_REGION;
	ck_assert_int_eq(check(&packet, sizeof(packet.hello), 0), -EPROTO);
	packet.hello.first.slot = 0;
	packet.hello.first.key.family = AF_UNIX;
	ck_assert_int_eq(check(&packet, sizeof(packet.hello), 0), -EPROTO);
	packet.hello.first.key.family = AF_INET;
	packet.hello.first.head.type = BROKER_RELIEVE;
	ck_assert_int_eq(check(&packet, sizeof(packet.hello), 0), -EPROTO);
}
END_TEST

START_TEST(another_version)
{
	for (int i = 0; i < N_MESSAGES; i++) {
		make(MESSAGES[i].type);
		packet.head.version++;
		/* Only a process that says hello is told. */
		ck_assert_int_eq(check(&packet, MESSAGES[i].length, MESSAGES[i].n_fds),
				 MESSAGES[i].type == BROKER_HELLO ? -EPROTONOSUPPORT : -EPROTO);
	}
	make(BROKER_HELLO);
	packet.head.version = 0;
	ck_assert_int_eq(check(&packet, sizeof(packet.head), 0), -EPROTONOSUPPORT); /* its hello may be shorter */
	ck_assert_int_eq(check(&packet, sizeof(packet.head) - 1, 0), -EPROTO);
	ck_assert_int_eq(check(&packet, sizeof(packet.hello), 1), -EPROTO);
}
END_TEST

START_TEST(bounds_of_requests)
{
	static const enum broker_message TYPES[] = {BROKER_LEASE, BROKER_PARK, BROKER_DROP, BROKER_LOOKED,
						    BROKER_RELIEVE};
	unsigned n_fds = TYPES[_i] == BROKER_PARK;
	const size_t length = sizeof(packet.request);

	make(TYPES[_i]);
	packet.request.slot = SLOTS_PER_REGION - 1;
	ck_assert_int_eq(check(&packet, length, n_fds), 0);
	packet.request.slot = SLOTS_PER_REGION;
	ck_assert_int_eq(check(&packet, length, n_fds), -EPROTO);
	packet.request.slot = UINT64_MAX;
	ck_assert_int_eq(check(&packet, length, n_fds), -EPROTO);
	packet.request.slot = 0;
	packet.request.key.options_length = DESTINATION_OPTIONS_MAX;
	ck_assert_int_eq(check(&packet, length, n_fds), 0);
	packet.request.key.options_length = DESTINATION_OPTIONS_MAX + 1;
	ck_assert_int_eq(check(&packet, length, n_fds), -EPROTO);
	packet.request.key.options_length = UINT16_MAX;
	ck_assert_int_eq(check(&packet, length, n_fds), -EPROTO);
	packet.request.key.options_length = 0;
	packet.request.key.family = AF_INET6;
	ck_assert_int_eq(check(&packet, length, n_fds), 0);
	packet.request.key.family = AF_UNIX;
	ck_assert_int_eq(check(&packet, length, n_fds), TYPES[_i] == BROKER_DROP ? 0 : -EPROTO);
	packet.request.key.family = 0;
	ck_assert_int_eq(check(&packet, length, n_fds), TYPES[_i] == BROKER_DROP ? 0 : -EPROTO);
}
END_TEST

/* At the end of an allocation, so that the sanitizer sees every byte too far. */
START_TEST(no_byte_behind_the_packet_is_read)
{
	for (size_t length = 0; length <= sizeof(packet); length++) {
		for (int i = 0; i < N_MESSAGES; i++) {
			char *copy = malloc(length ? length : 1);

			ck_assert_ptr_nonnull(copy);
			make(MESSAGES[i].type);
			memcpy(copy, &packet, length);
			if (check((const union broker_packet *)copy, length, MESSAGES[i].n_fds) == 0 &&
			    length != MESSAGES[i].length)
				ck_abort_msg("%zu bytes of %d pass", length, (int)MESSAGES[i].type);
			free(copy);
		}
	}
}
END_TEST

/* Two builds with different shared memory must not have the same number: all its members have fixed sizes. */
START_TEST(layout_is_without_holes)
{
	const struct destination_key *key = &packet.request.key;
	size_t sum = sizeof(key->netns_cookie) + sizeof(key->euid) + sizeof(key->family) + sizeof(key->port) +
		     sizeof(key->address) + sizeof(key->scope_id) + sizeof(key->flow_info) +
		     sizeof(key->local_address) + sizeof(key->local_scope_id) + sizeof(key->is_bound) +
		     sizeof(key->options_length) + sizeof(key->options);

	/* Keys are hashed as bytes. */
	ck_assert_uint_eq(sum, sizeof(*key));
	ck_assert_uint_eq(sizeof(packet.request), sizeof(packet.head) + 6 * sizeof(uint64_t) + sizeof(*key));
	ck_assert_uint_eq(sizeof(packet.reply), sizeof(packet.head) + 3 * sizeof(uint64_t));
	ck_assert_uint_eq(sizeof(packet.hello), sizeof(packet.head) + 16 + BROKER_NAME_MAX + sizeof(packet.request));
}
END_TEST

Suite *broker_wire_suite(void)
{
	Suite *suite = suite_create("broker_wire");
	TCase *tcase = tcase_create("check");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, heads_are_of_this_version);
	tcase_add_loop_test(tcase, messages_of_the_right_length, 0, N_MESSAGES);
	tcase_add_loop_test(tcase, other_types, 0, 7);
	tcase_add_test(tcase, the_question_in_hello);
	tcase_add_test(tcase, another_version);
	tcase_add_loop_test(tcase, bounds_of_requests, 0, 5);
	tcase_add_test(tcase, no_byte_behind_the_packet_is_read);
	tcase_add_test(tcase, layout_is_without_holes);
	suite_add_tcase(suite, tcase);
	return suite;
}
