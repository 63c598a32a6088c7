/*
 * Key schedules: the traces of RFC 8448, and what `openssl kdf` gives.
 */
#include "pool/tls/keys.h"

#include "tests/unit/fake/crypto.h"
#include "tests/unit/pool/tls/traces.h"

static void must_be(const uint8_t *bytes, const char *expected)
{
	uint8_t decoded[128];
	size_t length = unhex(expected, decoded);

	ck_assert_mem_eq(bytes, decoded, length);
}

static const struct {
	const char *secret, *key, *iv;
} TRACES[] = {
	{TRACE_CLIENT_HANDSHAKE_SECRET, TRACE_CLIENT_HANDSHAKE_KEY, TRACE_CLIENT_HANDSHAKE_IV},
	{TRACE_SERVER_HANDSHAKE_SECRET, TRACE_SERVER_HANDSHAKE_KEY, TRACE_SERVER_HANDSHAKE_IV},
	{TRACE_CLIENT_SECRET, TRACE_CLIENT_KEY, TRACE_CLIENT_IV},
	{TRACE_SERVER_SECRET, TRACE_SERVER_KEY, TRACE_SERVER_IV},
};

START_TEST(a_secret_gives_the_keys_of_the_trace)
{
	const struct tls_suite *suite = tls_suite_find(TLS_1_3, 0x1301);
	uint8_t secret[TLS_HASH_MAX];
	struct tls_traffic_key key;

	unhex(TRACES[_i].secret, secret);
	ck_assert(tls_keys_of_secret(&fake_crypto, suite, secret, &key));
	must_be(key.key, TRACES[_i].key);
	must_be(key.iv, TRACES[_i].iv);
}
END_TEST

/* The expected ones: HMAC of `00 20 11 "tls13 traffic upd" 00 01` (RFC 8446 7.2), by Python's hmac; and the same by
 * `openssl kdf -kdfopt mode:EXPAND_ONLY ... HKDF`. */
START_TEST(the_next_secret_follows)
{
	uint8_t secret[TLS_HASH_MAX];

	unhex(TRACE_CLIENT_SECRET, secret);
	ck_assert(tls_keys_next_secret(&fake_crypto, tls_suite_find(TLS_1_3, 0x1301), secret));
	must_be(secret, "fcdfcc72725aaee48bf64e4fd8b749cdbdbab39d90da0b26e2245ca6ea167207");
	ck_assert(tls_keys_next_secret(&fake_crypto, tls_suite_find(TLS_1_3, 0x1301), secret));
	must_be(secret, "68474fe58c172143d0a009a76edd231b0d934f3058588ea0852662279e54a573");

	unhex(GCM_1_3_CLIENT_SECRET, secret);
	ck_assert(tls_keys_next_secret(&fake_crypto, tls_suite_find(TLS_1_3, 0x1302), secret));
	must_be(secret,
		"0d140650f322d814d27a46b675e2b178b1e4a540e3052ce0e79095c1e8b44527805cef91fd693c68a91338744c12eb84");
}
END_TEST

/* By `openssl kdf -kdfopt hexsecret:MASTER -kdfopt seed:"key expansion" -kdfopt hexseed:SERVER_RANDOM
 * -kdfopt hexseed:CLIENT_RANDOM ... TLS1-PRF`: both keys, then both IVs. */
static const struct {
	uint16_t suite;
	const char *master, *client_random, *server_random;
	const char *client_key, *server_key, *client_iv, *server_iv;
} MASTERS[] = {
	{0xc02b, GCM_128_MASTER, GCM_128_CLIENT_RANDOM, GCM_128_SERVER_RANDOM, "7e4c1554ac3484abe0166ca320cd9b19",
	 "e536931eea4655c95508634536422450", "b7a5ce9b0000000000000000", "f19273cb0000000000000000"},
	{0xc030, GCM_256_MASTER, GCM_256_CLIENT_RANDOM, GCM_256_SERVER_RANDOM,
	 "cdb3c0bcb9f90439fd57114bee7feb963fd5a5d74e952f0ddc61dc6ec7c714ae",
	 "2db7a5948ea675a5d1ca85720268596adb5c603a2b574f9e0e5bb9318ac7f9da", "bc7d3b480000000000000000",
	 "62b514200000000000000000"},
	{0xcca9, CHACHA_MASTER, CHACHA_CLIENT_RANDOM, CHACHA_SERVER_RANDOM,
	 "070506589e0f5d213ac53efbe7cf9ad27b0875abe6f07830779038f569cff47f",
	 "60c1b8110a3820f83c0765cc3639e5120d291bf473f62df93abb69b16c608c69", "663656f6dec9089e26bc23c0",
	 "7b01199d97a93a9b81cfc7b4"},
};

