/*
 * Metrics: formats, labels, and that counters never go back however destinations come and go.
 */
#include "tools/metrics/metrics.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/stats_pages.h"
#include "tools/ports/ports.h"
#include "tools/stats/view.h"
#include "pool/conn/destination.h"

static struct stats_page *page;
static struct metrics_names names;
static char *text;

static void start(void)
{
	page = stats_pages_new_own();
	memset(&names, 0, sizeof(names));
	names.n_max = 50;
}

static void stop(void)
{
	free(page);
	free(text);
	text = NULL;
}

static void write_counts(enum metrics_format format)
{
	struct stats_view view;
	size_t length;
	FILE *stream;

	free(text);
	stream = open_memstream(&text, &length);
	stats_view_init(&view);
	stats_view_add(&view, page, STATS_VIEW_LIVING);
	stats_view_seal(&view);
	metrics_write_counts(stream, format, &names, &view);
	stats_view_fini(&view);
	fclose(stream);
}

static bool has_line(const char *line)
{
	const char *found = strstr(text, line);
	size_t length = strlen(line);

	return found && (found == text || found[-1] == '\n') && found[length] == '\n';
}

START_TEST(the_formats_differ_in_names_only)
{
	stats_pages_count(page, 80, 3);
	write_counts(METRICS_OPENMETRICS);
	ck_assert(has_line("# TYPE holdline_connect_attempts counter"));
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"127.0.0.1:80\"} 3"));
	ck_assert(has_line("# TYPE holdline_idle_connections gauge"));
	write_counts(METRICS_TEXT);
	ck_assert(has_line("# TYPE holdline_connect_attempts_total counter"));
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"127.0.0.1:80\"} 3"));
	ck_assert(has_line("# TYPE holdline_idle_connections gauge"));
}
END_TEST

START_TEST(histograms_add_up)
{
	struct destination_key key = stats_pages_key(1, 80);
	struct stats_destination *destination = stats_find(page, &key);

	stats_count_dial(destination, 16000);
	stats_count_dial(destination, 16001);
	stats_count_dial(destination, UINT64_C(3600000000000));
	write_counts(METRICS_OPENMETRICS);
	ck_assert(has_line("holdline_connect_duration_seconds_bucket{destination=\"127.0.0.1:80\",le=\"0.000016\"} 1"));
	ck_assert(has_line("holdline_connect_duration_seconds_bucket{destination=\"127.0.0.1:80\",le=\"0.000032\"} 2"));
	ck_assert(has_line("holdline_connect_duration_seconds_bucket{destination=\"127.0.0.1:80\",le=\"4.194304\"} 2"));
	ck_assert(has_line("holdline_connect_duration_seconds_bucket{destination=\"127.0.0.1:80\",le=\"+Inf\"} 3"));
	ck_assert(has_line("holdline_connect_duration_seconds_count{destination=\"127.0.0.1:80\"} 3"));
	ck_assert(has_line("holdline_connect_duration_seconds_sum{destination=\"127.0.0.1:80\"} 3600.000032001"));
}
END_TEST

START_TEST(all_reasons_and_the_error_that_matters_are_there_from_the_beginning)
{
	struct destination_key key = stats_pages_key(1, 80);

	stats_pages_count(page, 80, 1);
	stats_count_failure(stats_find(page, &key), ETIMEDOUT);
	write_counts(METRICS_OPENMETRICS);
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		char line[128];

		snprintf(line, sizeof(line), "holdline_reuse_refusals_total{reason=\"%s\"} 0", stats_refusal_names[i]);
		ck_assert(has_line(line));
	}
	ck_assert(has_line("holdline_connect_failures_total{destination=\"127.0.0.1:80\",errno=\"EADDRNOTAVAIL\"} 0"));
	ck_assert(has_line("holdline_connect_failures_total{destination=\"127.0.0.1:80\",errno=\"ETIMEDOUT\"} 1"));
	ck_assert_ptr_null(strstr(text, "ECONNREFUSED"));
}
END_TEST

