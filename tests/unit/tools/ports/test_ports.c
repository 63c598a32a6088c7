/*
 * The budget of ports and its evaluation: made-up sockets stand for those of the kernel.
 */
#include "tools/ports/forecast.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ports_settings settings;
static struct ports_sample sample;

static void set_up(void)
{
	settings = (struct ports_settings){
		.first = 40000, .last = 40199, .reuse = 0, .reuse_delay_ms = 1000, .has_timestamps = true};
	ck_assert_int_eq(ports_settings_reserve(&settings, "40000-40019,50000\n"), 0);
	ports_sample_init(&sample, &settings, 0);
}

static void tear_down(void)
{
	ports_sample_fini(&sample);
}

static struct in6_addr address(const char *text)
{
	struct in6_addr result;
	char mapped[64];

	if (strchr(text, ':'))
		snprintf(mapped, sizeof(mapped), "%s", text);
	else
		snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
	ck_assert_int_eq(inet_pton(AF_INET6, mapped, &result), 1);
	return result;
}

static struct sock_diag_socket made(uint8_t state, unsigned port, const char *destination, unsigned destination_port)
{
	static uint32_t inode = 1000;
	struct sock_diag_socket socket = {.state = state,
					  .source_port = (uint16_t)port,
					  .destination_port = (uint16_t)destination_port,
					  .source = address("10.0.0.1"),
					  .destination = address(destination)};

	if (state != TCP_TIME_WAIT)
		socket.inode = ++inode;
	return socket;
}

static void add(uint8_t state, unsigned port, const char *destination, unsigned destination_port)
{
	struct sock_diag_socket socket = made(state, port, destination, destination_port);

	ports_sample_add(&sample, &socket);
}

static void add_time_wait(unsigned port, double age_s)
{
	struct sock_diag_socket socket = made(TCP_TIME_WAIT, port, "10.0.0.2", 80);

	socket.expires_ms = age_s < 60 ? (uint32_t)(60000 - age_s * 1000) : 0;
	ports_sample_add(&sample, &socket);
}

static const struct ports_tuple *only_tuple(void)
{
	ck_assert_ptr_nonnull(sample.tuples);
	ck_assert_uint_eq(HASH_COUNT(sample.tuples), 1);
	return sample.tuples;
}

static struct ports_forecast forecast_of(const struct ports_pace *pace)
{
	struct ports_forecast forecast;

	ports_forecast_make(&sample, only_tuple(), pace, &forecast);
	return forecast;
}

static bool is_within(double value, double wanted, double share)
{
	return value >= wanted * (1 - share) && value <= wanted * (1 + share);
}

