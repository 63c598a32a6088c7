/*
 * Keys of destinations: made from addresses and options, read back, with the right length.
 */
#include "pool/conn/destination.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static struct sockaddr_in address4(const char *text, in_port_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	ck_assert_int_eq(inet_pton(AF_INET, text, &in.sin_addr), 1);
	return in;
}

static struct sockaddr_in6 address6(const char *text, in_port_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	ck_assert_int_eq(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return in6;
}

#define GENERIC(address) ((const struct sockaddr *)&(address))

START_TEST(no_byte_of_a_key_is_padding)
{
	/* Keys are compared as bytes: uninitialised padding could differ by accident. */
	ck_assert_uint_eq(offsetof(struct destination_key, options), 8 + 4 + 2 + 2 + 16 + 4 + 4 + 16 + 4 + 2 + 2);
	ck_assert_uint_eq(sizeof(struct destination_key),
			  offsetof(struct destination_key, options) + DESTINATION_OPTIONS_MAX);
}
END_TEST

/* Every byte that counts makes a difference, none behind the options does. */
START_TEST(equality)
{
	struct destination_key key = {.family = AF_INET, .port = 80}, other;
	int value = 1;

	ck_assert_int_eq(destination_key_add_option(&key, 6, 7, &value, sizeof(value)), 0);
	other = key;
	ck_assert(destination_key_equal(&key, &other));
	other.options[key.options_length] = 1;
	ck_assert(destination_key_equal(&key, &other));
	for (unsigned i = 0; i < destination_key_length(&key); i++) {
		other = key;
		((uint8_t *)&other)[i] ^= 1;
		if (destination_key_length(&other) > sizeof(other))
			continue; /* no key: whoever takes one from outside looks at its length first */
		ck_assert(!destination_key_equal(&key, &other));
		ck_assert(!destination_key_equal(&other, &key));
	}
	/* One that goes on as the other does, and has one option more. */
	other = key;
	ck_assert_int_eq(destination_key_add_option(&other, 6, 8, &value, sizeof(value)), 0);
	ck_assert(!destination_key_equal(&key, &other));
	ck_assert(!destination_key_equal(&other, &key));
}
END_TEST

START_TEST(ipv4_peer_comes_back)
{
	struct sockaddr_in in = address4("192.0.2.7", 8080);
	struct destination_key key = {0};
	struct sockaddr_in6 out;

	memset(in.sin_zero, 0xee, sizeof(in.sin_zero)); /* the kernel ignores these bytes, and so must the key */
	ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(in), sizeof(in)), 0);
	ck_assert_int_eq(key.family, AF_INET);
	ck_assert_uint_eq(key.port, htons(8080));
	memset(&out, 0xee, sizeof(out));
	ck_assert_uint_eq(destination_key_peer(&key, &out), sizeof(in));
	in = address4("192.0.2.7", 8080);
	ck_assert_mem_eq(&out, &in, sizeof(in));
	for (size_t i = 4; i < 16; i++)
		ck_assert_uint_eq(key.address[i], 0);
}
END_TEST

START_TEST(ipv6_peer_comes_back)
{
	struct sockaddr_in6 in6 = address6("fe80::1234:5678", 443), out;
	struct destination_key key = {0};

	in6.sin6_scope_id = 3;
	in6.sin6_flowinfo = htonl(0x12345);
	ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(in6), sizeof(in6)), 0);
	memset(&out, 0xee, sizeof(out));
	ck_assert_uint_eq(destination_key_peer(&key, &out), sizeof(in6));
	ck_assert_mem_eq(&out, &in6, sizeof(in6));
}
END_TEST

