/*
 * Objects of one size: separate, aligned, reused, and never unmapped.
 */
#include "pool/base/arena.h"

#include <check.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/sys.h"

#define CHUNK (64u * 1024)

static struct arena arena;

static const size_t SIZES[] = {8, 9, 16, 17, 160, 448, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK};

START_TEST(objects_of_any_size_are_apart_and_aligned)
{
	size_t size = SIZES[_i];
	unsigned char *objects[300];

	arena_init(&arena, &fake_sys, size);
	for (int i = 0; i < 300; i++) {
		objects[i] = arena_take(&arena);
		ck_assert_ptr_nonnull(objects[i]);
		ck_assert_uint_eq((uintptr_t)objects[i] % alignof(max_align_t), 0);
		memset(objects[i], i & 0xff, size); /* a sanitizer reports bytes beyond the chunk */
	}
	for (int i = 0; i < 300; i++) {
		/* All bytes are as the first one. */
		ck_assert_int_eq(objects[i][0], i & 0xff);
		ck_assert_int_eq(memcmp(objects[i], objects[i] + 1, size - 1), 0);
	}
	ck_assert_uint_eq(arena.n_used, 300);
	for (int i = 0; i < 300; i++)
		arena_put(&arena, objects[i]);
	ck_assert_uint_eq(arena.n_used, 0);
}
END_TEST

/* Takes so many, which lie behind each other in one new chunk. */
static void fill_chunk(size_t n)
{
	unsigned n_mapped = fake_kernel.n_mapped;
	void *last = NULL;

	for (size_t i = 0; i < n; i++) {
		void *object = arena_take(&arena);

		ck_assert_uint_eq(fake_kernel.n_mapped, n_mapped + 1);
		ck_assert(!last || (char *)object == (char *)last + 64);
		last = object;
	}
}

START_TEST(chunks_grow_to_64_kib_and_are_filled)
{
	arena_init(&arena, &fake_sys, 64);
	ck_assert_uint_eq(fake_kernel.n_mapped, 0);
	fill_chunk(1);
	fill_chunk(8);
	fill_chunk(64);
	fill_chunk(512);
	ck_assert_uint_eq(fake_kernel.mapped_bytes, 585 * 64);
	fill_chunk(CHUNK / 64);
	fill_chunk(CHUNK / 64);
	ck_assert_uint_eq(fake_kernel.mapped_bytes, 585 * 64 + 2 * CHUNK);
}
END_TEST

START_TEST(what_is_put_is_taken_next)
{
	void *a, *b, *c;

	arena_init(&arena, &fake_sys, 100);
	a = arena_take(&arena);
	b = arena_take(&arena);
	c = arena_take(&arena);
	arena_put(&arena, a);
	arena_put(&arena, c);
	arena_put(&arena, b);
	ck_assert_ptr_eq(arena_take(&arena), b);
	ck_assert_ptr_eq(arena_take(&arena), c);
	ck_assert_ptr_eq(arena_take(&arena), a);
	ck_assert_uint_eq(fake_kernel.n_mapped, 2);
}
END_TEST

START_TEST(an_object_put_stays_readable)
{
	char *object;

	arena_init(&arena, &fake_sys, 64);
	object = arena_take(&arena);
	memset(object, 'x', 64);
	arena_put(&arena, object);
	/* Everything but the first pointer's bytes is unchanged, and nothing is ever unmapped. */
	for (size_t i = sizeof(void *); i < 64; i++)
		ck_assert_int_eq(object[i], 'x');
	ck_assert_uint_eq(fake_kernel.n_unmapped, 0);
}
END_TEST

START_TEST(no_memory_is_reported_and_survived)
{
	void *first, *second;

	arena_init(&arena, &fake_sys, CHUNK);
	fake_sys_fail(FAKE_CALL_MAP, 1, 2, ENOMEM);
	ck_assert_ptr_null(arena_take(&arena));
	ck_assert_ptr_null(arena_take(&arena));
	ck_assert_uint_eq(arena.n_used, 0);
	first = arena_take(&arena);
	ck_assert_ptr_nonnull(first);
	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert_ptr_null(arena_take(&arena));
	ck_assert_uint_eq(arena.n_used, 1);
	second = arena_take(&arena);
	ck_assert_ptr_nonnull(second);
	ck_assert_ptr_ne(first, second);
}
END_TEST

START_TEST(random_use_never_hands_out_twice)
{
	static unsigned *held[500];
	unsigned n = 0;

	srandom(1);
	arena_init(&arena, &fake_sys, 200);
	for (unsigned i = 1; i <= 100000; i++) {
		if (n == 0 || (n < 500 && random() % 2)) {
			held[n] = arena_take(&arena);
			ck_assert_ptr_nonnull(held[n]);
			*held[n] = n;
			n++;
		} else {
			unsigned at = (unsigned)random() % n;

			ck_assert_uint_eq(*held[at], at);
			arena_put(&arena, held[at]);
			held[at] = held[--n];
			if (at < n)
				*held[at] = at;
		}
		ck_assert_uint_eq(arena.n_used, n);
	}
	for (unsigned i = 0; i < n; i++)
		ck_assert_uint_eq(*held[i], i);
	/* 500 objects of 208 bytes: five chunks, however often they came and went. */
	ck_assert_uint_le(fake_kernel.n_mapped, 5);
}
END_TEST

Suite *arena_suite(void)
{
	Suite *suite = suite_create("arena");
	TCase *tcase = tcase_create("arena");

	tcase_add_checked_fixture(tcase, fake_sys_start, fake_sys_stop);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, objects_of_any_size_are_apart_and_aligned, 0, sizeof(SIZES) / sizeof(SIZES[0]));
	tcase_add_test(tcase, chunks_grow_to_64_kib_and_are_filled);
	tcase_add_test(tcase, what_is_put_is_taken_next);
	tcase_add_test(tcase, an_object_put_stays_readable);
	tcase_add_test(tcase, no_memory_is_reported_and_survived);
	tcase_add_test(tcase, random_use_never_hands_out_twice);
	suite_add_tcase(suite, tcase);
	return suite;
}
