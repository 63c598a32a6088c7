/*
 * Rules: the destinations that a pattern matches, the settings that a rule may have, and where errors are reported.
 */
#include "pool/config/rules.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <string.h>

#include "pool/conn/destination.h"

#define SECOND 1000000000ull

static struct config config;

static void start(void)
{
	config_init(&config);
}

static int parse(const char *text)
{
	size_t place;

	strcpy(config.rules_text, text);
	return rules_parse(&config, &place);
}

static struct destination_key key_of(const char *address, uint16_t port)
{
	struct destination_key key = {.family = strchr(address, ':') ? AF_INET6 : AF_INET, .port = htons(port)};

	ck_assert_int_eq(inet_pton(key.family, address, key.address), 1);
	return key;
}

/* The number of the rule that decides; -1: none. */
static int rule_for(const char *address, uint16_t port)
{
	struct destination_key key = key_of(address, port);
	const struct policy *policy = rules_find(&config, &key);

	for (unsigned i = 0; i < config.n_rules; i++)
		if (policy == &config.rules[i].policy)
			return (int)i;
	ck_assert_ptr_eq(policy, &config.policy);
	return -1;
}

static const struct {
	const char *pattern, *address;
	uint16_t port;
	bool matches;
} patterns[] = {
	{"*:*", "10.0.0.1", 80, true},
	{"*:*", "2001:db8::1", 65535, true},
	{"*:*", "0.0.0.0", 1, true},
	{"*:80", "10.0.0.1", 80, true},
	{"*:80", "::1", 80, true},
	{"*:80", "10.0.0.1", 81, false},
	{"*:80", "10.0.0.1", 0x5000, false}, /* in network order */
	{"10.0.0.1:*", "10.0.0.1", 1, true},
	{"10.0.0.1:*", "10.0.0.2", 1, false},
	{"10.0.0.1:80", "10.0.0.1", 80, true},
	{"10.0.0.1:80", "10.0.0.1", 8080, false},
	{"10.0.0.1/32:80", "10.0.0.1", 80, true},
	{"10.0.0.1/32:80", "10.0.0.0", 80, false},
	{"10.0.0.0/8:80", "10.255.1.2", 80, true},
	{"10.0.0.0/8:80", "11.0.0.0", 80, false},
	{"10.1.2.3/8:80", "10.9.9.9", 80, true}, /* bits beyond the prefix are ignored */
	{"10.0.0.0/9:80", "10.127.0.1", 80, true},
	{"10.0.0.0/9:80", "10.128.0.1", 80, false},
	{"10.128.0.0/9:80", "10.128.0.1", 80, true},
	{"10.0.0.128/25:80", "10.0.0.129", 80, true},
	{"10.0.0.128/25:80", "10.0.0.127", 80, false},
	{"10.0.0.2/31:80", "10.0.0.3", 80, true},
	{"10.0.0.2/31:80", "10.0.0.4", 80, false},
	{"0.0.0.0/0:80", "203.0.113.9", 80, true},
	{"0.0.0.0/0:80", "2001:db8::1", 80, false},
	{"*:80-90", "10.0.0.1", 79, false},
	{"*:80-90", "10.0.0.1", 80, true},
	{"*:80-90", "10.0.0.1", 90, true},
	{"*:80-90", "10.0.0.1", 91, false},
	{"*:80-80", "10.0.0.1", 80, true},
	{"*:0-65535", "10.0.0.1", 65535, true},
	{"[::1]:80", "::1", 80, true},
	{"[::1]:80", "::2", 80, false},
	{"[::1]:80", "0.0.0.1", 80, false},
	{"[2001:db8::]/32:*", "2001:db8:ffff::1", 443, true},
	{"[2001:db8::]/32:*", "2001:db9::1", 443, false},
	{"[2001:db8::]/33:*", "2001:db8:7fff::1", 443, true},
	{"[2001:db8::]/33:*", "2001:db8:8000::1", 443, false},
	{"[2001:db8::1]/128:*", "2001:db8::1", 443, true},
	{"[2001:db8::1]/127:*", "2001:db8::2", 443, false},
	{"[::]/0:*", "2001:db8::1", 443, true},
	{"[::]/0:*", "10.0.0.1", 443, false},
	/* IPv4 over an IPv6 socket. */
	{"10.0.0.0/8:80", "::ffff:10.2.3.4", 80, true},
	{"10.0.0.0/8:80", "::ffff:11.2.3.4", 80, false},
	{"10.0.0.0/8:80", "::10.2.3.4", 80, false}, /* compatible (RFC 4291 2.5.5.1), not mapped */
	{"10.2.3.4:80", "::ffff:10.2.3.4", 80, true},
	{"0.0.0.0/0:80", "::ffff:10.2.3.4", 80, true},
	{"0.0.0.0/0:80", "::1", 80, false},
	{"[::ffff:0:0]/96:80", "::ffff:10.2.3.4", 80, true},
	{"[::ffff:10.2.3.4]:80", "::ffff:10.2.3.4", 80, true},
	{"*:80", "::ffff:10.2.3.4", 80, true},
};
#define N_PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

