/*
 * Options that are undone: the table, the switch from one user's options to the next one's with as few calls as
 * possible, and a check that the real kernel restores its defaults.
 */
#include "pool/conn/socket_options.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/fake/sys.h"

static const struct {
	int level, name;
	socklen_t length;
} OPTIONS[SOCKET_OPTION_COUNT] = {
	{SOL_SOCKET, SO_KEEPALIVE, 4},	 {SOL_SOCKET, SO_LINGER, 8},	{SOL_SOCKET, SO_RCVTIMEO, 16},
	{SOL_SOCKET, SO_SNDTIMEO, 16},	 {SOL_SOCKET, SO_OOBINLINE, 4}, {SOL_SOCKET, SO_RCVLOWAT, 4},
	{IPPROTO_TCP, TCP_NODELAY, 4},	 {IPPROTO_TCP, TCP_CORK, 4},	{IPPROTO_TCP, TCP_KEEPIDLE, 4},
	{IPPROTO_TCP, TCP_KEEPINTVL, 4}, {IPPROTO_TCP, TCP_KEEPCNT, 4}, {IPPROTO_TCP, TCP_USER_TIMEOUT, 4},
	{IPPROTO_TCP, TCP_LINGER2, 4},	 {IPPROTO_IP, IP_TOS, 4},
};

static unsigned n_sets(void)
{
	return fake_kernel.n_calls[FAKE_CALL_SETSOCKOPT];
}

static void record(struct socket_options *options, int index, uint8_t fill)
{
	uint8_t value[SOCKET_OPTION_SIZE];

	memset(value, fill, sizeof(value));
	ck_assert_int_eq(socket_options_record(options, index, value, socket_options_length(index)), 0);
}

/* The fake kernel's value: the first byte of an option, which the tests fill evenly. */
static uint8_t kernel_has(int fd, int index)
{
	uint8_t value[SOCKET_OPTION_SIZE] = {0};
	socklen_t length = OPTIONS[index].length;

	ck_assert_int_eq(fake_sys.getsockopt(fd, OPTIONS[index].level, OPTIONS[index].name, value, &length), 0);
	ck_assert_uint_eq(length, OPTIONS[index].length);
	for (socklen_t i = 1; i < length; i++)
		ck_assert_uint_eq(value[i], value[0]);
	return value[0];
}

START_TEST(table_finds_each_option)
{
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		ck_assert_int_eq(socket_options_index(OPTIONS[i].level, OPTIONS[i].name), i);
		ck_assert_uint_eq(socket_options_length(i), OPTIONS[i].length);
		ck_assert_uint_le(OPTIONS[i].length, SOCKET_OPTION_SIZE);
	}
}
END_TEST

START_TEST(table_has_no_other)
{
	unsigned n = 0;

	for (int level = -1; level < 300; level++)
		for (int name = -1; name < 300; name++)
			n += socket_options_index(level, name) >= 0;
	ck_assert_uint_eq(n, SOCKET_OPTION_COUNT);
	ck_assert_int_eq(socket_options_index(SOL_SOCKET, SO_MARK), -1);
	ck_assert_int_eq(socket_options_index(SOL_SOCKET, SO_BINDTODEVICE), -1);
	ck_assert_int_eq(socket_options_index(SOL_SOCKET, SO_RCVBUF), -1); /* can't be undone: it ends auto-tuning */
	ck_assert_int_eq(socket_options_index(IPPROTO_TCP, TCP_CONGESTION), -1);
}
END_TEST

START_TEST(record_takes_no_shorter_value)
{
	uint8_t value[64] = {0};

	for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
		for (socklen_t length = 0; length < sizeof(value); length++) {
			struct socket_options options = {0};
			int result = socket_options_record(&options, i, value, length);

			ck_assert_int_eq(result, length >= OPTIONS[i].length ? 0 : -EINVAL);
			ck_assert_uint_eq(options.set, result ? 0 : 1u << i);
		}
}
END_TEST

