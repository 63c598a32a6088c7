/*
 * The verdict and the advice of holdline doctor, over made-up situations.
 */
#include "tools/doctor/doctor.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct doctor_report report;

static void set_up(void)
{
	struct ports_settings settings = {
		.first = 40000, .last = 40199, .reuse_delay_ms = 1000, .has_timestamps = true};

	memset(&report, 0, sizeof(report));
	report.nat.is_readable = true;
	ports_sample_init(&report.sample, &settings, 0);
}

static void tear_down(void)
{
	doctor_fini(&report);
}

static struct in6_addr address(unsigned last)
{
	struct in6_addr result;
	char text[64];

	snprintf(text, sizeof(text), "::ffff:10.0.0.%u", last);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &result), 1);
	return result;
}

static void add(uint8_t state, unsigned port, unsigned destination, unsigned destination_port)
{
	struct sock_diag_socket socket = {.state = state,
					  .source_port = (uint16_t)port,
					  .destination_port = (uint16_t)destination_port,
					  .source = address(1),
					  .destination = address(destination),
					  .expires_ms = state == TCP_TIME_WAIT ? 30000 : 0};

	ports_sample_add(&report.sample, &socket);
}

static void add_many(uint8_t state, unsigned first, unsigned n, unsigned destination)
{
	for (unsigned i = 0; i < n; i++)
		add(state, first + i, destination, 80);
}

static void judge(void)
{
	report.n_tuples = 0;
	ports_sample_seal(&report.sample);
	nat_sort(&report.nat);
	for (struct ports_tuple *tuple = report.sample.tuples; tuple; tuple = tuple->hh.next) {
		struct doctor_tuple *seen = &report.tuples[report.n_tuples++];

		seen->tuple = tuple;
		ports_forecast_make(&report.sample, tuple, NULL, &seen->forecast);
	}
	doctor_judge(&report);
	doctor_advise(&report);
}

static void expect(enum doctor_status status, enum doctor_cause cause)
{
	ck_assert_str_eq(doctor_status_name(report.status), doctor_status_name(status));
	ck_assert_str_eq(doctor_cause_name(report.cause), doctor_cause_name(cause));
	for (size_t i = 0; i < report.n_findings; i++) {
		char text[DOCTOR_TEXT_MAX];

		doctor_describe(&report, &report.findings[i], text);
		ck_assert_uint_gt(strlen(text), 0);
		ck_assert(i == 0 || report.findings[i].status <= report.findings[i - 1].status);
	}
	ck_assert((report.n_fixes > 0) == (cause != CAUSE_HEALTHY && cause != CAUSE_UNKNOWN));
	for (size_t i = 0; i < report.n_fixes; i++) {
		ck_assert_uint_gt(strlen(report.fixes[i].what), 0);
		ck_assert_uint_gt(strlen(report.fixes[i].risk), 0);
	}
}

static bool advises(const char *command)
{
	for (size_t i = 0; i < report.n_fixes; i++)
		if (strstr(report.fixes[i].command, command))
			return true;
	return false;
}

START_TEST(nothing_is_healthy)
{
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	ck_assert_uint_eq(report.n_findings, 0);
}
END_TEST

START_TEST(four_fifths_warn)
{
	add_many(TCP_TIME_WAIT, 40000, 159, 2);
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	add(TCP_TIME_WAIT, 40159, 2, 80);
	judge();
	expect(DOCTOR_WARNING, CAUSE_LOCAL_PORTS);
	ck_assert(advises("holdline run"));
	ck_assert(advises("tcp_tw_reuse=1"));
	ck_assert(!advises("tcp_timestamps"));
}
END_TEST

/* By the port of the server. */
START_TEST(other_protocols_get_their_own_advice)
{
	static const struct {
		uint16_t port;
		const char *words;
	} usual[] = {{6379, "Redis"}, {11211, "memcached"}, {3306, "MySQL"}, {8000, "HTTP/1.x"}};

	for (int i = 0; i < 200; i++)
		add(TCP_TIME_WAIT, (uint16_t)(40000 + i), 2, usual[_i].port);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_LOCAL_PORTS);
	ck_assert_ptr_nonnull(strstr(report.fixes[0].what, usual[_i].words));
	ck_assert(advises("holdline run"));
}
END_TEST

