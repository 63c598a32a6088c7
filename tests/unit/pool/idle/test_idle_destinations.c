/*
 * Which connections are interchangeable, how many destinations are remembered, and what happens without memory.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define REMEMBERED 1024

static struct destination_key some_key(void)
{
	struct destination_key key = fake_pool_key(0x010203);
	int tos = 16;

	key.netns_cookie = 0x0102030405060708;
	key.euid = 1000;
	key.local_address[0] = 127;
	key.is_bound = 1;
	ck_assert_int_eq(destination_key_add_option(&key, 0, 1, &tos, sizeof(tos)), 0);
	ck_assert_int_eq(destination_key_add_option(&key, 1, 36, &tos, sizeof(tos)), 0);
	return key;
}

START_TEST(equal_keys_share)
{
	struct destination_key key = some_key(), same = some_key();
	struct destination *destination = idle_pool_find(&fake_pool, &key);
	struct conn *conn = fake_pool_dial(destination);

	/* Bytes beyond the options in use don't count. */
	memset(same.options + same.options_length, 0xee, DESTINATION_OPTIONS_MAX - same.options_length);
	fake_pool_park(conn);
	ck_assert_ptr_eq(idle_pool_find(&fake_pool, &same), destination);
	ck_assert_ptr_eq(fake_pool_lease(idle_pool_find(&fake_pool, &same)), conn);
	ck_assert_uint_eq(fake_pool.destinations.n, 1);
}
END_TEST

START_TEST(any_byte_makes_a_difference)
{
	struct destination_key key = some_key();
	struct destination *destination = idle_pool_find(&fake_pool, &key);
	unsigned length = destination_key_length(&key), n = 1;
	struct conn *conn = fake_pool_dial(destination);

	fake_pool_park(conn);
	for (unsigned at = 0; at < length; at++) {
		/* Only options that fit make a key. */
		if (at >= offsetof(struct destination_key, options_length) &&
		    at < offsetof(struct destination_key, options))
			continue;
		for (unsigned bit = 0; bit < 8; bit++) {
			struct destination_key other = key;
			struct destination *found;

			((uint8_t *)&other)[at] ^= (uint8_t)(1u << bit);
			found = idle_pool_find(&fake_pool, &other);
			ck_assert_ptr_ne(found, destination);
			ck_assert_ptr_null(fake_pool_lease(found));
			ck_assert_mem_eq(&found->key, &other, length);
			n++;
		}
		/* Reaping took none of the used destinations. */
		ck_assert_ptr_eq(idle_pool_find(&fake_pool, &key), destination);
	}
	ck_assert_uint_eq(n, 1 + (length - 2) * 8);
	ck_assert_ptr_eq(fake_pool_lease(destination), conn);
}
END_TEST

START_TEST(every_field_makes_a_difference)
{
	struct destination_key keys[16];
	struct destination *found[16];
	int one = 1, two = 2;

	for (unsigned i = 0; i < 16; i++)
		keys[i] = fake_pool_key(1);
	keys[1].netns_cookie = 1;
	keys[2].euid = 1;
	keys[3].family = AF_INET6;
	keys[4].port = 1;
	keys[5].address[15] = 1;
	keys[6].scope_id = 1;
	keys[7].flow_info = 1;
	keys[8].local_address[0] = 1;
	keys[9].local_scope_id = 1;
	keys[10].is_bound = 1;
	ck_assert_int_eq(destination_key_add_option(&keys[11], 1, 1, &one, sizeof(one)), 0);
	ck_assert_int_eq(destination_key_add_option(&keys[12], 1, 1, &two, sizeof(two)), 0);
	ck_assert_int_eq(destination_key_add_option(&keys[13], 1, 1, &one, 1), 0);
	ck_assert_int_eq(destination_key_add_option(&keys[14], 1, 2, &one, sizeof(one)), 0);
	ck_assert_int_eq(destination_key_add_option(&keys[15], 2, 1, &one, sizeof(one)), 0);
	for (unsigned i = 0; i < 16; i++) {
		found[i] = idle_pool_find(&fake_pool, &keys[i]);
		fake_pool_park(fake_pool_dial(found[i]));
		for (unsigned j = 0; j < i; j++)
			ck_assert_ptr_ne(found[i], found[j]);
	}
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_ptr_eq(idle_pool_find(&fake_pool, &keys[i]), found[i]);
		ck_assert_ptr_nonnull(fake_pool_lease(found[i]));
		ck_assert_ptr_null(fake_pool_lease(found[i]));
	}
}
END_TEST