START_TEST(apply_calls_for_differences_only)
{
	struct socket_options applied = {0};
	int fd = fake_socket_new(), one = 1, two = 2;

	ck_assert_int_eq(socket_options_apply(&fake_sys, fd, &applied, SOCKET_OPTION_NODELAY, &one), 0);
	ck_assert_uint_eq(n_sets(), 1);
	ck_assert_int_eq(socket_options_apply(&fake_sys, fd, &applied, SOCKET_OPTION_NODELAY, &one), 0);
	ck_assert_uint_eq(n_sets(), 1);
	ck_assert_int_eq(socket_options_apply(&fake_sys, fd, &applied, SOCKET_OPTION_NODELAY, &two), 0);
	ck_assert_uint_eq(n_sets(), 2);
	fake_sys_fail(FAKE_CALL_SETSOCKOPT, 1, 1, EPERM);
	ck_assert_int_eq(socket_options_apply(&fake_sys, fd, &applied, SOCKET_OPTION_NODELAY, &one), -EPERM);
	ck_assert_int_eq(socket_options_apply(&fake_sys, fd, &applied, SOCKET_OPTION_NODELAY, &two), 0);
	ck_assert_uint_eq(n_sets(), 3); /* a failed call changes nothing */
}
END_TEST

START_TEST(read_fails_at_any_call)
{
	struct socket_options defaults = {0};
	int fd = fake_socket_new();

	for (unsigned at = 1; at <= SOCKET_OPTION_COUNT; at++) {
		fake_sys_fail(FAKE_CALL_GETSOCKOPT, at, 1, ENOBUFS);
		ck_assert_int_eq(socket_options_read(&fake_sys, fd, ~0u, &defaults), -ENOBUFS);
	}
	ck_assert_int_eq(socket_options_read(&fake_sys, fd, ~0u, &defaults), 0);
	ck_assert_uint_eq(defaults.set, (1u << SOCKET_OPTION_COUNT) - 1);
}
END_TEST

static void make_random(struct socket_options *options)
{
	*options = (struct socket_options){0};
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
		if (random() % 2)
			record(options, i, (uint8_t)(random() % 3)); /* 0 is the default's value */
}

static unsigned n_differences(const struct socket_options *from, const struct socket_options *to)
{
	unsigned n = 0;

	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		/* An option that was set, even to its default value, counts as unknown until it has been set once. */
		bool was_set = from->set & 1u << i, is_set = to->set & 1u << i;

		n += was_set ? from->value[i][0] != (is_set ? to->value[i][0] : 0) : is_set;
	}
	return n;
}

START_TEST(switch_arrives_with_the_fewest_calls)
{
	struct socket_options defaults, applied = {0}, wanted, before;
	int fd = fake_socket_new();

	srandom(2);
	ck_assert_int_eq(socket_options_read(&fake_sys, fd, ~0u, &defaults), 0);
	for (int round = 0; round < 2000; round++) {
		unsigned n = n_sets();

		before = applied;
		make_random(&wanted);
		ck_assert_int_eq(socket_options_switch(&fake_sys, fd, &applied, &wanted, &defaults), 0);
		ck_assert_uint_eq(n_sets() - n, n_differences(&before, &wanted));
		ck_assert_uint_eq(applied.set, wanted.set);
		for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
			ck_assert_uint_eq(kernel_has(fd, i), wanted.set & 1u << i ? wanted.value[i][0] : 0);
		n = n_sets();
		ck_assert_int_eq(socket_options_switch(&fake_sys, fd, &applied, &wanted, &defaults), 0);
		ck_assert_uint_eq(n_sets(), n);
	}
}
END_TEST