START_TEST(all_is_critical_and_the_worst_is_named)
{
	add_many(TCP_TIME_WAIT, 40000, 170, 2);
	add_many(TCP_TIME_WAIT, 40000, 200, 3);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_LOCAL_PORTS);
	ck_assert_uint_eq(report.n_findings, 2);
	ck_assert_uint_eq(report.findings[0].tuple->tuple->key.destination.s6_addr[15], 3);
}
END_TEST

START_TEST(held_connections_get_other_advice)
{
	add_many(TCP_ESTABLISHED, 40000, 200, 2);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_LOCAL_PORTS);
	ck_assert(advises("ss -tnp"));
	ck_assert(advises("--max-conns-per-host=100"));
	ck_assert(!advises("tcp_tw_reuse") && !advises("ss -K"));
}
END_TEST

START_TEST(a_range_that_is_all_taken_is_critical)
{
	ck_assert_int_eq(ports_settings_reserve(&report.sample.settings, "40000-40150"), 0);
	for (unsigned port = 40151; port < 40200; port++)
		add(TCP_LISTEN, port, 0, 0);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_LOCAL_PORTS);
	ck_assert_ptr_null(report.findings[0].tuple);
	ck_assert(advises("ip_local_reserved_ports"));
	ck_assert(advises("ss -tlnp"));
}
END_TEST

/* Three destinations of one source, no port twice: connect() would have shared some. */
START_TEST(disjoint_ports_were_bound)
{
	add_many(TCP_ESTABLISHED, 40000, 60, 2);
	add_many(TCP_ESTABLISHED, 40060, 60, 3);
	add_many(TCP_ESTABLISHED, 40120, 60, 4);
	judge();
	expect(DOCTOR_WARNING, CAUSE_BIND_PORT);
	add_many(TCP_ESTABLISHED, 40180, 20, 4);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_BIND_PORT);
}
END_TEST

START_TEST(shared_ports_were_not)
{
	add_many(TCP_ESTABLISHED, 40000, 100, 2);
	add_many(TCP_ESTABLISHED, 40050, 100, 3);
	add_many(TCP_ESTABLISHED, 40110, 90, 4);
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
}
END_TEST

/* If one destination has nearly all, nothing can be said about how they were chosen. */
START_TEST(a_few_others_prove_nothing)
{
	add_many(TCP_ESTABLISHED, 40000, 158, 2);
	add_many(TCP_ESTABLISHED, 40158, 4, 3);
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
}
END_TEST

static void add_nat(unsigned n_held, unsigned n_closing)
{
	struct nat_key key = {.address = address(9), .destination = address(2), .port = 80};

	for (unsigned i = 0; i < n_held + n_closing; i++)
		ck_assert_int_eq(nat_add(&report.nat, &key, (uint16_t)(61000 + i), i >= n_held), 0);
}

static void set_nat_range(uint16_t first, uint16_t last)
{
	report.nat.counters = (struct nat_counters){.is_tracking = true, .n_entries = 100, .n_max = 1000};
	report.nat.ranges[report.nat.n_ranges++] = (struct nat_range){first, last, "ip nat POSTROUTING"};
}

START_TEST(held_nat_ports_are_counted)
{
	set_nat_range(61000, 61009);
	set_nat_range(1024, 65535);
	add_nat(7, 3); /* netfilter reuses closing ones */
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	add_nat(8, 0);
	judge();
	ck_assert_uint_eq(report.nat.tuples->n_held, 15);
	expect(DOCTOR_CRITICAL, CAUSE_SNAT);
	ck_assert(advises("conntrack -D"));
}
END_TEST

START_TEST(nat_without_a_range_has_its_class)
{
	struct nat_key key = {.address = address(9), .destination = address(2), .port = 80};
	struct nat_range range;

	report.nat.counters = (struct nat_counters){.is_tracking = true, .n_entries = 100, .n_max = 1000};
	add_nat(10, 0);
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	nat_find_range(&report.nat, report.nat.tuples, &range);
	ck_assert_uint_eq(range.first, 1024);
	ck_assert_uint_eq(range.last, 65535);
	key.port = 81;
	ck_assert_int_eq(nat_add(&report.nat, &key, 700, false), 0);
	nat_find_range(&report.nat, report.nat.tuples->hh.next, &range);
	ck_assert_uint_eq(range.last, 1023);
}
END_TEST

