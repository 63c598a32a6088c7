/*
 * Reports: verdicts in words, numbers as text, curves made of samples, and pages of invalid reports.
 */
#include "tools/report/verdict.h"

#include <check.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/stats/stats.h"
#include "tools/base/text.h"
#include "tools/report/html.h"
#include "tools/report/read.h"
#include "tools/report/samples.h"
#include "tools/report/series.h"
#include "tools/report/text.h"

static cJSON *root;
static struct report_verdict verdict;

static void judge(const char *json)
{
	cJSON_Delete(root);
	root = cJSON_Parse(json);
	ck_assert_ptr_nonnull(root);
	report_judge(root, &verdict);
}

static void stop(void)
{
	cJSON_Delete(root);
	root = NULL;
}

static bool has_note(const char *part)
{
	for (unsigned i = 0; i < verdict.n_notes; i++)
		if (strstr(verdict.notes[i], part))
			return true;
	return false;
}

START_TEST(reuse_is_fine)
{
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":2000,\"dialed\":1,\"reused\":1999},\"refusals\":{\"stale\":3}}");
	ck_assert_int_eq(verdict.level, REPORT_FINE);
	ck_assert_str_eq(verdict.headline,
			 "1,999 of 2,000 connects were served by a kept connection (99.95 %); 1 had to be dialed.");
	ck_assert_uint_eq(verdict.n_notes, 0);
}
END_TEST

/* The sentence's numbers add up, and its share is of the connects that it names. */
START_TEST(every_connect_is_told)
{
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":200,\"dialed\":1,\"reused\":184,\"dial_failures\":15}}");
	ck_assert_str_eq(verdict.headline,
			 "184 of 200 connects were served by a kept connection (92 %); 1 had to be dialed, 15 failed.");
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":151,\"dialed\":0,\"reused\":150}}");
	ck_assert_str_eq(verdict.headline, "150 of 151 connects were served by a kept connection (99.34 %); "
					   "0 had to be dialed, 1 without an outcome on record.");
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":2000,\"dialed\":3,\"reused\":1,\"dial_failures\":1,\"abandoned\":1}}");
	ck_assert_str_eq(verdict.headline,
			 "1 of 2,000 connects was served by a kept connection (0.05 %); "
			 "3 had to be dialed, 1 failed, 1 was given up, 1,994 without an outcome on record.");
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":1,\"dialed\":0,\"reused\":1}}");
	ck_assert_str_eq(verdict.headline,
			 "1 of 1 connect was served by a kept connection (100 %); 0 had to be dialed.");
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":30,\"dialed\":18,\"dial_failures\":12}}");
	ck_assert_str_eq(verdict.headline,
			 "None of 30 connects was served by a kept connection; 18 had to be dialed, 12 failed.");
	/* A request that was sent again on a fresh connection is in both columns. */
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":2,\"dialed\":2,\"reused\":2}}");
	ck_assert_str_eq(verdict.headline,
			 "2 of 2 connects were served by a kept connection (100 %); 2 had to be dialed.");
}
END_TEST

START_TEST(no_reuse_has_a_reason)
{
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":10,\"dialed\":10,\"reused\":0},"
	      "\"refusals\":{\"stale\":3,\"server_close\":7}}");
	ck_assert_int_eq(verdict.level, REPORT_POOR);
	ck_assert_str_eq(verdict.headline, "None of 10 connects was served by a kept connection; 10 had to be dialed.");
	ck_assert(has_note("server_close (7 times)"));
}
END_TEST

/* Those that were left alone for it are more than those of which it was learnt. */
START_TEST(the_cause_comes_before_its_consequence)
{
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":140,\"dialed\":140,\"reused\":0},"
	      "\"refusals\":{\"bypassed\":129,\"server_close\":10,\"error\":1}}");
	ck_assert(has_note("server_close (10 times)"));
	ck_assert(has_note("129 more were then left alone"));
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":9,\"dialed\":9},\"refusals\":{\"bypassed\":9}}");
	ck_assert(has_note("bypassed (9 times)"));
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":50,\"dialed\":50,\"reusable\":4},"
	      "\"refusals\":{\"bypassed\":46,\"tls_opaque\":4}}");
	ck_assert(has_note("With --tls=reuse its HTTPS"));
	ck_assert(!has_note("4 connections were HTTPS"));
}
END_TEST