START_TEST(a_pattern_means)
{
	char text[100];

	strcat(strcpy(text, patterns[_i].pattern), " off");
	ck_assert_int_eq(parse(text), 0);
	ck_assert_uint_eq(config.n_rules, 1);
	ck_assert_msg((rule_for(patterns[_i].address, patterns[_i].port) == 0) == patterns[_i].matches, "%s %s:%u",
		      text, patterns[_i].address, patterns[_i].port);
}
END_TEST

START_TEST(the_first_that_matches_counts)
{
	ck_assert_int_eq(parse("10.0.0.1:80 rewrite=on; 10.0.0.0/8:* off; *:443 observe; 10.0.0.1:* off; *:80 off"), 0);
	ck_assert_int_eq(rule_for("10.0.0.1", 80), 0);
	ck_assert_int_eq(rule_for("10.0.0.1", 81), 1);
	ck_assert_int_eq(rule_for("10.9.0.1", 443), 1);
	ck_assert_int_eq(rule_for("192.0.2.1", 443), 2);
	ck_assert_int_eq(rule_for("192.0.2.1", 80), 4);
	ck_assert_int_eq(rule_for("192.0.2.1", 81), -1);
}
END_TEST

START_TEST(none_are_none)
{
	static const char *const texts[] = {"", " ", ";", ";;; ;\t;\n", " \n "};

	ck_assert_int_eq(parse(texts[_i]), 0);
	ck_assert_uint_eq(config.n_rules, 0);
	ck_assert_int_eq(rule_for("10.0.0.1", 80), -1);
}
END_TEST

START_TEST(blanks_and_empty_rules)
{
	ck_assert_int_eq(parse(";;\t *:80\t\n off ;\n ; *:81   off\trewrite=off\n;"), 0);
	ck_assert_uint_eq(config.n_rules, 2);
	ck_assert_int_eq(rule_for("10.0.0.1", 81), 1);
	/* Read again, they are not added. */
	ck_assert_int_eq(parse("*:82 off"), 0);
	ck_assert_uint_eq(config.n_rules, 1);
	ck_assert_int_eq(rule_for("10.0.0.1", 80), -1);
}
END_TEST

/* Every flag for single destinations, and its effect. */
static const struct {
	const char *setting;
	struct policy policy; /* only members other than zero are compared */
} settings[] = {
	{"mode=observe", {.mode = CONFIG_MODE_OBSERVE}},
	{"observe", {.mode = CONFIG_MODE_OBSERVE}},
	{"mode=full", {.mode = CONFIG_MODE_FULL}},
	{"rewrite=on", {.rewrite = true}},
	{"unsafe-methods=young", {.unsafe_methods = CONFIG_UNSAFE_YOUNG}},
	{"unsafe-methods=reuse", {.unsafe_methods = CONFIG_UNSAFE_REUSE}},
	{"tls=reuse", {.tls = CONFIG_TLS_REUSE}},
	{"protocols=redis", {.protocols = CONFIG_PROTOCOLS_REDIS}},
	{"proto=memcached", {.protocols = CONFIG_PROTOCOLS_MEMCACHED}},
	{"proto=mysql", {.protocols = CONFIG_PROTOCOLS_MYSQL}},
	{"protocols=all", {.protocols = CONFIG_PROTOCOLS_ALL}},
	{"mysql-share=run", {.mysql_share = CONFIG_MYSQL_SHARE_RUN}},
	{"proto=redis", {.protocols = CONFIG_PROTOCOLS_REDIS}},
	{"proto=off mode=full", {.mode = CONFIG_MODE_FULL}},
	{"dial-timeout=300ms", {.dial_timeout_ns = 300000000}},
	{"keep-alive=10s", {.keep_alive_ns = 10 * SECOND}},
	{"response-header-timeout=2s", {.response_header_timeout_ns = 2 * SECOND}},
	{"expect-continue-timeout=3s", {.expect_continue_timeout_ns = 3 * SECOND}},
	{"idle-conn-timeout=4s", {.idle_conn_timeout_ns = 4 * SECOND}},
	{"max-idle-conns-per-host=5", {.max_idle_conns_per_host = 5}},
	{"max-conns-per-host=6", {.max_conns_per_host = 6}},
	{"pipeline=8", {.pipeline = 8}},
	{"pipeline-when=always", {.pipeline_when = CONFIG_PIPELINE_ALWAYS}},
	{"max-conn-age=1m30s", {.max_conn_age_ns = 90 * SECOND}},
	{"max-conn-requests=7", {.max_conn_requests = 7}},
};
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

