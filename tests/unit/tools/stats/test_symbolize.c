/*
 * Addresses of this very program, found in its own symbols and lines; and files without either.
 */
#include "tools/stats/symbolize.h"

#include <check.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct symbolizer *symbolizer;
static struct symbolize_place place;
static char self[PATH_MAX];

static void start(void)
{
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(length, 0);
	self[length] = '\0';
	symbolizer = symbolizer_new(true);
}

static void stop(void)
{
	symbolizer_free(symbolizer);
}

static uint64_t return_address, load_address;

__attribute__((noinline)) static void note_caller(void)
{
	Dl_info info;

	return_address = (uint64_t)(uintptr_t)__builtin_return_address(0);
	ck_assert_int_ne(dladdr((void *)(uintptr_t)return_address, &info), 0);
	load_address = (uint64_t)(uintptr_t)info.dli_fbase;
}

__attribute__((noinline)) static int a_function_of_some_name(void)
{
	note_caller();
	return __LINE__ - 1;
}

START_TEST(a_call_is_found)
{
	int line = a_function_of_some_name();

	ck_assert(symbolize(symbolizer, self, return_address - load_address, &place));
	ck_assert_str_eq(place.function, "a_function_of_some_name");
	ck_assert_int_eq(place.line, line);
	ck_assert_ptr_nonnull(strstr(place.file, "test_symbolize.c"));
	/* Once more, from the cache. */
	ck_assert(symbolize(symbolizer, self, return_address - load_address, &place));
	ck_assert_int_eq(place.line, line);
}
END_TEST

START_TEST(exported_names_are_enough_for_a_function)
{
	Dl_info info;

	/* The C library's own debugging information is seldom installed. */
	ck_assert_int_ne(dladdr((void *)(uintptr_t)qsort, &info), 0);
	ck_assert(symbolize(symbolizer, info.dli_fname,
			    (uint64_t)((uintptr_t)info.dli_saddr - (uintptr_t)info.dli_fbase) + 1, &place));
	ck_assert_ptr_nonnull(place.function);
	ck_assert_ptr_nonnull(strstr(place.function, "qsort"));
}
END_TEST

START_TEST(what_is_nowhere_is_nothing)
{
	static const char *const paths[] = {"/nonexistent", "/", "/dev/zero",	   "/dev/null",
					    "/etc/passwd",  "",	 "linux-vdso.so.1"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ck_assert_msg(!symbolize(symbolizer, paths[i], 0x1000, &place), "%s", paths[i]);
		ck_assert_ptr_null(place.function);
		ck_assert_ptr_null(place.file);
		ck_assert_int_eq(place.line, 0);
	}
	ck_assert(!symbolize(symbolizer, self, 0, &place));
	ck_assert(!symbolize(symbolizer, self, 1, &place));
	ck_assert(!symbolize(symbolizer, self, UINT64_MAX, &place));
	ck_assert(!symbolize(symbolizer, self, UINT64_MAX / 2, &place));
}
END_TEST

static void copy_self(const char *path, size_t length)
{
	int from = open(self, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char buffer[4096];
	ssize_t n;

	for (; length > 0 && (n = read(from, buffer, length < sizeof(buffer) ? length : sizeof(buffer))) > 0;
	     length -= (size_t)n)
		ck_assert_int_eq(write(to, buffer, (size_t)n), n);
	close(from);
	close(to);
}

START_TEST(half_a_file_does_no_harm)
{
	static const size_t lengths[] = {0, 1, 4, 16, 63, 64, 65, 100, 1000, 4096, 20000, 50000, 200000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char path[64];

		/* Each by another path: files read once are cached. */
		snprintf(path, sizeof(path), "/tmp/holdline-unit-%d-%zu", (int)getpid(), i);
		copy_self(path, lengths[i]);
		symbolize(symbolizer, path, 0x2000, &place);
		ck_assert_ptr_null(place.file); /* DWARF is at the end */
		unlink(path);
	}
}
END_TEST

START_TEST(files_of_others_are_not_parsed)
{
	struct symbolizer *wary = symbolizer_new(false);
	char path[64];

	a_function_of_some_name();
	snprintf(path, sizeof(path), "/tmp/holdline-unit-%d", (int)getpid());
	copy_self(path, SIZE_MAX);
	if (geteuid() == 0) {
		ck_assert(symbolize(wary, path, return_address - load_address, &place));
		symbolizer_free(wary);
		wary = symbolizer_new(false);
		ck_assert_int_eq(chown(path, 65534, 65534), 0);
	}
	ck_assert(!symbolize(wary, path, return_address - load_address, &place));
	ck_assert(symbolize(symbolizer, path, return_address - load_address, &place));
	unlink(path);
	symbolizer_free(wary);
}
END_TEST

START_TEST(files_without_end_are_bounded)
{
	char path[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/nonexistent/%d", i);
		ck_assert(!symbolize(symbolizer, path, 1000, &place));
	}
}
END_TEST

Suite *symbolize_suite(void)
{
	Suite *suite = suite_create("symbolize");
	TCase *tcase = tcase_create("places");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, a_call_is_found);
	tcase_add_test(tcase, exported_names_are_enough_for_a_function);
	tcase_add_test(tcase, what_is_nowhere_is_nothing);
	tcase_add_test(tcase, half_a_file_does_no_harm);
	tcase_add_test(tcase, files_of_others_are_not_parsed);
	tcase_add_test(tcase, files_without_end_are_bounded);
	suite_add_tcase(suite, tcase);
	return suite;
}