static bool make_keys(int i, struct tls_traffic_key *client, struct tls_traffic_key *server)
{
	uint8_t master[48], client_random[32], server_random[32];

	unhex(MASTERS[i].master, master);
	unhex(MASTERS[i].client_random, client_random);
	unhex(MASTERS[i].server_random, server_random);
	memset(client, 0xff, sizeof(*client));
	memset(server, 0xff, sizeof(*server));
	return tls_keys_of_master(&fake_crypto, tls_suite_find(TLS_1_2, MASTERS[i].suite), master, client_random,
				  server_random, client, server);
}

START_TEST(a_master_secret_gives_both_keys)
{
	struct tls_traffic_key client, server;

	ck_assert(make_keys(_i, &client, &server));
	must_be(client.key, MASTERS[_i].client_key);
	must_be(server.key, MASTERS[_i].server_key);
	must_be(client.iv, MASTERS[_i].client_iv);
	must_be(server.iv, MASTERS[_i].server_iv);
}
END_TEST

START_TEST(any_failure_of_the_library_is_told)
{
	struct tls_traffic_key client, server;
	uint8_t secret[TLS_HASH_MAX] = {1}, before[TLS_HASH_MAX] = {1};
	const struct tls_suite *suite = tls_suite_find(TLS_1_3, 0x1301);
	static const struct tls_traffic_key NONE;
	int n_calls = 0;

	for (;; n_calls++) {
		fake_crypto_fails_after = n_calls;
		if (make_keys(2, &client, &server))
			break;
	}
	ck_assert_int_gt(n_calls, 4);
	for (int i = 0; i < 2; i++) {
		fake_crypto_fails_after = i;
		ck_assert(!tls_keys_of_secret(&fake_crypto, suite, secret, &client));
		ck_assert_mem_eq(&client, &NONE, sizeof(NONE));
	}
	fake_crypto_fails_after = 0;
	ck_assert(!tls_keys_next_secret(&fake_crypto, suite, secret));
	ck_assert_mem_eq(secret, before, sizeof(before));
	fake_crypto_fails_after = -1;
}
END_TEST

START_TEST(suites_belong_to_their_version)
{
	const struct tls_suite *suite = tls_suite_find(TLS_1_2, 0xc030);

	ck_assert_ptr_nonnull(suite);
	ck_assert_str_eq(suite->name, "ECDHE-RSA-AES256-GCM-SHA384");
	ck_assert_uint_eq(suite->key_length, 32);
	ck_assert_uint_eq(suite->hash_length, 48);
	ck_assert_ptr_null(tls_suite_find(TLS_1_3, 0xc030));
	ck_assert_ptr_null(tls_suite_find(TLS_1_2, 0x1301));
	ck_assert_ptr_nonnull(tls_suite_find(TLS_1_3, 0x1303));
}
END_TEST

START_TEST(other_suites_are_not_followed)
{
	/* RSA key exchange, CBC, CCM, PSK, anonymous, and what TLS 1.3 has of CCM. */
	static const uint16_t NUMBERS[] = {0x009c, 0x009d, 0xc027, 0xc028, 0xc013, 0xc09e, 0xc0ac, 0x00a8, 0x00a6};

	for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++)
		ck_assert_ptr_null(tls_suite_find(TLS_1_2, NUMBERS[i]));
	ck_assert_ptr_null(tls_suite_find(TLS_1_3, 0x1304));
	ck_assert_ptr_null(tls_suite_find(TLS_1_3, 0x1305));
	ck_assert_ptr_null(tls_suite_find(0x0302, 0xc02f));
}
END_TEST

Suite *tls_keys_suite(void)
{
	Suite *suite = suite_create("tls_keys");
	TCase *tests = tcase_create("keys");

	tcase_add_loop_test(tests, a_secret_gives_the_keys_of_the_trace, 0, sizeof(TRACES) / sizeof(TRACES[0]));
	tcase_add_test(tests, the_next_secret_follows);
	tcase_add_loop_test(tests, a_master_secret_gives_both_keys, 0, sizeof(MASTERS) / sizeof(MASTERS[0]));
	tcase_add_test(tests, any_failure_of_the_library_is_told);
	tcase_add_test(tests, suites_belong_to_their_version);
	tcase_add_test(tests, other_suites_are_not_followed);
	suite_add_tcase(suite, tests);
	return suite;
}