START_TEST(failures_and_ports_are_told)
{
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":10,\"dialed\":0,\"reused\":9,\"dial_failures\":1},"
	      "\"errors\":{\"ECONNREFUSED\":1}}");
	ck_assert_int_eq(verdict.level, REPORT_FAIR);
	ck_assert(has_note("1 dial failed with ECONNREFUSED"));
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":20,\"dialed\":1,\"reused\":9,\"dial_failures\":10},"
	      "\"errors\":{\"EADDRNOTAVAIL\":4,\"ETIMEDOUT\":6},"
	      "\"ports\":{\"peak_used\":90,\"usable\":100,\"source\":\"10.0.0.2\",\"destination\":\"10.0.0.1:80\"}}");
	ck_assert_int_eq(verdict.level, REPORT_POOR);
	ck_assert(has_note("Of 10 dials that failed 4 found no free port"));
	ck_assert(has_note(
		"90 of 100 usable ports (90 %) from 10.0.0.2 to 10.0.0.1:80 were in use, by all programs together."));
	ck_assert_str_eq(verdict.ports, "");
}
END_TEST

START_TEST(one_is_singular)
{
	judge("{\"mode\":\"observe\",\"totals\":{\"connects\":1,\"dialed\":1,\"reusable\":1,\"dial_failures\":1},"
	      "\"refusals\":{\"tls_opaque\":1},\"errors\":{\"EADDRNOTAVAIL\":1},\"destinations\":[{\"destination\":\"a:1\","
	      "\"replay\":{\"uses\":2,\"dials\":1,\"pool_size\":1}}]}");
	ck_assert_ptr_nonnull(strstr(verdict.headline, "1 of 1 connection could"));
	ck_assert(has_note("would have dialed 1 time for"));
	ck_assert(has_note("1 connection was HTTPS"));
	ck_assert(has_note("Of 1 dial that failed 1 found"));
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":2,\"dialed\":2},\"refusals\":{\"stale\":1}}");
	ck_assert(has_note("stale (1 time)"));
}
END_TEST

static unsigned count_in(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		n++;
	return n;
}

/* Whether a note tells of it or it comes last: once, and with whose ports they are. */
START_TEST(the_peak_of_ports_is_told_once)
{
	static const char *const peaks[] = {"1", "51", "100"};

	for (size_t i = 0; i < sizeof(peaks) / sizeof(peaks[0]); i++) {
		char *text = NULL, json[256];
		size_t length;
		FILE *stream = open_memstream(&text, &length);

		snprintf(json, sizeof(json),
			 "{\"mode\":\"full\",\"totals\":{\"connects\":2,\"dialed\":1,\"reused\":1},\"ports\":{"
			 "\"peak_used\":%s,\"usable\":100,\"source\":\"a\",\"destination\":\"b\"}}",
			 peaks[i]);
		judge(json);
		report_print(stream, root);
		fclose(stream);
		ck_assert_uint_eq(count_in(text, "At the peak"), 1);
		ck_assert_uint_eq(count_in(text, "in use, by all programs together"), 1);
		free(text);
	}
}
END_TEST

START_TEST(observed_runs_are_told_apart)
{
	judge("{\"mode\":\"observe\",\"totals\":{\"connects\":100,\"dialed\":100,\"reusable\":98},"
	      "\"destinations\":[{\"destination\":\"a:1\",\"replay\":{\"uses\":3,\"dials\":1,\"pool_size\":1}},"
	      "{\"destination\":\"b:2\",\"replay\":{\"uses\":97,\"dials\":6,\"pool_size\":6}}]}");
	ck_assert_int_eq(verdict.level, REPORT_FINE);
	ck_assert_ptr_nonnull(
		strstr(verdict.headline, "98 of 100 connections could have been kept and used again (98 %)"));
	ck_assert(has_note("To b:2 a pool of 6 would have dialed 6 times for the last 97 connections."));
	judge("{\"mode\":\"off\",\"totals\":{}}");
	ck_assert_ptr_nonnull(strstr(verdict.headline, "switched off"));
	judge("{\"mode\":\"full\",\"totals\":{\"connects\":1,\"dialed\":1}}");
	ck_assert_ptr_nonnull(strstr(verdict.headline, "One connect only"));
	judge("{\"mode\":\"full\",\"complete\":false,\"processes\":{\"running\":2},\"totals\":{\"connects\":2,\"reused\":2}}");
	ck_assert(has_note("2 of its processes still ran"));
	ck_assert(has_note("could not be read"));
}
END_TEST