#define expect_within(value, wanted, share) \
	ck_assert_msg(is_within(value, wanted, share), #value " is %f, not %f", (double)(value), (double)(wanted))

START_TEST(reserved_ports_are_read)
{
	struct ports_settings read = {.first = 1, .last = UINT16_MAX};

	ck_assert_int_eq(ports_settings_reserve(&read, "8080,9148-9150,65535\n"), 0);
	ck_assert(ports_set_has(read.reserved, 8080) && ports_set_has(read.reserved, 9148));
	ck_assert(ports_set_has(read.reserved, 9150) && ports_set_has(read.reserved, 65535));
	ck_assert(!ports_set_has(read.reserved, 8081) && !ports_set_has(read.reserved, 9151));
	ck_assert_int_eq(ports_settings_reserve(&read, ""), 0);
	ck_assert_int_eq(ports_settings_reserve(&read, "\n"), 0);
	ck_assert_int_eq(ports_settings_reserve(&read, "70000"), -EINVAL);
	ck_assert_int_eq(ports_settings_reserve(&read, "9-8"), -EINVAL);
	ck_assert_int_eq(ports_settings_reserve(&read, "9-"), -EINVAL);
	ck_assert_int_eq(ports_settings_reserve(&read, "x"), -EINVAL);
}
END_TEST

START_TEST(reserved_and_held_ports_are_not_usable)
{
	add(TCP_LISTEN, 40100, "0.0.0.0", 0);
	add(TCP_LISTEN, 40100, "::", 0); /* the same port twice costs one */
	add(SOCK_DIAG_BOUND_INACTIVE, 40101, "0.0.0.0", 0);
	add(SOCK_DIAG_BOUND_INACTIVE, 40001, "0.0.0.0", 0); /* was reserved already */
	add(TCP_LISTEN, 80, "0.0.0.0", 0);
	ports_sample_seal(&sample);
	ck_assert_uint_eq(sample.n_range, 200);
	ck_assert_uint_eq(sample.n_reserved, 20);
	ck_assert_uint_eq(sample.n_held, 2);
	ck_assert_uint_eq(sample.n_usable, 178);
	ck_assert_uint_eq(sample.n_holders, 3);
	ck_assert_uint_eq(sample.holders[0].port, 40100);
	ck_assert(sample.holders[0].listens);
	ck_assert_uint_eq(sample.holders[2].port, 40101);
	ck_assert(!sample.holders[2].listens);
	ck_assert_ptr_null(sample.tuples);
}
END_TEST

START_TEST(each_destination_has_ports_of_its_own)
{
	struct ports_key key = {.source = address("10.0.0.1"), .destination = address("10.0.0.2"), .port = 80};
	const struct ports_tuple *tuple;

	for (unsigned port = 40020; port < 40030; port++)
		add(TCP_ESTABLISHED, port, "10.0.0.2", 80);
	add(TCP_FIN_WAIT2, 40030, "10.0.0.2", 80);
	add_time_wait(40031, 3);
	add(TCP_ESTABLISHED, 40020, "10.0.0.2", 81);
	add(TCP_ESTABLISHED, 40020, "10.0.0.3", 80);
	ports_sample_seal(&sample);
	ck_assert_uint_eq(HASH_COUNT(sample.tuples), 3);
	tuple = ports_sample_find(&sample, &key);
	ck_assert_ptr_eq(tuple, sample.tuples); /* the fullest is the first */
	ck_assert_uint_eq(tuple->n_established, 10);
	ck_assert_uint_eq(tuple->n_other, 1);
	ck_assert_uint_eq(tuple->n_time_wait, 1);
	ck_assert_uint_eq(ports_tuple_used(tuple), 12);
	key.port = 82;
	ck_assert_ptr_null(ports_sample_find(&sample, &key));
	ck_assert_uint_eq(sample.sources->n_connections, 14);
	ck_assert_uint_eq(sample.sources->n_ports, 12);
	ck_assert_uint_eq(sample.sources->n_tuples, 3);
}
END_TEST

START_TEST(servers_use_no_ephemeral_port)
{
	add(TCP_LISTEN, 80, "0.0.0.0", 0);
	add(TCP_LISTEN, 40100, "0.0.0.0", 0);
	add(TCP_ESTABLISHED, 80, "10.0.0.9", 40050);
	add(TCP_ESTABLISHED, 40100, "10.0.0.9", 40051);
	add(TCP_ESTABLISHED, 8080, "10.0.0.9", 40052); /* its listener is gone */
	add(TCP_ESTABLISHED, 8080, "10.0.0.9", 1234);
	ports_sample_seal(&sample);
	ck_assert_ptr_null(sample.tuples);
	ck_assert_uint_eq(sample.n_fixed, 0);
	ck_assert_uint_eq(sample.n_sockets, 6);
}
END_TEST

/* Nobody listens on 40100 any more. Two connections from one port, or several to one destination, prove nothing. */
START_TEST(a_server_without_listener_has_no_destinations)
{
	for (unsigned peer = 40050; peer < 40054; peer++)
		add(peer % 2 ? TCP_TIME_WAIT : TCP_ESTABLISHED, 40100, "10.0.0.9", peer);
	add(TCP_ESTABLISHED, 40101, "10.0.0.9", 40060);
	add(TCP_ESTABLISHED, 40101, "10.0.0.9", 40061);
	for (unsigned peer = 8080; peer < 8090; peer++)
		add(TCP_ESTABLISHED, 40102, "10.0.0.9", peer);
	for (unsigned port = 40110; port < 40120; port++)
		add(TCP_ESTABLISHED, port, "10.0.0.9", 40070);
	ports_sample_seal(&sample);
	ck_assert_uint_eq(HASH_COUNT(sample.tuples), 13);
	ck_assert_uint_eq(sample.n_live, 22);
	ck_assert_uint_eq(sample.sources->n_connections, 22);
	for (const struct ports_tuple *tuple = sample.tuples; tuple; tuple = tuple->hh.next)
		ck_assert(tuple->key.port < 40050 || tuple->key.port > 40053);
}
END_TEST

START_TEST(a_port_of_the_programs_choice_shows)
{
	add(SOCK_DIAG_BOUND_INACTIVE, 5001, "0.0.0.0", 0);
	add(TCP_ESTABLISHED, 5000, "10.0.0.2", 80);
	add(TCP_TIME_WAIT, 5001, "10.0.0.2", 5432);
	add(TCP_ESTABLISHED, 40003, "10.0.0.2", 80); /* reserved: no connect() chooses that */
	ports_sample_seal(&sample);
	ck_assert_uint_eq(sample.n_fixed, 3);
	ck_assert_uint_eq(sample.fixed[0].source_port, 5000);
	ck_assert(!sample.fixed[0].is_wanted);
	ck_assert_uint_eq(sample.fixed[1].source_port, 5001);
	ck_assert_uint_eq(sample.fixed[1].state, TCP_TIME_WAIT);
	ck_assert(sample.fixed[1].is_wanted);
	ck_assert_uint_eq(sample.fixed[2].source_port, 40003);
	ck_assert_ptr_null(sample.tuples);
}
END_TEST

START_TEST(reuse_depends_on_the_setting_and_the_address)
{
	struct ports_key far = {.source = address("10.0.0.1"), .destination = address("10.0.0.2"), .port = 80};
	struct ports_key near = {.source = address("127.0.0.1"), .destination = address("127.0.0.1"), .port = 80};
	struct ports_key near6 = {.source = address("::1"), .destination = address("::1"), .port = 80};

	ck_assert(!ports_settings_reuse(&settings, &near));
	settings.reuse = 2;
	ck_assert(ports_settings_reuse(&settings, &near) && ports_settings_reuse(&settings, &near6));
	ck_assert(!ports_settings_reuse(&settings, &far));
	settings.reuse = 1;
	ck_assert(ports_settings_reuse(&settings, &far));
	settings.has_timestamps = false;
	ck_assert(!ports_settings_reuse(&settings, &far) && !ports_settings_reuse(&settings, &near));
}
END_TEST

START_TEST(time_waits_that_can_be_reused_are_no_end)
{
	struct ports_forecast forecast;

	sample.settings.reuse = 1;
	for (unsigned i = 0; i < 180; i++)
		add_time_wait(40020 + i, i < 10 ? 0.5 : 30);
	ports_sample_seal(&sample);
	ck_assert_uint_eq(only_tuple()->n_time_wait, 180);
	ck_assert_uint_eq(only_tuple()->n_young, 10);
	forecast = forecast_of(NULL);
	ck_assert(isinf(forecast.exhaustion_s));
	ck_assert(forecast.is_past_cliff);
}
END_TEST

/* Dials at a steady rate for `since_s`, each closed at once, as a sample would find them. */
static void add_steady(double rate, double since_s, double until_s)
{
	unsigned port = 40020;

	for (double age_s = since_s; age_s > until_s && age_s > 0.0005; age_s -= 1 / rate)
		add_time_wait(port++, age_s);
}

START_TEST(steady_dials_end_when_they_must)
{
	static const struct {
		double rate, since_s;
	} cases[] = {{2, 10}, {2, 20}, {2, 40}, {2.5, 30}, {10, 3}, {10, 5}, {10, 10}, {10, 15}, {40, 2.5}, {60, 2}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double full_s = 180 / cases[i].rate;
		struct ports_forecast forecast;

		add_steady(cases[i].rate, cases[i].since_s, 0);
		ports_sample_seal(&sample);
		forecast = forecast_of(NULL);
		expect_within(forecast.closes, cases[i].rate, 0.1);
		/* 2 a second leave 120 in TIME_WAIT, 2.5 leave 150: that can go on for ever. */
		if (full_s > 60)
			ck_assert_msg(isinf(forecast.exhaustion_s), "%f", forecast.exhaustion_s);
		else
			expect_within(forecast.exhaustion_s, full_s - cases[i].since_s, 0.1);
		expect_within(forecast.sustainable, 3, 0.01);
		ports_sample_fini(&sample);
		ports_sample_init(&sample, &settings, 0);
	}
}
END_TEST

START_TEST(dials_that_ended_are_no_rate)
{
	add_steady(10, 20, 8);
	ports_sample_seal(&sample);
	ck_assert_double_eq(forecast_of(NULL).closes, 0);
	ck_assert(isinf(forecast_of(NULL).exhaustion_s));
}
END_TEST

START_TEST(a_burst_foretells_nothing)
{
	add_steady(100, 1, 0);
	ports_sample_seal(&sample);
	expect_within(forecast_of(NULL).closes, 100, 0.1);
	ck_assert(isinf(forecast_of(NULL).exhaustion_s));
	/* Nor are four that stay. */
	for (unsigned port = 40150; port < 40154; port++)
		add(TCP_ESTABLISHED, port, "10.0.0.2", 80);
	ports_sample_seal(&sample);
	ports_sample_compare(&sample, &(struct ports_sample){0});
	ck_assert(isinf(forecast_of(&(struct ports_pace){.seconds = 2, .n_dials = 104}).exhaustion_s));
}
END_TEST

START_TEST(the_latest_rate_counts)
{
	uint16_t bins[PORTS_N_BINS] = {0};
	struct ports_stretch stretch;

	ports_forecast_find_stretch(bins, &stretch);
	ck_assert_uint_eq(stretch.n_events, 0);
	for (unsigned i = 0; i < PORTS_N_BINS; i++)
		bins[i] = i < 40 ? 10 : 2;
	ports_forecast_find_stretch(bins, &stretch);
	ck_assert_double_eq(stretch.seconds, 10);
	ck_assert_uint_eq(stretch.n_events, 400);
	expect_within(stretch.rate, 40, 0.02);
	for (unsigned i = 0; i < PORTS_N_BINS; i++)
		bins[i] = i < 12 ? 0 : i < 40 ? 30 : 1;
	ports_forecast_find_stretch(bins, &stretch);
	ck_assert_double_eq(stretch.seconds, 3);
	ck_assert_uint_eq(stretch.n_events, 0);
	ck_assert_double_eq(stretch.rate, 0);
}
END_TEST

/* Random dials, which are frequent in programs, are no change of rate either. */
START_TEST(noise_is_no_change)
{
	unsigned state = 1, n_wrong = 0;

	for (unsigned round = 0; round < 200; round++) {
		uint16_t bins[PORTS_N_BINS] = {0};
		struct ports_stretch stretch;

		for (unsigned i = 0; i < 5 * PORTS_TIME_WAIT_S; i++) {
			state = state * 1103515245u + 12345u;
			bins[(state >> 8) % PORTS_N_BINS]++;
		}
		ports_forecast_find_stretch(bins, &stretch);
		n_wrong += !is_within(stretch.rate, 5, 0.25);
	}
	ck_assert_uint_lt(n_wrong, 20);
}
END_TEST

START_TEST(full_is_now)
{
	for (unsigned port = 40020; port < 40200; port++)
		add(TCP_ESTABLISHED, port, "10.0.0.2", 80);
	ports_sample_seal(&sample);
	ck_assert_double_eq(forecast_of(NULL).exhaustion_s, 0);
	ck_assert_double_eq(forecast_of(NULL).sustainable, 0);
}
END_TEST

/* Connections that stay: ten more a second over a window of two seconds. */
START_TEST(a_leak_is_seen_in_the_window)
{
	static struct sock_diag_socket sockets[60];
	struct ports_pace pace = {.seconds = 2, .n_dials = 20, .first_s = 0.05, .last_s = 1.95};
	struct ports_sample before;
	struct ports_forecast forecast;

	ports_sample_init(&before, &settings, 0);
	for (unsigned i = 0; i < 60; i++)
		sockets[i] = made(TCP_ESTABLISHED, 40020 + i, "10.0.0.2", 80);
	for (unsigned i = 0; i < 40; i++)
		ports_sample_add(&before, &sockets[i]);
	ports_sample_seal(&before);
	sample.window_ms = 2000;
	for (unsigned i = 0; i < 60; i++)
		ports_sample_add(&sample, &sockets[i]);
	ports_sample_seal(&sample);
	ports_sample_compare(&sample, &before);
	ports_sample_fini(&before);
	ck_assert_uint_eq(only_tuple()->n_born, 20);
	ck_assert_uint_eq(only_tuple()->n_gone, 0);
	forecast = forecast_of(&pace);
	expect_within(forecast.growth, 10, 0.01);
	expect_within(forecast.dials, 10, 0.01);
	expect_within(forecast.exhaustion_s, 12, 0.01);
	ck_assert_double_eq(forecast.sustainable, 0);
}
END_TEST

START_TEST(coming_and_going_is_no_leak)
{
	static struct sock_diag_socket sockets[60];
	struct ports_pace pace = {.seconds = 2, .n_dials = 28};
	struct ports_sample before;
	struct ports_forecast forecast;

	ports_sample_init(&before, &settings, 0);
	for (unsigned i = 0; i < 60; i++)
		sockets[i] = made(TCP_ESTABLISHED, 40020 + i, "10.0.0.2", 80);
	for (unsigned i = 0; i < 35; i++)
		ports_sample_add(&before, &sockets[i]);
	ports_sample_seal(&before);
	for (unsigned i = 24; i < 60; i++)
		ports_sample_add(&sample, &sockets[i]);
	ports_sample_seal(&sample);
	ports_sample_compare(&sample, &before);
	ports_sample_fini(&before);
	ck_assert_uint_eq(only_tuple()->n_born, 25);
	ck_assert_uint_eq(only_tuple()->n_gone, 24);
	forecast = forecast_of(&pace);
	ck_assert_double_eq(forecast.growth, 0);
	ck_assert(isinf(forecast.exhaustion_s));
	/* Nothing was left in TIME_WAIT, so only a connection's life occupies a port: 36 alive at 12.5 a second. */
	expect_within(forecast.sustainable, 180 / (36 / 12.5), 0.01);
}
END_TEST

/* The kernel's own sockets, whatever they are at present. */
START_TEST(the_kernel_is_read)
{
	struct ports_sample now, later;
	struct ports_pace pace;

	ck_assert_int_eq(ports_kernel_sample(&now, NULL), 0);
	ck_assert_int_eq(ports_kernel_watch(20, &pace), 0);
	ck_assert_int_eq(ports_kernel_sample(&later, &now), 0);
	ck_assert_uint_gt(now.n_range, 0);
	ck_assert_uint_eq(now.n_usable + now.n_reserved + now.n_held, now.n_range);
	ck_assert_uint_ge(later.window_ms, 20);
	ck_assert(pace.seconds >= 0.02);
	ports_sample_fini(&now);
	ports_sample_fini(&later);
}
END_TEST

Suite *ports_suite(void)
{
	Suite *suite = suite_create("ports");
	TCase *tests = tcase_create("ports");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, reserved_ports_are_read);
	tcase_add_test(tests, reserved_and_held_ports_are_not_usable);
	tcase_add_test(tests, each_destination_has_ports_of_its_own);
	tcase_add_test(tests, servers_use_no_ephemeral_port);
	tcase_add_test(tests, a_server_without_listener_has_no_destinations);
	tcase_add_test(tests, a_port_of_the_programs_choice_shows);
	tcase_add_test(tests, reuse_depends_on_the_setting_and_the_address);
	tcase_add_test(tests, time_waits_that_can_be_reused_are_no_end);
	tcase_add_test(tests, steady_dials_end_when_they_must);
	tcase_add_test(tests, dials_that_ended_are_no_rate);
	tcase_add_test(tests, a_burst_foretells_nothing);
	tcase_add_test(tests, the_latest_rate_counts);
	tcase_add_test(tests, noise_is_no_change);
	tcase_add_test(tests, full_is_now);
	tcase_add_test(tests, a_leak_is_seen_in_the_window);
	tcase_add_test(tests, coming_and_going_is_no_leak);
	tcase_add_test(tests, the_kernel_is_read);
	suite_add_tcase(suite, tests);
	return suite;
}