START_TEST(a_full_table_is_worse_than_full_nat)
{
	set_nat_range(61000, 61009);
	add_nat(10, 0);
	report.nat.counters.n_entries = 1000;
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_CONNTRACK_FULL);
	ck_assert(advises("nf_conntrack_max=2000"));
	ck_assert_uint_eq(report.n_findings, 2);
	report.nat.counters.n_entries = 800;
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_SNAT);
}
END_TEST

/* Without the privilege to read the table, only netfilter's drops are seen. */
START_TEST(drops_and_silence_are_nat)
{
	struct sock_diag_socket socket = {.state = TCP_SYN_SENT,
					  .n_retransmits = 2,
					  .source_port = 40000,
					  .destination_port = 80,
					  .source = address(1),
					  .destination = address(2)};

	report.nat.is_readable = false;
	report.nat.counters = (struct nat_counters){.is_tracking = true, .n_entries = 1, .n_max = 1000, .n_dropped = 5};
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	ports_sample_add(&report.sample, &socket);
	judge();
	expect(DOCTOR_WARNING, CAUSE_SNAT);
	report.nat_before.n_dropped = 5;
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
}
END_TEST

START_TEST(fixed_ports_are_graded)
{
	add(TCP_ESTABLISHED, 700, 2, 80); /* the kernel's NFS, say */
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY);
	add(TCP_TIME_WAIT, 5000, 2, 80);
	judge();
	expect(DOCTOR_WARNING, CAUSE_FIXED_SOURCE_PORT);
	ports_set_add(report.sample.bound, 5000);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_FIXED_SOURCE_PORT);
}
END_TEST

START_TEST(the_worst_are_kept)
{
	for (unsigned i = 0; i < 30; i++)
		add(TCP_ESTABLISHED, 5000 + i, 2, 80);
	add_many(TCP_ESTABLISHED, 40000, 200, 3);
	judge();
	expect(DOCTOR_CRITICAL, CAUSE_LOCAL_PORTS);
	ck_assert_uint_eq(report.n_findings, DOCTOR_MAX_FINDINGS);
	ck_assert_int_eq(report.findings[1].cause, CAUSE_FIXED_SOURCE_PORT);
}
END_TEST

/* Something is full elsewhere: we can't know what. */
START_TEST(silence_beside_connections_is_unknown)
{
	struct sock_diag_socket socket = {.state = TCP_SYN_SENT,
					  .n_retransmits = 2,
					  .destination_port = 80,
					  .source = address(1),
					  .destination = address(2)};

	for (unsigned port = 40000; port < 40003; port++) {
		socket.source_port = (uint16_t)port;
		ports_sample_add(&report.sample, &socket);
	}
	judge();
	expect(DOCTOR_OK, CAUSE_HEALTHY); /* the server may simply not be there */
	add(TCP_ESTABLISHED, 40003, 2, 80);
	judge();
	expect(DOCTOR_UNKNOWN, CAUSE_UNKNOWN);
	add_many(TCP_ESTABLISHED, 40000, 170, 3);
	judge();
	expect(DOCTOR_WARNING, CAUSE_LOCAL_PORTS);
}
END_TEST

START_TEST(what_was_not_counted_is_unknown)
{
	report.sample.is_incomplete = true;
	judge();
	expect(DOCTOR_UNKNOWN, CAUSE_UNKNOWN);
}
END_TEST

Suite *doctor_suite(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tests = tcase_create("doctor");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, nothing_is_healthy);
	tcase_add_test(tests, four_fifths_warn);
	tcase_add_loop_test(tests, other_protocols_get_their_own_advice, 0, 4);
	tcase_add_test(tests, all_is_critical_and_the_worst_is_named);
	tcase_add_test(tests, held_connections_get_other_advice);
	tcase_add_test(tests, a_range_that_is_all_taken_is_critical);
	tcase_add_test(tests, disjoint_ports_were_bound);
	tcase_add_test(tests, shared_ports_were_not);
	tcase_add_test(tests, a_few_others_prove_nothing);
	tcase_add_test(tests, held_nat_ports_are_counted);
	tcase_add_test(tests, nat_without_a_range_has_its_class);
	tcase_add_test(tests, a_full_table_is_worse_than_full_nat);
	tcase_add_test(tests, drops_and_silence_are_nat);
	tcase_add_test(tests, fixed_ports_are_graded);
	tcase_add_test(tests, the_worst_are_kept);
	tcase_add_test(tests, silence_beside_connections_is_unknown);
	tcase_add_test(tests, what_was_not_counted_is_unknown);
	suite_add_tcase(suite, tests);
	return suite;
}
