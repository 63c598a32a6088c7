/*
 * Blocks of two sizes: they grow with what is in them, and go back to where they came from.
 */
#include "pool/base/block.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/fake/sys.h"

static struct block_store store;

static void begin(void)
{
	fake_sys_start();
	block_store_init(&store, &fake_sys);
}

START_TEST(the_size_follows_from_the_length)
{
	struct block block = {0};

	ck_assert(!block_holds(&block, 0));
	ck_assert(block_store_grow(&store, &block, 0, 1));
	ck_assert_uint_eq(block.capacity, BLOCK_SMALL);
	ck_assert(block_holds(&block, BLOCK_SMALL) && !block_holds(&block, BLOCK_SMALL + 1));
	block_store_put(&store, &block);
	ck_assert_ptr_null(block.bytes);
	ck_assert(block_store_grow(&store, &block, 0, BLOCK_SMALL + 1));
	ck_assert_uint_eq(block.capacity, BLOCK_MAX);
	ck_assert_uint_eq(store.small.n_used, 0);
	ck_assert_uint_eq(store.large.n_used, 1);
	block_store_put(&store, &block);
	ck_assert_uint_eq(store.large.n_used, 0);
	block_store_put(&store, &block); /* none */
}
END_TEST

START_TEST(what_is_in_it_moves_with_it)
{
	struct block block = {0};

	ck_assert(block_store_grow(&store, &block, 0, 5));
	memcpy(block.bytes, "bytes", 5);
	ck_assert(block_store_grow(&store, &block, 5, BLOCK_SMALL));
	ck_assert_uint_eq(block.capacity, BLOCK_SMALL);
	ck_assert(block_store_grow(&store, &block, 5, BLOCK_SMALL + 1));
	ck_assert_mem_eq(block.bytes, "bytes", 5);
	ck_assert_uint_eq(store.small.n_used, 0);
}
END_TEST

START_TEST(too_much_changes_nothing)
{
	struct block block = {0}, before;

	ck_assert(!block_store_grow(&store, &block, 0, BLOCK_MAX + 1));
	ck_assert_ptr_null(block.bytes);
	ck_assert(block_store_grow(&store, &block, 0, 10));
	before = block;
	ck_assert(!block_store_grow(&store, &block, 10, SIZE_MAX));
	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert(!block_store_grow(&store, &block, 10, BLOCK_MAX));
	ck_assert_mem_eq(&block, &before, sizeof(block));
}
END_TEST

Suite *block_suite(void)
{
	Suite *suite = suite_create("block");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, begin, fake_sys_stop);
	tcase_add_test(all, the_size_follows_from_the_length);
	tcase_add_test(all, what_is_in_it_moves_with_it);
	tcase_add_test(all, too_much_changes_nothing);
	suite_add_tcase(suite, all);
	return suite;
}
