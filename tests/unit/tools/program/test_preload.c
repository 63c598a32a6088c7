/*
 * LD_PRELOAD: the user's libraries stay, and stay first.
 */
#include "tools/program/preload.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *before, *after;
} cases[] = {
	{NULL, "/x/libholdline.so"},
	{"", "/x/libholdline.so"},
	{"/a.so", "/a.so:/x/libholdline.so"},
	{"/a.so:/b.so", "/a.so:/b.so:/x/libholdline.so"},
	{"/a.so /b.so", "/a.so /b.so:/x/libholdline.so"},
	{"/x/libholdline.so", "/x/libholdline.so"},
	{"/x/libholdline.so:/b.so", "/x/libholdline.so:/b.so"},
	{"/a.so  /x/libholdline.so", "/a.so  /x/libholdline.so"},
	{"/x/libholdline.so.1", "/x/libholdline.so.1:/x/libholdline.so"},
	{"/y/x/libholdline.so", "/y/x/libholdline.so:/x/libholdline.so"},
	{"::", ":::/x/libholdline.so"},
};

START_TEST(library_is_appended_once)
{
	if (cases[_i].before)
		setenv("LD_PRELOAD", cases[_i].before, 1);
	else
		unsetenv("LD_PRELOAD");
	ck_assert_int_eq(preload_append("/x/libholdline.so"), 0);
	ck_assert_str_eq(getenv("LD_PRELOAD"), cases[_i].after);
}
END_TEST

static const struct {
	const char *before, *after;
} removals[] = {
	{NULL, NULL},
	{"/x/libholdline.so", NULL},
	{":/x/libholdline.so ", NULL},
	{"/a.so:/x/libholdline.so", "/a.so"},
	{"/x/libholdline.so:/b.so", ":/b.so"},
	{"/x/libholdline.so.1", "/x/libholdline.so.1"},
};

START_TEST(library_is_taken_out)
{
	const char *after;

	if (removals[_i].before)
		setenv("LD_PRELOAD", removals[_i].before, 1);
	else
		unsetenv("LD_PRELOAD");
	ck_assert_int_eq(preload_remove("/x/libholdline.so"), 0);
	after = getenv("LD_PRELOAD");
	ck_assert(after == removals[_i].after || strcmp(after, removals[_i].after) == 0);
}
END_TEST

START_TEST(override_is_made_absolute_or_refused)
{
	char path[PATH_MAX];

	setenv("HOLDLINE_LIBRARY", "/proc/../proc/self/exe", 1);
	ck_assert_int_eq(preload_find_library(path), 0);
	ck_assert_ptr_null(strstr(path, ".."));
	setenv("HOLDLINE_LIBRARY", "/nonexistent/library.so", 1);
	ck_assert_int_eq(preload_find_library(path), -ENOENT);
	ck_assert_str_eq(path, "/nonexistent/library.so");
}
END_TEST

Suite *preload_suite(void)
{
	Suite *suite = suite_create("preload");
	TCase *core = tcase_create("core");

	tcase_add_loop_test(core, library_is_appended_once, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(core, library_is_taken_out, 0, sizeof(removals) / sizeof(removals[0]));
	tcase_add_test(core, override_is_made_absolute_or_refused);
	suite_add_tcase(suite, core);
	return suite;
}