START_TEST(order_and_number_of_options_make_a_difference)
{
	struct destination_key ab = fake_pool_key(1), ba = ab, a = ab, aa = ab;

	ck_assert_int_eq(destination_key_add_option(&ab, 1, 1, "a", 1), 0);
	ck_assert_int_eq(destination_key_add_option(&ab, 1, 1, "b", 1), 0);
	ck_assert_int_eq(destination_key_add_option(&ba, 1, 1, "b", 1), 0);
	ck_assert_int_eq(destination_key_add_option(&ba, 1, 1, "a", 1), 0);
	ck_assert_int_eq(destination_key_add_option(&a, 1, 1, "a", 1), 0);
	aa = a;
	ck_assert_int_eq(destination_key_add_option(&aa, 1, 1, "a", 1), 0);
	for (int turn = 0; turn < 2; turn++) {
		idle_pool_find(&fake_pool, &ab);
		idle_pool_find(&fake_pool, &ba);
		idle_pool_find(&fake_pool, &a);
		idle_pool_find(&fake_pool, &aa);
		ck_assert_uint_eq(fake_pool.destinations.n, 4);
	}
}
END_TEST

START_TEST(destinations_are_reaped_beyond_1024)
{
	fake_pool_find(0)->seen_idle_close_ns = 5;
	fake_pool_find(1)->seen_idle_close_ns = 5;
	for (unsigned i = 2; i < REMEMBERED; i++)
		fake_pool_find(i);
	fake_pool_find(0); /* used again: younger than 1 */
	ck_assert_uint_eq(fake_pool.destinations.n, REMEMBERED);
	fake_pool_find(REMEMBERED);
	ck_assert_uint_eq(fake_pool.destinations.n, REMEMBERED);
	ck_assert_uint_eq(fake_pool_find(0)->seen_idle_close_ns, 5);
	ck_assert_uint_eq(fake_pool_find(1)->seen_idle_close_ns, 0); /* forgotten */
	for (unsigned i = 0; i < 100000; i++)
		fake_pool_find(i);
	ck_assert_uint_eq(fake_pool.destinations.n, REMEMBERED);
	ck_assert_uint_eq(fake_pool.destinations.arena.n_used, REMEMBERED);
}
END_TEST

START_TEST(destinations_in_use_stay_and_hold_up_nobody)
{
	struct destination *used[50];

	/* The oldest ones stay in use: open connections such as a WebSocket, and idle ones. */
	for (unsigned i = 0; i < 50; i++) {
		struct conn *conn;

		used[i] = fake_pool_find(i);
		used[i]->seen_idle_close_ns = 5;
		conn = fake_pool_dial(used[i]);
		if (i % 2)
			fake_pool_park(conn);
	}
	for (unsigned i = 0; i < 20000; i++)
		fake_pool_find(i + 100);
	ck_assert_uint_le(fake_pool.destinations.n, REMEMBERED + 50);
	for (unsigned i = 0; i < 50; i++) {
		ck_assert_ptr_eq(fake_pool_find(i), used[i]);
		ck_assert_uint_eq(used[i]->seen_idle_close_ns, 5);
	}
	fake_pool_clear_leaving(25);
}
END_TEST