START_TEST(who_has_a_name_keeps_it)
{
	names.n_max = 2;
	stats_pages_count(page, 80, 3);
	stats_pages_count(page, 81, 2);
	stats_pages_count(page, 82, 1);
	write_counts(METRICS_OPENMETRICS);
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"other\"} 1"));
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"127.0.0.1:80\"} 3"));
	/* The unnamed destination becomes the busiest: it stays unnamed, or `other` would decrease. */
	stats_pages_count(page, 82, 100);
	write_counts(METRICS_OPENMETRICS);
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"other\"} 101"));
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"127.0.0.1:81\"} 2"));
	ck_assert_ptr_null(strstr(text, ":82"));
}
END_TEST

START_TEST(one_name_for_an_address_in_several_networks)
{
	struct destination_key key = stats_pages_key(1, 80);

	stats_pages_count(page, 80, 3);
	key.netns_cookie = 7;
	stats_count(stats_find(page, &key), STATS_CONNECTS);
	write_counts(METRICS_OPENMETRICS);
	ck_assert(has_line("holdline_connect_attempts_total{destination=\"127.0.0.1:80\"} 4"));
}
END_TEST

START_TEST(labels_are_escaped)
{
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	metrics_write_label(stream, "a\"b\\c\nd");
	fclose(stream);
	ck_assert_str_eq(text, "\"a\\\"b\\\\c\\nd\"");
}
END_TEST

static struct ports_settings settings = {.first = 40000, .last = 40099};

static void add_socket(struct ports_sample *sample, uint16_t source_port, uint8_t state, uint32_t expires_ms)
{
	struct sock_diag_socket socket = {.state = state,
					  .source_port = source_port,
					  .destination_port = 80,
					  .expires_ms = expires_ms,
					  .inode = 1};

	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.0.0.1", &socket.source), 1);
	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.0.0.2", &socket.destination), 1);
	ports_sample_add(sample, &socket);
}

START_TEST(ports_are_told)
{
	static struct ports_sample sample;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	ports_sample_init(&sample, &settings, 0);
	for (uint16_t i = 0; i < 25; i++)
		add_socket(&sample, (uint16_t)(40000 + i), TCP_ESTABLISHED, 0);
	ports_sample_seal(&sample);
	metrics_write_ports(stream, &sample);
	ports_sample_fini(&sample);
	fclose(stream);
	ck_assert(has_line("holdline_ephemeral_ports_usable 100"));
	ck_assert(has_line("holdline_ephemeral_ports_max_usage_ratio 0.25"));
	ck_assert(has_line("holdline_ephemeral_ports_used{source=\"10.0.0.1\",destination=\"10.0.0.2:80\"} 25"));
	ck_assert(has_line(
		"holdline_ephemeral_ports_exhaustion_seconds{source=\"10.0.0.1\",destination=\"10.0.0.2:80\"} +Inf"));
	ck_assert(has_line("holdline_time_wait_connections 0"));
}
END_TEST

START_TEST(no_port_left_is_no_time_left)
{
	static struct ports_sample sample;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	ports_sample_init(&sample, &settings, 0);
	for (uint16_t i = 0; i < 100; i++)
		add_socket(&sample, (uint16_t)(40000 + i), TCP_TIME_WAIT, 30000);
	ports_sample_seal(&sample);
	metrics_write_ports(stream, &sample);
	ports_sample_fini(&sample);
	fclose(stream);
	ck_assert(has_line("holdline_ephemeral_ports_max_usage_ratio 1"));
	ck_assert(has_line(
		"holdline_ephemeral_ports_exhaustion_seconds{source=\"10.0.0.1\",destination=\"10.0.0.2:80\"} 0"));
	ck_assert(has_line("holdline_time_wait_connections 100"));
}
END_TEST

Suite *metrics_suite(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tcase = tcase_create("text");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, the_formats_differ_in_names_only);
	tcase_add_test(tcase, histograms_add_up);
	tcase_add_test(tcase, all_reasons_and_the_error_that_matters_are_there_from_the_beginning);
	tcase_add_test(tcase, who_has_a_name_keeps_it);
	tcase_add_test(tcase, one_name_for_an_address_in_several_networks);
	tcase_add_test(tcase, labels_are_escaped);
	tcase_add_test(tcase, ports_are_told);
	tcase_add_test(tcase, no_port_left_is_no_time_left);
	suite_add_tcase(suite, tcase);
	return suite;
}