START_TEST(every_reason_is_explained)
{
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
		ck_assert_msg(*report_explain(stats_refusal_names[i]), "%s", stats_refusal_names[i]);
	ck_assert_str_eq(report_explain("nonsense"), "");
}
END_TEST

START_TEST(numbers_are_readable)
{
	char text[REPORT_TEXT_MAX];

	ck_assert_str_eq(report_count(0, text), "0");
	ck_assert_str_eq(report_count(999, text), "999");
	ck_assert_str_eq(report_count(1000, text), "1,000");
	ck_assert_str_eq(report_count(1e15, text), "1,000,000,000,000,000");
	ck_assert_str_eq(report_percent(0, text), "0 %");
	ck_assert_str_eq(report_percent(0.00001, text), "< 0.01 %");
	ck_assert_str_eq(report_percent(0.5, text), "50 %");
	ck_assert_str_eq(report_percent(0.123, text), "12 %");
	ck_assert_str_eq(report_percent(0.9975, text), "99.75 %");
	ck_assert_str_eq(report_percent(0.999999, text), "> 99.99 %");
	ck_assert_str_eq(report_percent(1, text), "100 %");
	ck_assert_str_eq(report_duration(0.000064, text), "64 us");
	ck_assert_str_eq(report_duration(0.0021, text), "2.1 ms");
	ck_assert_str_eq(report_duration(0.25, text), "250 ms");
	ck_assert_str_eq(report_duration(12.34, text), "12.3 s");
	ck_assert_str_eq(report_duration(200, text), "3 min 20 s");
}
END_TEST

START_TEST(what_is_not_there_is_nothing)
{
	root = cJSON_Parse("{\"a\":\"text\",\"b\":-1,\"c\":1e300,\"d\":[1,2],\"e\":{\"x\":3,\"y\":\"z\",\"w\":7}}");
	ck_assert_double_eq(report_number(root, "a"), 0);
	ck_assert_double_eq(report_number(root, "b"), 0);
	ck_assert_double_eq(report_number(root, "c"), 1e15);
	ck_assert_double_eq(report_number(NULL, "c"), 0);
	ck_assert_str_eq(report_string(root, "b"), "");
	ck_assert_ptr_null(report_object(root, "d"));
	ck_assert_str_eq(report_greatest(report_object(root, "e"))->string, "w");
	ck_assert_ptr_null(report_greatest(report_object(root, "d")));
}
END_TEST

START_TEST(a_command_is_cut_at_a_character)
{
	char text[12];

	root = cJSON_Parse("{\"command\":[\"abc\",\"d\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\",5]}");
	report_command(root, text, sizeof(text));
	ck_assert_str_eq(text, "abc d\xC3\xA4...");
	stop();
	root = cJSON_Parse("{\"command\":[\"abc\",\"def\"]}");
	report_command(root, text, sizeof(text));
	ck_assert_str_eq(text, "abc def");
}
END_TEST

static char *write_page(const char *json)
{
	static char *page;
	static size_t length;
	FILE *stream = open_memstream(&page, &length);

	stop();
	root = cJSON_Parse(json);
	ck_assert_ptr_nonnull(root);
	report_write_html(stream, root);
	report_print(stream, root);
	fclose(stream);
	return page;
}