START_TEST(switch_cut_short_tells_how_far_it_got)
{
	struct socket_options defaults, applied, wanted;
	int fd = fake_socket_new();

	srandom(3);
	ck_assert_int_eq(socket_options_read(&fake_sys, fd, ~0u, &defaults), 0);
	applied = (struct socket_options){0};
	for (int round = 0; round < 2000; round++) {
		int result;

		make_random(&wanted);
		fake_sys_fail(FAKE_CALL_SETSOCKOPT, (unsigned)(1 + random() % 8), 1, ENOMEM);
		result = socket_options_switch(&fake_sys, fd, &applied, &wanted, &defaults);
		ck_assert(result == 0 || result == -ENOMEM);
		for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
			ck_assert_uint_eq(kernel_has(fd, i), applied.set & 1u << i ? applied.value[i][0] : 0);
		if (result == 0)
			ck_assert_uint_eq(applied.set, wanted.set);
	}
}
END_TEST

static const struct pool_sys real_sys = {.getsockopt = getsockopt, .setsockopt = setsockopt};

START_TEST(real_kernel_undoes_all)
{
	struct socket_options defaults, now, applied = {0}, wanted = {0}, none = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, seven = 7;
	struct linger linger = {1, 9};
	int throughput = IPTOS_THROUGHPUT;
	int64_t timeout[2] = {5, 500000};

	if (sizeof(long) != 8)
		timeout[0] |= timeout[1] << 32;
	ck_assert_int_eq(socket_options_read(&real_sys, fd, ~0u, &defaults), 0);
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		socklen_t length = socket_options_length(i);
		bool is_switch = i == SOCKET_OPTION_KEEPALIVE || i == SOCKET_OPTION_OOBINLINE ||
				 i == SOCKET_OPTION_NODELAY || i == SOCKET_OPTION_CORK;
		const void *value = length > 8		     ? (const void *)timeout
				    : length == 8	     ? (const void *)&linger
				    : i == SOCKET_OPTION_TOS ? (const void *)&throughput
				    : is_switch		     ? (const void *)&one
							     : (const void *)&seven;

		ck_assert_int_eq(socket_options_record(&wanted, i, value, length), 0);
	}
	ck_assert_int_eq(socket_options_switch(&real_sys, fd, &applied, &wanted, &defaults), 0);
	ck_assert_int_eq(socket_options_read(&real_sys, fd, ~0u, &now), 0);
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		ck_assert_msg(memcmp(now.value[i], wanted.value[i], socket_options_length(i)) == 0, "option %d", i);
		ck_assert_msg(memcmp(now.value[i], defaults.value[i], socket_options_length(i)) != 0, "option %d", i);
	}
	ck_assert_int_eq(socket_options_switch(&real_sys, fd, &applied, &none, &defaults), 0);
	ck_assert_uint_eq(applied.set, 0);
	ck_assert_int_eq(socket_options_read(&real_sys, fd, ~0u, &now), 0);
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		socklen_t length = i == SOCKET_OPTION_LINGER ? sizeof(int) : socket_options_length(i);

		ck_assert_msg(memcmp(now.value[i], defaults.value[i], length) == 0, "option %d", i);
	}
	close(fd);
}
END_TEST

Suite *socket_options_suite(void)
{
	Suite *suite = suite_create("socket_options");
	TCase *tcase = tcase_create("socket_options");

	tcase_add_checked_fixture(tcase, fake_sys_start, fake_sys_stop);
	tcase_add_test(tcase, table_finds_each_option);
	tcase_add_test(tcase, table_has_no_other);
	tcase_add_test(tcase, record_takes_no_shorter_value);
	tcase_add_test(tcase, apply_calls_for_differences_only);
	tcase_add_test(tcase, read_fails_at_any_call);
	tcase_add_test(tcase, switch_arrives_with_the_fewest_calls);
	tcase_add_test(tcase, switch_cut_short_tells_how_far_it_got);
	tcase_add_test(tcase, real_kernel_undoes_all);
	suite_add_tcase(suite, tcase);
	return suite;
}