START_TEST(longer_addresses_are_taken_shorter_not)
{
	struct sockaddr_storage storage = {0};
	struct destination_key key = {0}, untouched = {0};
	struct sockaddr_in in = address4("10.0.0.1", 80);
	struct sockaddr_in6 in6 = address6("::1", 80);

	memcpy(&storage, &in, sizeof(in));
	for (socklen_t length = sizeof(sa_family_t); length < sizeof(in); length++)
		ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(storage), length), -EINVAL);
	memcpy(&storage, &in6, sizeof(in6));
	for (socklen_t length = sizeof(sa_family_t); length < sizeof(in6); length++)
		ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(storage), length), -EINVAL);
	ck_assert_mem_eq(&key, &untouched, sizeof(key));
	ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(storage), sizeof(storage)), 0);
	memset(&storage, 0, sizeof(storage));
	memcpy(&storage, &in, sizeof(in));
	ck_assert_int_eq(destination_key_set_peer(&untouched, GENERIC(storage), sizeof(storage)), 0);
}
END_TEST

START_TEST(other_families_are_refused)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/socket"};
	struct sockaddr_storage unspecified = {.ss_family = AF_UNSPEC};
	struct destination_key key = {0}, untouched = {0};

	ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(un), sizeof(un)), -EAFNOSUPPORT);
	ck_assert_int_eq(destination_key_set_peer(&key, GENERIC(unspecified), sizeof(unspecified)), -EAFNOSUPPORT);
	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(un), sizeof(un)), -EAFNOSUPPORT);
	ck_assert_mem_eq(&key, &untouched, sizeof(key));
}
END_TEST

START_TEST(bound_address_comes_back)
{
	struct sockaddr_in in = address4("127.0.0.2", 0);
	struct sockaddr_in6 in6 = address6("fe80::2", 0), out;
	struct destination_key key = {.family = AF_INET}, key6 = {.family = AF_INET6};

	in6.sin6_scope_id = 7;
	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(in), sizeof(in)), 0);
	ck_assert_uint_eq(key.is_bound, 1);
	ck_assert_uint_eq(key.port, 0); /* the peer's, untouched */
	ck_assert_uint_eq(destination_key_local(&key, &out), sizeof(in));
	ck_assert_mem_eq(&out, &in, sizeof(in));
	ck_assert_int_eq(destination_key_set_local(&key6, GENERIC(in6), sizeof(in6)), 0);
	ck_assert_uint_eq(destination_key_local(&key6, &out), sizeof(in6));
	ck_assert_mem_eq(&out, &in6, sizeof(in6));
}
END_TEST

START_TEST(bind_to_any_is_not_unbound)
{
	struct sockaddr_in in = address4("0.0.0.0", 0);
	struct destination_key key = {0}, unbound = {0};

	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(in), sizeof(in)), 0);
	ck_assert_int_ne(memcmp(&key, &unbound, sizeof(key)), 0);
}
END_TEST

START_TEST(bind_to_a_port_is_refused)
{
	struct sockaddr_in in = address4("127.0.0.1", 4711);
	struct sockaddr_in6 in6 = address6("::1", 4711);
	struct destination_key key = {0}, untouched = {0};

	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(in), sizeof(in)), -EADDRINUSE);
	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(in6), sizeof(in6)), -EADDRINUSE);
	ck_assert_int_eq(destination_key_set_local(&key, GENERIC(in6), 4), -EINVAL);
	ck_assert_mem_eq(&key, &untouched, sizeof(key));
}
END_TEST

struct seen {
	unsigned n, stop_at;
	int level[16], name[16];
	socklen_t length[16];
	uint8_t value[16][DESTINATION_OPTIONS_MAX];
};

static int see(void *context, int level, int name, const void *value, socklen_t length)
{
	struct seen *seen = context;
	unsigned i = seen->n++;

	ck_assert_uint_lt(i, 16);
	seen->level[i] = level;
	seen->name[i] = name;
	seen->length[i] = length;
	memcpy(seen->value[i], value, length);
	return seen->n == seen->stop_at ? -77 : 0;
}