START_TEST(whatever_is_in_it_is_text)
{
	char *page = write_page(
		"{\"command\":[\"<script>alert(1)</script>\"],\"mode\":\"full\",\"signal\":\"<b>\",\"totals\":{\"connects\":3,\"dialed\":3},"
		"\"refusals\":{\"<i>\":3},\"errors\":{\"\\\" onload=\\\"x\":1},\"ports\":{\"usable\":5,\"peak_used\":5,\"source\":\"<u>\","
		"\"destination\":\"<u>\"},\"destinations\":[{\"destination\":\"<u>\",\"connects\":3}],\"callsites\":[{\"location\":\"<u>\","
		"\"function\":\"operator<\",\"program\":\"\\u001b[2J\\u202e<u>\",\"destination\":\"<u>\",\"connects\":3,\"dialed\":1,"
		"\"callers\":[{\"location\":\"<u>\",\"function\":\"<u>\"}]}],\"samples\":[{\"seconds\":0},{\"seconds\":1,\"dialed\":1,"
		"\"ports_used\":3,\"ports_usable\":4},{\"seconds\":2,\"dialed\":2},{\"seconds\":3,\"dialed\":3,\"reused\":3}]}");
	char *end = strstr(page, "</html>");

	ck_assert_ptr_nonnull(end);
	*end = '\0'; /* the tables of text follow */
	ck_assert_ptr_null(strstr(page, "<script"));
	ck_assert_ptr_null(strstr(page, "<u>"));
	ck_assert_ptr_null(strstr(page, "<b><"));
	ck_assert_ptr_null(strstr(page, "\" onload"));
	ck_assert_ptr_null(strchr(page, '\x1b'));
	ck_assert_ptr_null(strstr(page, "\xE2\x80\xAE"));
	ck_assert_ptr_nonnull(strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
	ck_assert_ptr_nonnull(strstr(page, "operator&lt;"));
	ck_assert_ptr_null(strchr(end + 1, '\x1b'));
	free(page);
}
END_TEST

/* Whatever the numbers are, each opened tag is closed, and no number is printed as NaN. */
START_TEST(odd_reports_make_pages_too)
{
	static const char *const odd[] = {
		"{}",
		"[]",
		"{\"totals\":5,\"samples\":{},\"destinations\":\"x\",\"callsites\":{\"a\":{}},\"refusals\":[1],\"command\":7}",
		"{\"totals\":{\"connects\":1e300,\"dialed\":1e-300,\"reused\":1e300},\"duration_seconds\":1e300,\"started_unix_seconds\":1e300,"
		"\"samples\":[{\"seconds\":1e300},{\"seconds\":0,\"dialed\":1e300},{\"seconds\":-1},{\"seconds\":1e300,\"ports_usable\":1e300}]}",
		"{\"totals\":{\"connects\":5},\"samples\":[{\"seconds\":1e-300},{\"seconds\":1e-300},{\"seconds\":1e-300},{\"seconds\":1e-300,"
		"\"dialed\":5,\"ports_used\":1e-9,\"ports_usable\":1e-9}]}",
		"{\"totals\":{\"connects\":5},\"samples\":[{\"seconds\":3,\"dialed\":9},{\"seconds\":2,\"dialed\":4},{\"seconds\":1,\"dialed\":1},"
		"{\"seconds\":90000,\"dialed\":2}],\"destinations\":[{},[],5],\"callsites\":[{\"connects\":1,\"dialed\":9},{},4]}",
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		char *page = write_page(odd[i]);

		ck_assert_ptr_nonnull(strstr(page, "</html>"));
		ck_assert_ptr_null(strstr(page, "nan"));
		ck_assert_ptr_null(strstr(page, "inf"));
		free(page);
	}
}
END_TEST

START_TEST(samples_become_rates)
{
	struct report_series series;
	double sum = 0;

	root = cJSON_Parse(
		"{\"samples\":[{\"seconds\":0},{\"seconds\":1,\"dialed\":100,\"reused\":0,\"ports_used\":10,\"ports_usable\":50},"
		"{\"seconds\":3,\"dialed\":100,\"reused\":50},{\"seconds\":4,\"dialed\":120,\"reused\":50,\"ports_used\":40,\"ports_usable\":50}]}");
	report_make_series(root, &series);
	ck_assert_uint_eq(series.n, 4);
	ck_assert_double_eq(series.seconds, 4);
	ck_assert_double_eq_tol(series.dialed[0], 100, 1e-9);
	ck_assert_double_eq_tol(series.dialed[1], 0, 1e-9);
	ck_assert_double_eq_tol(series.reused[1], 25, 1e-9);
	ck_assert_double_eq_tol(series.dialed[3], 20, 1e-9);
	ck_assert_double_eq(series.ports_usable, 50);
	ck_assert_double_eq_tol(series.ports_used[1], 15, 1e-9); /* between those with a measurement */
	ck_assert_double_eq_tol(series.ports_used[3], 35, 1e-9);
	for (size_t i = 0; i < series.n; i++)
		sum += series.dialed[i] * series.seconds / (double)series.n;
	ck_assert_double_eq_tol(sum, 120, 1e-9);
	stop();
	root = cJSON_Parse("{\"samples\":[{\"seconds\":0},{\"seconds\":1,\"dialed\":100}]}");
	report_make_series(root, &series);
	ck_assert_uint_eq(series.n, 0);
}
END_TEST

START_TEST(samples_never_are_too_many)
{
	static struct report_samples samples;

	report_samples_init(&samples);
	for (int i = 0; i < 100000; i++) {
		/* As the caller does: one each interval. */
		if (i % (int)(samples.interval_ms / RUN_SAMPLES_FIRST_MS) == 0)
			report_samples_add(&samples, &(struct report_sample){.seconds = i});
		ck_assert_uint_le(samples.n, RUN_SAMPLES_MAX);
	}
	ck_assert_uint_gt(samples.n, RUN_SAMPLES_MAX / 4);
	ck_assert_double_eq(samples.samples[0].seconds, 0);
	for (size_t i = 1; i < samples.n; i++)
		ck_assert_double_eq(samples.samples[i].seconds - samples.samples[i - 1].seconds,
				    samples.interval_ms / RUN_SAMPLES_FIRST_MS);
}
END_TEST

START_TEST(bytes_become_utf8)
{
	static const struct {
		const char *bytes, *utf8;
	} cases[] = {
		{"plain", "plain"},
		{"\xC3\xA4", "\xC3\xA4"},
		{"\xE2\x82\xAC", "\xE2\x82\xAC"},
		{"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
		{"\xFF", "\xEF\xBF\xBD"},
		{"\xC3", "\xEF\xBF\xBD"},
		{"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},		  /* '/', too long */
		{"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
		{"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
		{"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
		{"a\x80"
		 "b",
		 "a\xEF\xBF\xBD"
		 "b"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *made = text_make_utf8(cases[i].bytes);

		ck_assert_str_eq(made, cases[i].utf8);
		free(made);
	}
}
END_TEST

Suite *report_suite(void)
{
	Suite *suite = suite_create("report");
	TCase *tcase = tcase_create("reports");

	tcase_add_checked_fixture(tcase, NULL, stop);
	tcase_add_test(tcase, reuse_is_fine);
	tcase_add_test(tcase, every_connect_is_told);
	tcase_add_test(tcase, no_reuse_has_a_reason);
	tcase_add_test(tcase, the_cause_comes_before_its_consequence);
	tcase_add_test(tcase, failures_and_ports_are_told);
	tcase_add_test(tcase, one_is_singular);
	tcase_add_test(tcase, the_peak_of_ports_is_told_once);
	tcase_add_test(tcase, observed_runs_are_told_apart);
	tcase_add_test(tcase, every_reason_is_explained);
	tcase_add_test(tcase, numbers_are_readable);
	tcase_add_test(tcase, what_is_not_there_is_nothing);
	tcase_add_test(tcase, a_command_is_cut_at_a_character);
	tcase_add_test(tcase, whatever_is_in_it_is_text);
	tcase_add_test(tcase, odd_reports_make_pages_too);
	tcase_add_test(tcase, samples_become_rates);
	tcase_add_test(tcase, samples_never_are_too_many);
	tcase_add_test(tcase, bytes_become_utf8);
	suite_add_tcase(suite, tcase);
	return suite;
}
