/*
 * The option table and the parsing of its values.
 */
#include "pool/config/config.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ULL

static const struct config_option *find_option(const char *flag)
{
	for (size_t i = 0; i < config_n_options; i++)
		if (strcmp(config_options[i].flag, flag) == 0)
			return &config_options[i];
	ck_abort_msg("no option --%s", flag);
	return NULL;
}

static int set(struct config *config, const char *flag, const char *text)
{
	return config_set(config, find_option(flag), text);
}

START_TEST(defaults_are_the_documented_ones)
{
	static struct config config;

	memset(&config, 0xee, sizeof(config));
	config_init(&config);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_FULL);
	ck_assert(config.policy.rewrite);
	ck_assert_int_eq(config.policy.unsafe_methods, CONFIG_UNSAFE_FRESH);
	ck_assert_uint_eq(config.policy.idle_conn_timeout_ns, 60 * SECOND);
	ck_assert_uint_eq(config.max_idle_conns, 500);
	ck_assert_uint_eq(config.policy.max_idle_conns_per_host, 100);
	ck_assert_uint_eq(config.policy.max_conn_age_ns, 90 * SECOND);
	ck_assert_uint_eq(config.policy.max_conn_requests, 10000);
	ck_assert_str_eq(config.log_path, "");
}
END_TEST

START_TEST(table_is_consistent)
{
	static struct config config;
	char variable[64] = "";

	for (size_t i = 0; i < config_n_options; i++) {
		const struct config_option *option = &config_options[i];

		snprintf(variable, sizeof(variable), "HOLDLINE_%s", option->flag);
		for (char *c = variable + strlen("HOLDLINE_"); *c; c++)
			*c = *c == '-' ? '_' : (char)toupper(*c);
		ck_assert_str_eq(option->variable, variable);
		ck_assert_ptr_nonnull(option->value_name);
		ck_assert_uint_gt(strlen(option->help), 10);
		ck_assert_int_eq(option->help[strlen(option->help) - 1], '.');
		ck_assert_int_eq(option->choices != NULL, option->kind == CONFIG_KIND_CHOICE);
		ck_assert_int_eq(config_set(&config, option, option->default_value), 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(option->offset, config_options[j].offset);
	}
}
END_TEST

START_TEST(table_shows_its_choices)
{
	for (size_t i = 0; i < config_n_options; i++) {
		char joined[128] = "";

		if (config_options[i].kind != CONFIG_KIND_CHOICE)
			continue;
		for (const char *const *choice = config_options[i].choices; *choice; choice++) {
			strcat(joined, *joined ? "|" : "");
			strcat(joined, *choice);
		}
		ck_assert_str_eq(config_options[i].value_name, joined);
	}
}
END_TEST

static const struct {
	const char *text;
	uint64_t ns;
} good_durations[] = {
	{"0", 0},
	{"0s", 0},
	{"5s", 5 * SECOND},
	{"30s", 30 * SECOND},
	{"500ms", SECOND / 2},
	{"1m30s", 90 * SECOND},
	{"1.5h", 5400 * SECOND},
	{"1h15m30.918273645s", 4530918273645ULL},
	{"5.s", 5 * SECOND},
	{".5s", SECOND / 2},
	{"1.0s", SECOND},
	{"1.00s", SECOND},
	{"1.004s", 1004000000},
	{"1.0040s", 1004000000},
	{"100.00100s", 100001000000},
	{"10ns", 10},
	{"11us", 11000},
	{"12\xc2\xb5s", 12000},
	{"12\xce\xbcs", 12000},
	{"13ms10ns", 13000010},
	{"3h30m", 12600 * SECOND},
	{"10.5s4m", 250500000000},
	{"39h9m14.425s", 140954425000000},
	{"0.3333333333333333333h", 20 * 60 * SECOND - 1},
	{"0.100000000000000000000h", 360 * SECOND},
	{"0.830103483285477580700h", 2988372539827},
	{"9223372036854775807ns", INT64_MAX},
	{"9223372036854775.807us", INT64_MAX},
	{"9223372036s854ms775us807ns", INT64_MAX},
	{"00000000000000000000000000000000000001s", SECOND},
	{"0.000000000000000000000000000000000001s", 0},
	{"1s1s", 2 * SECOND},
};

START_TEST(duration_is_parsed_as_by_go)
{
	uint64_t ns = 77;

	ck_assert_msg(config_parse_duration(good_durations[_i].text, &ns) == 0, "%s", good_durations[_i].text);
	ck_assert_msg(ns == good_durations[_i].ns, "%s: %llu", good_durations[_i].text, (unsigned long long)ns);
}
END_TEST

static const struct {
	const char *text;
	int error;
} bad_durations[] = {
	{"", -EINVAL},
	{"3", -EINVAL},
	{"00", -EINVAL},
	{"-5s", -EINVAL},
	{"+5s", -EINVAL},
	{"s", -EINVAL},
	{".", -EINVAL},
	{".s", -EINVAL},
	{"-.s", -EINVAL},
	{"+", -EINVAL},
	{"5 s", -EINVAL},
	{" 5s", -EINVAL},
	{"5s ", -EINVAL},
	{"5S", -EINVAL},
	{"5sec", -EINVAL},
	{"5d", -EINVAL},
	{"1.5.5s", -EINVAL},
	{"1,5s", -EINVAL},
	{"0x5s", -EINVAL},
	{"1e3s", -EINVAL},
	{"1m30", -EINVAL},
	{"1m-30s", -EINVAL},
	{"5\xb5s", -EINVAL},
	{"5\xc2s", -EINVAL},
	{"infinity", -EINVAL},
	{"3000000h", -ERANGE},
	{"9223372036854775808ns", -ERANGE},
	{"9223372036854775.808us", -ERANGE},
	{"9223372036854ms775us808ns", -ERANGE},
	{"18446744073709551616ns", -ERANGE},
	{"99999999999999999999999999999999s", -ERANGE},
};

START_TEST(duration_is_refused)
{
	uint64_t ns = 77;

	ck_assert_msg(config_parse_duration(bad_durations[_i].text, &ns) == bad_durations[_i].error, "%s",
		      bad_durations[_i].text);
	ck_assert_uint_eq(ns, 77);
}
END_TEST

START_TEST(choice_takes_its_words_only)
{
	struct config config;

	config_init(&config);
	ck_assert_int_eq(set(&config, "mode", "off"), 0);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_OFF);
	ck_assert_int_eq(set(&config, "mode", "observe"), 0);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_OBSERVE);
	ck_assert_int_eq(set(&config, "mode", "full"), 0);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_FULL);
	ck_assert_int_eq(set(&config, "unsafe-methods", "young"), 0);
	ck_assert_int_eq(config.policy.unsafe_methods, CONFIG_UNSAFE_YOUNG);
	ck_assert_int_eq(config.policy.protocols, CONFIG_PROTOCOLS_ALL);
	ck_assert_int_eq(set(&config, "unsafe-methods", "reuse"), 0);
	ck_assert_int_eq(config.policy.unsafe_methods, CONFIG_UNSAFE_REUSE);
	ck_assert_int_eq(set(&config, "mode", ""), -EINVAL);
	ck_assert_int_eq(set(&config, "mode", "FULL"), -EINVAL);
	ck_assert_int_eq(set(&config, "mode", "full "), -EINVAL);
	ck_assert_int_eq(set(&config, "mode", "2"), -EINVAL);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_FULL);
}
END_TEST

