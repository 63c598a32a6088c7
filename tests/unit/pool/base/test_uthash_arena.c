/*
 * Hash tables on the system's memory: all of it comes from pool_sys and goes back there, and if any call fails for lack
 * of memory the table is unchanged.
 */
#include "pool/base/uthash_arena.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/fake/sys.h"

#define ITEMS 3000

struct item {
	unsigned key;
	UT_hash_handle hh;
};

static struct item items[ITEMS];
static struct item *table;

static void start(void)
{
	fake_sys_start();
	uthash_arena_use(&fake_sys);
	table = NULL;
	memset(items, 0, sizeof(items));
}

static int add(unsigned i)
{
	items[i].key = i;
	HASH_ADD(hh, table, key, sizeof(items[i].key), &items[i]);
	return items[i].hh.tbl ? 0 : -1;
}

static struct item *find(unsigned key)
{
	struct item *item;

	HASH_FIND(hh, table, &key, sizeof(key), item);
	return item;
}

static void remove_all(void)
{
	while (table) {
		struct item *item = table;

		HASH_DEL(table, item);
	}
}

START_TEST(memory_is_the_systems)
{
	unsigned char *memory = uthash_arena_take(5000);

	ck_assert_ptr_nonnull(memory);
	ck_assert_uint_eq(fake_kernel.mapped_bytes, 5000);
	uthash_arena_put(memory, 5000);
	ck_assert_uint_eq(fake_kernel.n_mapped, 0);
	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert_ptr_null(uthash_arena_take(1));
}
END_TEST

START_TEST(a_table_gives_back_all)
{
	for (unsigned i = 0; i < ITEMS; i++)
		ck_assert_int_eq(add(i), 0);
	ck_assert_uint_gt(fake_kernel.n_unmapped, 3); /* it has grown */
	ck_assert_uint_eq(fake_kernel.n_mapped, 2);
	for (unsigned i = 0; i < ITEMS; i++)
		ck_assert_ptr_eq(find(i), &items[i]);
	ck_assert_ptr_null(find(ITEMS));
	remove_all();
	ck_assert_uint_eq(fake_kernel.n_mapped, 0);
}
END_TEST

/* The `n`-th call fails and those after it succeed. Returns whether any did fail. */
static bool fill_with_failure(unsigned n)
{
	unsigned n_failed = 0, n_calls;

	fake_sys_fail(FAKE_CALL_MAP, n, 1, ENOMEM);
	n_calls = fake_kernel.n_calls[FAKE_CALL_MAP];
	for (unsigned i = 0; i < ITEMS; i++) {
		if (add(i) == 0)
			continue;
		n_failed++;
		ck_assert_ptr_null(find(i));
		ck_assert_uint_eq(HASH_COUNT(table), i);
		ck_assert_int_eq(add(i), 0); /* once there is memory again */
	}
	ck_assert_uint_le(n_failed, 1);
	for (unsigned i = 0; i < ITEMS; i++)
		ck_assert_ptr_eq(find(i), &items[i]);
	ck_assert_uint_eq(HASH_COUNT(table), ITEMS);
	n_calls = fake_kernel.n_calls[FAKE_CALL_MAP] - n_calls;
	ck_assert(n_failed || n_calls < n);
	return n_failed;
}

START_TEST(no_memory_at_any_call)
{
	unsigned n = 1;

	for (; fill_with_failure(n); n++) {
		remove_all();
		ck_assert_uint_eq(fake_kernel.n_mapped, 0);
		memset(items, 0, sizeof(items));
	}
	ck_assert_uint_gt(n, 5);
	remove_all();
}
END_TEST

START_TEST(no_memory_for_long)
{
	unsigned n_added = 0;

	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(add(i), 0);
	fake_sys_fail(FAKE_CALL_MAP, 1, UINT32_MAX / 2, ENOMEM);
	for (unsigned i = 10; i < ITEMS; i++)
		n_added += add(i) == 0;
	ck_assert_uint_eq(HASH_COUNT(table), 10 + n_added);
	for (unsigned i = 0; i < ITEMS; i++)
		ck_assert_ptr_eq(find(i), items[i].hh.tbl ? &items[i] : NULL);
	fake_sys_fail(FAKE_CALL_MAP, 1, 0, 0);
	for (unsigned i = 0; i < ITEMS; i++)
		if (!items[i].hh.tbl)
			ck_assert_int_eq(add(i), 0);
	ck_assert_uint_eq(HASH_COUNT(table), ITEMS);
	for (unsigned i = 0; i < ITEMS; i++)
		ck_assert_ptr_eq(find(i), &items[i]);
	remove_all();
	ck_assert_uint_eq(fake_kernel.n_mapped, 0);
}
END_TEST

Suite *uthash_arena_suite(void)
{
	Suite *suite = suite_create("uthash_arena");
	TCase *tcase = tcase_create("memory");

	tcase_add_checked_fixture(tcase, start, fake_sys_stop);
	tcase_add_test(tcase, memory_is_the_systems);
	tcase_add_test(tcase, a_table_gives_back_all);
	tcase_add_test(tcase, no_memory_at_any_call);
	tcase_add_test(tcase, no_memory_for_long);
	suite_add_tcase(suite, tcase);
	return suite;
}
