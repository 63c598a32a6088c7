/*
 * The table of holdline top: order, filter, and lines that fit whatever the terminal is.
 */
#include "tools/top/top.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct top_row rows[4];
static struct top_table table;
static struct top_view view;
static char *text;
static size_t length;

static void add(const char *destination, unsigned n_used, double dials, double reuse, double end_s)
{
	struct top_row *row = &table.rows[table.n_rows++];

	*row = (struct top_row){.n_used = n_used,
				.n_time_wait = n_used / 2,
				.n_established = n_used - n_used / 2,
				.used_ratio = n_used / 180.0,
				.dials = dials,
				.reuse_ratio = reuse,
				.exhaustion_s = end_s};
	snprintf(row->destination, sizeof(row->destination), "%s", destination);
	snprintf(row->source, sizeof(row->source), "10.0.0.1");
	snprintf(row->process, sizeof(row->process), "1234 client");
	snprintf(row->place, sizeof(row->place), "dial_once (client.c:%u)", n_used);
}

static void set_up(void)
{
	table = (struct top_table){
		.first_port = 40000, .last_port = 40199, .n_usable = 180, .dials = 3.25, .rows = rows};
	view = (struct top_view){.columns = 100, .lines = 10};
	add("10.0.0.2:80", 90, 1.5, 0.25, INFINITY);
	add("10.0.0.3:80", 180, 0, -1, 0);
	add("10.0.0.2:443", 20, 250, 0.99, 41);
	add("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", 5, 0.5, 1, 60000);
}

static void tear_down(void)
{
	free(text);
	text = NULL;
}

static void write_table(void)
{
	FILE *stream;

	free(text);
	stream = open_memstream(&text, &length);
	ck_assert_ptr_nonnull(stream);
	top_sort(&table, view.order);
	top_render(&table, &view, stream);
	ck_assert_int_eq(fclose(stream), 0);
}

static const char *line(unsigned number)
{
	static char copy[1024];
	const char *begin = text;

	for (unsigned i = 0; i < number; i++) {
		begin = strchr(begin, '\n');
		ck_assert_ptr_nonnull(begin);
		begin++;
	}
	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(begin, "\n"), begin);
	return copy;
}

static unsigned count_lines(void)
{
	unsigned n = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

static void expect_first(enum top_order order, const char *destination)
{
	view.order = order;
	write_table();
	ck_assert_msg(strncmp(line(2), destination, strlen(destination)) == 0, "by %s: %s", top_order_name(order),
		      line(2));
}

START_TEST(each_order_has_its_first)
{
	expect_first(TOP_BY_USE, "10.0.0.3:80");
	expect_first(TOP_BY_DIALS, "10.0.0.2:443");
	expect_first(TOP_BY_REUSE, "[2001:db8:");
	expect_first(TOP_BY_TIME_WAIT, "10.0.0.3:80");
	expect_first(TOP_BY_END, "10.0.0.3:80");
	expect_first(TOP_BY_NAME, "10.0.0.2:443");
}
END_TEST

START_TEST(lines_fit_whatever_the_size)
{
	view.has_help = true;
	for (view.columns = 1; view.columns <= 250; view.columns++)
		for (view.lines = 1; view.lines < 12; view.lines++) {
			write_table();
			if (view.lines >= 3)
				ck_assert_uint_eq(count_lines(), view.lines);
			for (unsigned i = 0; i < count_lines(); i++)
				ck_assert_uint_le(strlen(line(i)), view.columns);
		}
}
END_TEST

START_TEST(numbers_are_short)
{
	write_table();
	ck_assert_ptr_nonnull(strstr(line(0), "ports 40000-40199, usable 180; estab 0, t-wait 0; dials/s 3.2; by use"));
	ck_assert_ptr_nonnull(strstr(line(2), "100.0%"));
	ck_assert_ptr_nonnull(strstr(line(2), " now "));
	ck_assert_ptr_nonnull(strstr(line(3), " 50.0%    1.5    25%"));
	ck_assert_ptr_nonnull(strstr(line(4), "250    99%"));
	ck_assert_ptr_nonnull(strstr(line(4), "41 s"));
	ck_assert_ptr_nonnull(strstr(line(5), ">1000 min"));
	view.columns = 0;
	view.lines = 0;
	write_table();
	ck_assert_ptr_nonnull(strstr(line(2), "1234 client"));
	ck_assert_ptr_nonnull(strstr(line(2), "dial_once (client.c:180)"));
	ck_assert_ptr_nonnull(strstr(line(5), "[2001:db8:1111:2222:3333:4444:5555:6666]:65535 10.0.0.1 "));
}
END_TEST

START_TEST(a_filter_looks_at_all_texts)
{
	strcpy(view.filter, ":443");
	write_table();
	ck_assert_ptr_nonnull(strstr(line(0), "only :443"));
	ck_assert_str_ne(line(2), "");
	ck_assert_str_eq(line(3), "");
	strcpy(view.filter, "client.c:90)");
	write_table();
	ck_assert_int_eq(strncmp(line(2), "10.0.0.2:80 ", 12), 0);
	ck_assert_str_eq(line(3), "");
	strcpy(view.filter, "1234");
	write_table();
	ck_assert_str_ne(line(5), "");
}
END_TEST

START_TEST(what_is_hidden_is_counted)
{
	view.lines = 5;
	write_table();
	ck_assert_ptr_nonnull(strstr(line(4), "2 more lines"));
	view.is_typing = true;
	strcpy(view.filter, "80");
	write_table();
	ck_assert_ptr_nonnull(strstr(line(4), "show only: 80_"));
	view.is_typing = false;
	view.columns = view.lines = 0;
	view.filter[0] = '\0';
	write_table();
	ck_assert_uint_eq(count_lines(), 6);
}
END_TEST

START_TEST(colours_only_where_they_are_wanted)
{
	write_table();
	ck_assert_ptr_null(strchr(text, '\033'));
	view.has_colors = true;
	write_table();
	ck_assert_int_eq(strncmp(line(2), "\033[31m", 5), 0); /* full */
	ck_assert_ptr_null(strchr(line(3), '\033'));
	ck_assert_int_eq(strncmp(line(4), "\033[33m", 5), 0); /* soon */
}
END_TEST

Suite *top_suite(void)
{
	Suite *suite = suite_create("top");
	TCase *tests = tcase_create("top");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, each_order_has_its_first);
	tcase_add_test(tests, lines_fit_whatever_the_size);
	tcase_add_test(tests, numbers_are_short);
	tcase_add_test(tests, a_filter_looks_at_all_texts);
	tcase_add_test(tests, what_is_hidden_is_counted);
	tcase_add_test(tests, colours_only_where_they_are_wanted);
	suite_add_tcase(suite, tests);
	return suite;
}