START_TEST(every_setting)
{
	struct policy expected = settings[_i].policy;
	char text[100];

	strcat(strcpy(text, "*:80 "), settings[_i].setting);
	memset(&config.policy, 0, sizeof(config.policy));
	ck_assert_int_eq(parse(text), 0);
	/* Padding is zero in both. */
	ck_assert_mem_eq(&config.rules[0].policy, &expected, sizeof(expected));
	ck_assert_int_eq(config.policy.mode, CONFIG_MODE_OFF);
}
END_TEST

START_TEST(what_a_rule_leaves_unsaid)
{
	config.policy.max_conn_requests = 17;
	config.policy.dial_timeout_ns = 5 * SECOND;
	ck_assert_int_eq(parse("*:80 off; *:81 dial-timeout=1s rewrite=off dial-timeout=2s"), 0);
	ck_assert_int_eq(config.rules[0].policy.mode, CONFIG_MODE_OFF);
	ck_assert_uint_eq(config.rules[0].policy.max_conn_requests, 17);
	ck_assert_uint_eq(config.rules[0].policy.dial_timeout_ns, 5 * SECOND);
	ck_assert_int_eq(config.rules[1].policy.mode, CONFIG_MODE_FULL);
	ck_assert(!config.rules[1].policy.rewrite);
	ck_assert(config.rules[0].policy.rewrite);
	ck_assert_uint_eq(config.rules[1].policy.dial_timeout_ns, 2 * SECOND); /* the last counts */
}
END_TEST

START_TEST(the_table_and_the_policy_agree)
{
	unsigned n = 0;

	for (size_t i = 0; i < config_n_options; i++) {
		char text[200];

		strcat(strcat(strcpy(text, "*:80 "), config_options[i].flag), "=");
		strcat(text, config_options[i].default_value);
		if (strlen(config_options[i].default_value))
			ck_assert_int_eq(parse(text), config_is_policy(&config_options[i]) ? 0 : -EINVAL);
		n += config_is_policy(&config_options[i]);
	}
	/* A new flag belongs into the list above. */
	ck_assert_uint_eq(n, N_SETTINGS - 8);
}
END_TEST

/* `^` marks the position of the error. */
static const char *const bad[] = {
	"*:80 ^proto=gopher",
	"^nonsense",
	"^*:80",
	"^*:80 ; *:81 off",
	"*:80 off; ^*",
	"*:80 off; ^10.0.0.1 off",
	"*:80 off;^:80 off",
	"^*: off",
	"^*:-80 off",
	"^*:80- off",
	"^*:90-80 off",
	"^*:80-90-100 off",
	"^*:65536 off",
	"^*:99999999999999999999 off",
	"^*:1-65536 off",
	"^*:http off",
	"^*:8o off",
	"^*:0x50 off",
	"^*:** off",
	"^**:80 off",
	"^*/8:80 off",
	"^10.0.0:80 off",
	"^10.0.0.256:80 off",
	"^10.0.0.1.:80 off",
	"^1000.1000.1000.1000:80 off",
	"^10.0.0.1/33:80 off",
	"^10.0.0.1/:80 off",
	"^10.0.0.1/-1:80 off",
	"^10.0.0.1/8/8:80 off",
	"^10.0.0.1/8x:80 off",
	"^/8:80 off",
	"^localhost:80 off",
	"^::1:80 off",
	"^[::1:80 off",
	"^[::1]80 off",
	"^[::1]x:80 off",
	"^[]:80 off",
	"^[10.0.0.1]:80 off",
	"^[::1]/129:80 off",
	"^[::1]/:80 off",
	"^[::1/64]:80 off",
	"^[fe80::1%lo]:80 off",
	"*:80 ^on",
	"*:80 ^full",
	"*:80 ^=",
	"*:80 ^=off",
	"*:80 ^mode",
	"*:80 ^mode=",
	"*:80 ^mode=on",
	"*:80 ^MODE=off",
	"*:80 ^mod=off",
	"*:80 ^modes=off",
	"*:80 ^--mode=off",
	"*:80 off ^off=",
	"*:80 off ^*:81",
	"*:80 ^pool=local",
	"*:80 ^broker=/x",
	"*:80 ^rules=x",
	"*:80 ^log=/x",
	"*:80 ^profile=go",
	"*:80 ^port-scan=kernel",
	"*:80 ^max-idle-conns=5",
	"*:80 ^max-conns-per-host=-1",
	"*:80 ^max-conns-per-host=4294967296",
	"*:80 ^max-conn-age=soon",
	"*:80 ^max-conn-age=-1s",
	"*:80 off rewrite=off ^rewrite=maybe off",
	"*:80 off,^",
};
#define N_BAD (sizeof(bad) / sizeof(bad[0]))

