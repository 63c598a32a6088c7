/*
 * The text of a unit's file, and the names of units. Drop-ins and aliases are tested with files, in tests/delivery.
 */
#include "tools/service/unit.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text, *values; /* of A=, joined by | */
} cases[] = {
	{"", ""},
	{"[Service]\nA=1\n", "1"},
	{"[Service]\nA=1", "1"},
	{"A=1\n[Unit]\nA=2\n[Service]\n A = 3 \n[Install]\nA=4\n", "3"},
	{"[Service]\nA=1\nA=2\nB=3\n", "1|2"},
	{"[Service]\nA=1\nA=\nA=2\n", "2"},
	{"[Service]\nA=1 \\\n  2 \\\n3\n", "1    2  3"},
	{"[Service]\nA=1 \\\n# no\n; no\n2\nA=3\n", "1  2|3"},
	{"[Service]\n#A=1\n;A=2\n# continues not \\\nA=3\n", "3"},
	{"[Service]\nA=1\\", "1"},
	{"[Service]\r\nA=1\r\n", "1"},
	{"[Service]\n=1\n\n\nA\n", ""},
	{"[Service]\nA=\\\n", ""},
};

START_TEST(text_is_read)
{
	struct unit unit = {.root = ""};
	char joined[256] = "", *text = strdup(cases[_i].text);
	size_t position = 0;
	const char *value;

	ck_assert_int_eq(unit_add_text(&unit, text), 0);
	while ((value = unit_next(&unit, "A", &position))) {
		strcat(joined, *joined ? "|" : "");
		strcat(joined, value);
	}
	ck_assert_str_eq(joined, cases[_i].values);
	unit_fini(&unit);
	free(text);
}
END_TEST

static const struct {
	const char *given;
	int result;
	const char *name;
} names[] = {
	{"a", 0, "a.service"},	 {"a.service", 0, "a.service"}, {"a.b", 0, "a.b.service"}, {"a@b", 0, "a@b.service"},
	{"a@", 0, "a@.service"}, {"a.timer", -EINVAL, NULL},	{"a/b", -EINVAL, NULL},	   {"..", -EINVAL, NULL},
	{"", -EINVAL, NULL},	 {"a b", -EINVAL, NULL},	{"@b", -EINVAL, NULL},	   {"-x", -EINVAL, NULL},
	{"a\nb", -EINVAL, NULL},
};

START_TEST(names_are_completed)
{
	char name[NAME_MAX + 1];

	ck_assert_int_eq(unit_complete_name(names[_i].given, name), names[_i].result);
	if (names[_i].name)
		ck_assert_str_eq(name, names[_i].name);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("unit");
	TCase *core = tcase_create("core");

	tcase_add_loop_test(core, text_is_read, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(core, names_are_completed, 0, sizeof(names) / sizeof(names[0]));
	suite_add_tcase(suite, core);
	return suite;
}