START_TEST(options_come_back_in_order)
{
	struct destination_key key = {0};
	struct seen seen = {0}, stopped = {.stop_at = 2};
	int tos = 0x10;

	ck_assert_int_eq(destination_key_each_option(&key, see, &seen), 0);
	ck_assert_uint_eq(seen.n, 0);
	ck_assert_uint_eq(destination_key_length(&key), offsetof(struct destination_key, options));
	ck_assert_int_eq(destination_key_add_option(&key, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
	ck_assert_int_eq(destination_key_add_option(&key, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	ck_assert_int_eq(destination_key_add_option(&key, -1, INT32_MAX, NULL, 0), 0);
	ck_assert_uint_eq(destination_key_length(&key), offsetof(struct destination_key, options) + 3 * 12 + 4 + 2);
	ck_assert_int_eq(destination_key_each_option(&key, see, &seen), 0);
	ck_assert_uint_eq(seen.n, 3);
	ck_assert(seen.level[0] == IPPROTO_IP && seen.name[0] == IP_TOS && seen.length[0] == sizeof(tos));
	ck_assert_mem_eq(seen.value[0], &tos, sizeof(tos));
	ck_assert(seen.level[1] == SOL_SOCKET && seen.name[1] == SO_BINDTODEVICE && seen.length[1] == 2);
	ck_assert_mem_eq(seen.value[1], "lo", 2);
	ck_assert(seen.level[2] == -1 && seen.name[2] == INT32_MAX && seen.length[2] == 0);
	ck_assert_int_eq(destination_key_each_option(&key, see, &stopped), -77);
	ck_assert_uint_eq(stopped.n, 2);
}
END_TEST

START_TEST(options_fit_or_are_refused)
{
	uint8_t value[DESTINATION_OPTIONS_MAX + 1] = {0};

	for (socklen_t first = 0; first <= DESTINATION_OPTIONS_MAX - 12; first++)
		for (socklen_t second = 0; second <= sizeof(value); second++) {
			struct destination_key key = {0};
			bool fits = 12 + first + 12 + second <= DESTINATION_OPTIONS_MAX;
			uint16_t length;

			ck_assert_int_eq(destination_key_add_option(&key, 1, 2, value, first), 0);
			length = key.options_length;
			ck_assert_int_eq(destination_key_add_option(&key, 3, 4, value, second), fits ? 0 : -ENOSPC);
			ck_assert_uint_eq(key.options_length, fits ? length + 12 + second : length);
		}
}
END_TEST

START_TEST(huge_option_lengths_are_refused)
{
	static const socklen_t lengths[] = {
		DESTINATION_OPTIONS_MAX - 11, DESTINATION_OPTIONS_MAX + 1, 0x10000, 0x7fffffff, 0xfffffff4, 0xffffffff};
	struct destination_key key = {0};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		ck_assert_int_eq(destination_key_add_option(&key, 1, 2, "", lengths[i]), -ENOSPC);
	ck_assert_uint_eq(key.options_length, 0);
}
END_TEST

Suite *destination_suite(void)
{
	Suite *suite = suite_create("destination");
	TCase *tcase = tcase_create("key");

	tcase_add_test(tcase, no_byte_of_a_key_is_padding);
	tcase_add_test(tcase, equality);
	tcase_add_test(tcase, ipv4_peer_comes_back);
	tcase_add_test(tcase, ipv6_peer_comes_back);
	tcase_add_test(tcase, longer_addresses_are_taken_shorter_not);
	tcase_add_test(tcase, other_families_are_refused);
	tcase_add_test(tcase, bound_address_comes_back);
	tcase_add_test(tcase, bind_to_any_is_not_unbound);
	tcase_add_test(tcase, bind_to_a_port_is_refused);
	tcase_add_test(tcase, options_come_back_in_order);
	tcase_add_test(tcase, options_fit_or_are_refused);
	tcase_add_test(tcase, huge_option_lengths_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