START_TEST(a_bad_rule_has_its_place)
{
	const char *mark = strchr(bad[_i], '^');
	size_t place = 4711, expected = (size_t)(mark - bad[_i]);

	memcpy(config.rules_text, bad[_i], expected);
	strcpy(config.rules_text + expected, mark + 1);
	/* Blanks before a word don't belong to it; an invalid word is reported as a whole. */
	while (config.rules_text[expected] == ' ')
		expected++;
	if (config.rules_text[expected] == '\0')
		while (expected && config.rules_text[expected - 1] != ' ')
			expected--;
	ck_assert_msg(rules_parse(&config, &place) == -EINVAL, "%s", bad[_i]);
	ck_assert_msg(place == expected, "%s: %zu", bad[_i], place);
	ck_assert_int_eq(rules_parse(&config, NULL), -EINVAL);
}
END_TEST

START_TEST(words_have_a_length)
{
	char text[400] = "*:80 max-conns-per-host=";
	size_t place;

	memset(text + strlen(text), '0', 127 - strlen("max-conns-per-host="));
	ck_assert_int_eq(parse(text), 0);
	strcat(text, "0");
	strcpy(config.rules_text, text);
	ck_assert_int_eq(rules_parse(&config, &place), -EINVAL);
	ck_assert_uint_eq(place, 5);
	memset(text, '1', 300);
	strcpy(config.rules_text, text);
	ck_assert_int_eq(rules_parse(&config, &place), -EINVAL);
	ck_assert_uint_eq(place, 0);
}
END_TEST

START_TEST(so_many_and_no_more)
{
	size_t place;

	config.rules_text[0] = '\0';
	for (int i = 0; i < CONFIG_RULES_MAX; i++)
		strcat(config.rules_text, "*:1 off;");
	ck_assert_int_eq(rules_parse(&config, &place), 0);
	ck_assert_uint_eq(config.n_rules, CONFIG_RULES_MAX);
	strcat(config.rules_text, " ; ");
	ck_assert_int_eq(rules_parse(&config, &place), 0);
	strcat(config.rules_text, "*:2 off");
	ck_assert_int_eq(rules_parse(&config, &place), -EINVAL);
	ck_assert_uint_eq(place, CONFIG_RULES_MAX * strlen("*:1 off;") + 3);
}
END_TEST

START_TEST(from_the_environment)
{
	char *const good[] = {"HOLDLINE_RULES=*:80 off", "HOLDLINE_MAX_CONN_REQUESTS=3", NULL};
	char *const wrong[] = {"HOLDLINE_RULES=*:80 of", NULL};
	const struct config_option *option;

	/* On top of the other settings, whichever comes first. */
	ck_assert_int_eq(config_read_environment(&config, good, &option), 0);
	ck_assert_uint_eq(config.rules[0].policy.max_conn_requests, 3);
	ck_assert_int_eq(config_read_environment(&config, wrong, &option), -EINVAL);
	ck_assert_str_eq(option->variable, "HOLDLINE_RULES");
}
END_TEST

Suite *rules_suite(void)
{
	Suite *suite = suite_create("rules");
	TCase *tcase = tcase_create("rules");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_loop_test(tcase, a_pattern_means, 0, N_PATTERNS);
	tcase_add_test(tcase, the_first_that_matches_counts);
	tcase_add_loop_test(tcase, none_are_none, 0, 5);
	tcase_add_test(tcase, blanks_and_empty_rules);
	tcase_add_loop_test(tcase, every_setting, 0, N_SETTINGS);
	tcase_add_test(tcase, what_a_rule_leaves_unsaid);
	tcase_add_test(tcase, the_table_and_the_policy_agree);
	tcase_add_loop_test(tcase, a_bad_rule_has_its_place, 0, N_BAD);
	tcase_add_test(tcase, words_have_a_length);
	tcase_add_test(tcase, so_many_and_no_more);
	tcase_add_test(tcase, from_the_environment);
	suite_add_tcase(suite, tcase);
	return suite;
}
