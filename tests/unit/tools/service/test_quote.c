/*
 * Words of ExecStart= and Environment=, as systemd splits and quotes them.
 */
#include "tools/service/quote.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tools/service/command_line.h"

static const struct {
	const char *text, *words; /* joined by | */
} cases[] = {
	{"", ""},
	{"  ", ""},
	{"a", "a"},
	{" a\tb ", "a|b"},
	{"\"a b\" 'c d'", "a b|c d"},
	{"A=\"b c\"d", "A=b cd"},
	{"\"A=b \\\"c\\\"\"", "A=b \"c\""},
	{"a\\ b", "a b"},
	{"'a\"b'", "a\"b"},
	{"\"\"", ""},
	{"%n $x", "%n|$x"},
	{"a\\", "a\\"},
	{"a\\x41b \\x5C", "aAb|\\"},
	{"\\xg \\x4", "\\xg|\\x4"},
	{"\"a", "!"},
	{"'a\"", "!"},
};

START_TEST(words_are_split)
{
	char joined[256] = "", word[64];
	const char *text = cases[_i].text;
	int result;

	while ((result = quote_take_word(&text, word, sizeof(word))) > 0) {
		strcat(joined, *joined ? "|" : "");
		strcat(joined, word);
	}
	if (result < 0)
		strcat(joined, "!");
	ck_assert_str_eq(joined, cases[_i].words);
}
END_TEST

START_TEST(a_long_word_is_refused)
{
	const char *text = "abcdef";
	char word[4];

	ck_assert_int_eq(quote_take_word(&text, word, sizeof(word)), -ENAMETOOLONG);
}
END_TEST

/* What is quoted is read back, but for percent signs, which are systemd's own. */
START_TEST(quoted_text_is_read_back)
{
	static const char *const texts[] = {"a", "a b", "\"", "\\", "\\\"'", "$x ; #", "a\tb"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char quoted[64] = "\"", word[64];
		const char *text = quoted;

		ck_assert_int_eq(quote_append(quoted, sizeof(quoted) - 1, texts[i], false), 0);
		strcat(quoted, "\"");
		ck_assert_int_eq(quote_take_word(&text, word, sizeof(word)), 1);
		ck_assert_str_eq(word, texts[i]);
	}
}
END_TEST

START_TEST(percent_signs_are_doubled)
{
	char quoted[16] = "";

	ck_assert_int_eq(quote_append(quoted, sizeof(quoted), "%h", true), 0);
	ck_assert_int_eq(quote_append(quoted, sizeof(quoted), "5%", false), 0);
	ck_assert_str_eq(quoted, "%h5%%");
	ck_assert_int_eq(quote_append(quoted, sizeof(quoted), "0123456789abcdef", false), -ENAMETOOLONG);
}
END_TEST

static const struct {
	const char *text;
	int result;
	const char *prefixes, *program, *rest;
} lines[] = {
	{"/bin/a -x", 0, "", "/bin/a", "/bin/a -x"},
	{"-@:!!/bin/a name", 0, "-@:!!", "/bin/a", "/bin/a name"},
	{"+\"/bin/a b\" c", 0, "+", "/bin/a b", "\"/bin/a b\" c"},
	{"", -EINVAL, NULL, NULL, NULL},
	{"-", -EINVAL, NULL, NULL, NULL},
	{"\"-/bin/a\"", -EINVAL, NULL, NULL, NULL},
	{"@@@@@@@@@@/bin/a", -EINVAL, NULL, NULL, NULL},
};

START_TEST(command_lines_are_taken_apart)
{
	struct command_line line;

	ck_assert_int_eq(command_line_parse(&line, lines[_i].text), lines[_i].result);
	if (lines[_i].result)
		return;
	ck_assert_str_eq(line.prefixes, lines[_i].prefixes);
	ck_assert_str_eq(line.program, lines[_i].program);
	ck_assert_str_eq(line.rest, lines[_i].rest);
}
END_TEST

Suite *quote_suite(void)
{
	Suite *suite = suite_create("quote");
	TCase *core = tcase_create("core");

	tcase_add_loop_test(core, words_are_split, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(core, a_long_word_is_refused);
	tcase_add_test(core, quoted_text_is_read_back);
	tcase_add_test(core, percent_signs_are_doubled);
	tcase_add_loop_test(core, command_lines_are_taken_apart, 0, sizeof(lines) / sizeof(lines[0]));
	suite_add_tcase(suite, core);
	return suite;
}