START_TEST(switch_is_on_or_off)
{
	struct config config;

	config_init(&config);
	ck_assert_int_eq(set(&config, "rewrite", "off"), 0);
	ck_assert(!config.policy.rewrite);
	ck_assert_int_eq(set(&config, "rewrite", "yes"), -EINVAL);
	ck_assert_int_eq(set(&config, "rewrite", ""), -EINVAL);
	ck_assert(!config.policy.rewrite);
	ck_assert_int_eq(set(&config, "rewrite", "on"), 0);
	ck_assert(config.policy.rewrite);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_FULL);
	ck_assert_int_eq(config.policy.unsafe_methods, CONFIG_UNSAFE_FRESH);
}
END_TEST

START_TEST(count_is_a_decimal_number)
{
	static const char *const bad[] = {"",	  " 1",	 "1 ", "-1",	     "+1",
					  "0x10", "1.5", "1k", "4294967296", "99999999999999999999"};
	struct config config;

	config_init(&config);
	ck_assert_int_eq(set(&config, "max-idle-conns", "0"), 0);
	ck_assert_uint_eq(config.max_idle_conns, 0);
	ck_assert_int_eq(set(&config, "max-idle-conns", "4294967295"), 0);
	ck_assert_uint_eq(config.max_idle_conns, UINT32_MAX);
	ck_assert_int_eq(set(&config, "max-idle-conns", "007"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(set(&config, "max-idle-conns", bad[i]) == -EINVAL, "%s", bad[i]);
	ck_assert_uint_eq(config.max_idle_conns, 7);
	ck_assert_uint_eq(config.policy.max_idle_conns_per_host, 100);
}
END_TEST

START_TEST(duration_option_keeps_its_value_on_error)
{
	struct config config;

	config_init(&config);
	ck_assert_int_eq(set(&config, "idle-conn-timeout", "1m"), 0);
	ck_assert_uint_eq(config.policy.idle_conn_timeout_ns, 60 * SECOND);
	ck_assert_int_eq(set(&config, "idle-conn-timeout", "60"), -EINVAL);
	ck_assert_int_eq(set(&config, "idle-conn-timeout", "9999999h"), -EINVAL);
	ck_assert_uint_eq(config.policy.idle_conn_timeout_ns, 60 * SECOND);
}
END_TEST

START_TEST(path_fits_or_is_refused)
{
	static struct config config;
	static char path[PATH_MAX + 1];

	config_init(&config);
	memset(path, 'p', PATH_MAX - 1);
	ck_assert_int_eq(set(&config, "log", path), 0);
	ck_assert_str_eq(config.log_path, path);
	path[PATH_MAX - 1] = 'p';
	ck_assert_int_eq(set(&config, "log", path), -EINVAL);
	ck_assert_uint_eq(strlen(config.log_path), PATH_MAX - 1);
	ck_assert_int_eq(set(&config, "log", ""), 0);
	ck_assert_str_eq(config.log_path, "");
}
END_TEST

START_TEST(environment_is_read)
{
	char *environment[] = {"PATH=/bin",
			       "HOLDLINE_MODE=observe",
			       "HOLDLINE_MAX_IDLE_CONNS=9",
			       "HOLDLINE_MAX_IDLE_CONNS_PER_HOST=3",
			       "HOLDLINE_LOG=/tmp/log=1",
			       "HOLDLINE_IDLE_CONN_TIMEOUT=",
			       "HOLDLINE_MODE=bad but second",
			       "HOLDLINE_REWRITE",
			       "HOLDLINE_LIBRARY=/no/option",
			       "XHOLDLINE_REWRITE=off",
			       "",
			       NULL};
	struct config config;

	config_init(&config);
	ck_assert_int_eq(config_read_environment(&config, environment, NULL), 0);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_OBSERVE);
	ck_assert_uint_eq(config.max_idle_conns, 9);
	ck_assert_uint_eq(config.policy.max_idle_conns_per_host, 3);
	ck_assert_uint_eq(config.policy.idle_conn_timeout_ns, 60 * SECOND);
	ck_assert_str_eq(config.log_path, "/tmp/log=1");
	ck_assert(config.policy.rewrite);
}
END_TEST

START_TEST(environment_names_the_bad_one)
{
	char *environment[] = {"HOLDLINE_MODE=off", "HOLDLINE_MAX_CONN_AGE=soon", NULL};
	const struct config_option *bad = NULL;
	struct config config;

	config_init(&config);
	ck_assert_int_eq(config_read_environment(&config, environment, &bad), -EINVAL);
	ck_assert_ptr_eq(bad, find_option("max-conn-age"));
	ck_assert_int_eq(config_read_environment(&config, environment, NULL), -EINVAL);
}
END_TEST

START_TEST(environment_may_be_missing)
{
	char *empty[] = {NULL};
	struct config config;

	config_init(&config);
	ck_assert_int_eq(config_read_environment(&config, NULL, NULL), 0);
	ck_assert_int_eq(config_read_environment(&config, empty, NULL), 0);
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_FULL);
}
END_TEST

Suite *config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *table = tcase_create("table");
	TCase *values = tcase_create("values");
	TCase *environment = tcase_create("environment");

	tcase_add_test(table, defaults_are_the_documented_ones);
	tcase_add_test(table, table_is_consistent);
	tcase_add_test(table, table_shows_its_choices);
	suite_add_tcase(suite, table);
	tcase_add_loop_test(values, duration_is_parsed_as_by_go, 0, sizeof(good_durations) / sizeof(good_durations[0]));
	tcase_add_loop_test(values, duration_is_refused, 0, sizeof(bad_durations) / sizeof(bad_durations[0]));
	tcase_add_test(values, choice_takes_its_words_only);
	tcase_add_test(values, switch_is_on_or_off);
	tcase_add_test(values, count_is_a_decimal_number);
	tcase_add_test(values, duration_option_keeps_its_value_on_error);
	tcase_add_test(values, path_fits_or_is_refused);
	suite_add_tcase(suite, values);
	tcase_add_test(environment, environment_is_read);
	tcase_add_test(environment, environment_names_the_bad_one);
	tcase_add_test(environment, environment_may_be_missing);
	suite_add_tcase(suite, environment);
	return suite;
}
