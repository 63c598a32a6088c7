/*
 * What a bug report leaves out of a line, and what it keeps.
 */
#include "tools/about/redact.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *line, *clean;
} cases[] = {
	{"", ""},
	{"HOLDLINE_MODE=off", "HOLDLINE_MODE=off"},
	{"5690 not kept 127.0.0.1:8000 fd=5 server_close", "5690 not kept 127.0.0.1:8000 fd=5 server_close"},
	{"http://user:word@host/x", "http://***@host/x"},
	{"http://user@host", "http://***@host"},
	{"http://host/a@b", "http://host/a@b"},
	{"redis://:p@ss@host:6379/0 and more", "redis://***@host:6379/0 and more"},
	{"DB_PASSWORD=geheim x=1", "DB_PASSWORD=*** x=1"},
	{"a?token=abc&b=2", "a?token=***&b=2"},
	{"Environment=\"API_KEY=a b c\" D=1", "Environment=\"API_KEY=***\" D=1"},
	{"PASSWORD='a b' D=1", "PASSWORD=***' D=1"},
	{"Authorization: Bearer abc def", "Authorization:***"},
	{"curl -H 'Cookie: a=b; c=d' http://x/", "curl -H 'Cookie:***' http://x/"},
	{"X-Auth-Token:abc", "X-Auth-Token:***"},
	{"{\"password\": \"a b\", \"n\": 1}", "{\"password\":***\", \"n\": 1}"},
	{"prog --password geheim file", "prog --password *** file"},
	{"prog --db-token=geheim file", "prog --db-token=*** file"},
	{"the password is long", "the password is long"},
	{"DB_PASS=geheim x", "DB_PASS=*** x"},
	{"prog --db-pass=x y", "prog --db-pass=*** y"},
	{"prog --pass x y", "prog --pass *** y"},
	{"[\"--pass\", \"x\", \"y\"]", "[\"--pass\", ***\", \"y\"]"},
	{"wpa-psk: x", "wpa-psk:***"},
	{"key=x&sig=y&monkey=1", "key=***&sig=***&monkey=1"},
	{"AWS_KEY_2=x", "AWS_KEY_2=***"},
	{"password = x", "password =***"},
	{"{'password': 'x', 'n': 1}", "{'password':***', 'n': 1}"},
	{"user[password]=x&n=1", "user[password]=***&n=1"},
	{"Environment=\"PASSWORD=a\\\"b\" N=1", "Environment=\"PASSWORD=***\" N=1"},
	{"Environment=\"PASSWORD='a' b\" N=1", "Environment=\"PASSWORD=***\" N=1"},
	{"prog -dsn root:pw@tcp(db)/x", "prog -dsn ***"},
	{"connect root:p@w:1@tcp(db)/x", "connect ***@tcp(db)/x"},
	{"curl -u user:pw host", "curl -u *** host"},
	{"curl --user user:pw host", "curl --user *** host"},
	{"mysql -pSECRET db", "mysql -p*** db"},
	{"mysql -p$passw-1 db", "mysql -p*** db"},
	{"mysql -ppass1 db", "mysql -p*** db"},
	{"a -p 80 --pool=local", "a -p 80 --pool=local"},
	{"127.0.0.1:8000 and a@b", "127.0.0.1:8000 and a@b"},
	{"12 total auth_bound=2 bypassed=1", "12 total auth_bound=2 bypassed=1"},
	{"://", "://"},
	{"token=", "token=***"},
	{"\xff\xfe=1", "\xff\xfe=1"},
};

START_TEST(secrets_are_left_out)
{
	char clean[256];

	redact_line(cases[_i].line, clean, sizeof(clean));
	ck_assert_str_eq(clean, cases[_i].clean);
}
END_TEST

START_TEST(a_line_is_cut_off)
{
	for (size_t room = 1; room < 40; room++) {
		char *clean = malloc(room);

		redact_line("a=b token=c http://u@h/ password='d' end", clean, room);
		ck_assert_uint_lt(strlen(clean), room);
		free(clean);
	}
}
END_TEST

Suite *redact_suite(void)
{
	Suite *suite = suite_create("redact");
	TCase *core = tcase_create("core");

	tcase_add_loop_test(core, secrets_are_left_out, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(core, a_line_is_cut_off);
	suite_add_tcase(suite, core);
	return suite;
}