START_TEST(more_in_use_than_remembered_are_reaped_later)
{
	static struct conn *conns[5 * REMEMBERED];

	for (unsigned i = 0; i < 5 * REMEMBERED; i++)
		conns[i] = fake_pool_dial(fake_pool_find(i));
	ck_assert_uint_eq(fake_pool.destinations.n, 5 * REMEMBERED);
	for (unsigned i = 0; i < 5 * REMEMBERED; i++)
		idle_pool_discard(&fake_pool, conns[i]);
	for (unsigned i = 0; i < 5 * REMEMBERED; i++)
		fake_pool_find(10 * REMEMBERED + i);
	ck_assert_uint_eq(fake_pool.destinations.n, REMEMBERED);
}
END_TEST

/* A program that meets many servers; true if something was refused for lack of memory. */
static bool use_the_pool(unsigned n_destinations, unsigned *n_open)
{
	bool was_refused = false;

	for (unsigned i = 0; i < n_destinations; i++) {
		struct destination *destination = fake_pool_find(i);
		struct conn *conn;

		if (!destination) {
			was_refused = true;
			continue;
		}
		conn = fake_pool_lease(destination);
		if (!conn)
			conn = idle_pool_open(&fake_pool, destination, fake_kernel.now_ns);
		if (!conn) {
			was_refused = true;
			continue;
		}
		if (conn->fd < 0)
			conn->fd = fake_socket_new();
		fake_pool_exchange(conn);
		if (i % 3)
			fake_pool_park(conn);
		else if (i % 2)
			idle_pool_discard(&fake_pool, conn);
		else
			++*n_open; /* and stays open */
	}
	return was_refused;
}

START_TEST(no_memory_at_any_call)
{
	unsigned at = 1, n_open;
	bool was_refused;

	do {
		fake_pool_start();
		n_open = 0;
		fake_sys_fail(FAKE_CALL_MAP, at, 1, ENOMEM);
		was_refused = use_the_pool(1500, &n_open);
		ck_assert_uint_eq(fake_kernel.n_open, n_open + fake_pool.n_idle);
		fake_sys_fail(FAKE_CALL_MAP, 1, 0, 0);
		ck_assert(!use_the_pool(1500, &n_open)); /* as if nothing had happened */
		fake_pool_clear_leaving(n_open);
		at++;
	} while (was_refused);
	ck_assert_uint_gt(at, 15);
}
END_TEST

START_TEST(no_memory_from_any_call_on)
{
	unsigned at = 1, n_open;
	bool was_refused;

	do {
		fake_pool_start();
		n_open = 0;
		fake_sys_fail(FAKE_CALL_MAP, at, UINT32_MAX / 2, ENOMEM);
		was_refused = use_the_pool(1500, &n_open);
		use_the_pool(1500, &n_open);
		ck_assert_uint_eq(fake_kernel.n_open, n_open + fake_pool.n_idle);
		fake_sys_fail(FAKE_CALL_MAP, 1, 0, 0);
		ck_assert(!use_the_pool(1500, &n_open));
		fake_pool_clear_leaving(n_open);
		at++;
	} while (was_refused);
	ck_assert_uint_gt(at, 15);
}
END_TEST

Suite *idle_destinations_suite(void)
{
	Suite *suite = suite_create("idle_destinations");
	TCase *tcase = tcase_create("destinations");

	tcase_add_checked_fixture(tcase, fake_pool_start, fake_sys_stop);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, equal_keys_share);
	tcase_add_test(tcase, any_byte_makes_a_difference);
	tcase_add_test(tcase, every_field_makes_a_difference);
	tcase_add_test(tcase, order_and_number_of_options_make_a_difference);
	tcase_add_test(tcase, destinations_are_reaped_beyond_1024);
	tcase_add_test(tcase, destinations_in_use_stay_and_hold_up_nobody);
	tcase_add_test(tcase, more_in_use_than_remembered_are_reaped_later);
	tcase_add_test(tcase, no_memory_at_any_call);
	tcase_add_test(tcase, no_memory_from_any_call_on);
	suite_add_tcase(suite, tcase);
	return suite;
}
