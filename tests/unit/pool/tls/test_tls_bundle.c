/* Certificates and bundles of them: what is read, and that nothing is accepted which libcrypto would refuse. */
#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "pool/tls/bundle.h"
#include "pool/tls/certificate.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define CERTIFICATE_MAX 4096

Suite *tls_bundle_suite(void);

struct der {
	uint8_t bytes[CERTIFICATE_MAX];
	size_t length;
	uint8_t subject[512];
	size_t subject_length;
};

struct attribute {
	int type;
	const char *value;
};

static void add_name(X509_NAME *name, const struct attribute *attributes)
{
	for (; attributes->value; attributes++)
		ck_assert_int_eq(X509_NAME_add_entry_by_NID(name, NID_organizationName, attributes->type,
							    (const unsigned char *)attributes->value, -1, -1, 0),
				 1);
}

/* Signed by itself. */
static struct der make(long version, const char *key_type, const struct attribute *attributes)
{
	EVP_PKEY *key = strcmp(key_type, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	struct der der = {.length = 0};
	uint8_t *at = der.bytes;
	X509V3_CTX context;

	X509_set_version(certificate, version);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0x80c0ffee);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 1000L * 24 * 3600 * 365);
	X509_set_pubkey(certificate, key);
	add_name(X509_get_subject_name(certificate), attributes);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	if (version == X509_VERSION_3) {
		X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(certificate, one, -1);
		X509_EXTENSION_free(one);
	}
	ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
	der.length = (size_t)i2d_X509(certificate, &at);
	at = der.subject;
	der.subject_length = (size_t)i2d_X509_NAME(X509_get_subject_name(certificate), &at);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return der;
}

static const struct attribute PLAIN[] = {{V_ASN1_UTF8STRING, "An authority"}, {V_ASN1_PRINTABLESTRING, "Second"}, {0}},
			      ACCENTS[] = {{V_ASN1_UTF8STRING, "\xc3\x9c\xe2\x82\xac\xf0\x9f\x98\x80"}, {0}},
			      WIDE[] = {{V_ASN1_BMPSTRING, "\0A\0B"}, {0}},
			      LATIN[] = {{V_ASN1_T61STRING, "caf\xe9"}, {0}};

static const struct {
	long version;
	const char *key;
	const struct attribute *name;
} MADE[] = {{X509_VERSION_3, "EC", PLAIN}, {X509_VERSION_3, "RSA", ACCENTS}, {X509_VERSION_1, "EC", PLAIN}};

START_TEST(a_certificate_is_read)
{
	struct der der = make(MADE[_i].version, MADE[_i].key, MADE[_i].name);
	struct tls_certificate certificate;

	ck_assert(tls_certificate_read(der.bytes, der.length, &certificate));
	ck_assert_uint_eq(certificate.length, der.length);
	ck_assert_uint_eq(certificate.subject_length, der.subject_length);
	ck_assert_mem_eq(der.bytes + certificate.subject, der.subject, der.subject_length);
	for (size_t length = 0; length < der.length; length++)
		ck_assert(!tls_certificate_read(der.bytes, length, &certificate));
}
END_TEST

/* What libcrypto says of it. */
static bool is_parsed(const struct der *der)
{
	const unsigned char *at = der->bytes;
	X509 *certificate = d2i_X509(NULL, &at, (long)der->length);
	bool is_whole = certificate && at == der->bytes + der->length;

	X509_free(certificate);
	return is_whole;
}

START_TEST(nothing_is_accepted_that_would_be_refused)
{
	static const uint8_t changes[] = {0x01, 0x02, 0x04, 0x10, 0x20, 0x80, 0xff};
	struct der der = make(MADE[_i].version, MADE[_i].key, MADE[_i].name);
	struct tls_certificate certificate;
	unsigned n_refused = 0;

	for (size_t i = 0; i < der.length; i++)
		for (unsigned j = 0; j < sizeof(changes); j++) {
			der.bytes[i] ^= changes[j];
			if (tls_certificate_read(der.bytes, der.length, &certificate) &&
			    certificate.length == der.length)
				ck_assert_msg(is_parsed(&der), "byte %zu, change %02x", i, changes[j]);
			else
				n_refused++;
			der.bytes[i] ^= changes[j];
		}
	ck_assert_uint_gt(n_refused, 300);
}
END_TEST

START_TEST(seldom_names_are_left_alone)
{
	const struct attribute *names[] = {WIDE, LATIN};
	struct der der = make(X509_VERSION_3, "EC", names[_i]);
	struct tls_certificate certificate;
	uint64_t fingerprint;

	ck_assert(!tls_certificate_read(der.bytes, der.length, &certificate));
	ck_assert(!tls_name_fingerprint(der.subject, der.subject_length, &fingerprint));
}
END_TEST

static uint64_t fingerprint_of(const struct attribute *attributes)
{
	X509_NAME *name = X509_NAME_new();
	unsigned char *bytes = NULL;
	uint64_t fingerprint = 0;
	int length;

	add_name(name, attributes);
	length = i2d_X509_NAME(name, &bytes);
	ck_assert(tls_name_fingerprint(bytes, (size_t)length, &fingerprint));
	ck_assert(!tls_name_fingerprint(bytes, (size_t)length - 1, &fingerprint));
	OPENSSL_free(bytes);
	X509_NAME_free(name);
	return fingerprint;
}

/* Equal for libcrypto, too (X509_NAME_cmp(3)). */
START_TEST(names_are_equal_without_case_and_spaces)
{
	static const struct attribute same[] = {{V_ASN1_IA5STRING, "  aN   AUTHORITY "},
						{V_ASN1_UTF8STRING, "SECOND"},
						{0}},
				      other[] = {{V_ASN1_UTF8STRING, "An authority"}, {0}},
				      third[] = {{V_ASN1_UTF8STRING, "An authority!"},
						 {V_ASN1_PRINTABLESTRING, "Second"},
						 {0}};
	X509_NAME *one = X509_NAME_new(), *two = X509_NAME_new();

	add_name(one, PLAIN);
	add_name(two, same);
	ck_assert_int_eq(X509_NAME_cmp(one, two), 0);
	X509_NAME_free(one);
	X509_NAME_free(two);
	ck_assert_uint_eq(fingerprint_of(PLAIN), fingerprint_of(same));
	ck_assert_uint_ne(fingerprint_of(PLAIN), fingerprint_of(other));
	ck_assert_uint_ne(fingerprint_of(PLAIN), fingerprint_of(third));
}
END_TEST

/* The certificate in PEM, at the end of `text`. */
static void append(char *text, const struct der *der)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *pem;
	long length;

	PEM_write_bio(memory, "CERTIFICATE", "", der->bytes, (long)der->length);
	length = BIO_get_mem_data(memory, &pem);
	strncat(text, pem, (size_t)length);
	BIO_free(memory);
}

static size_t read_bundle(const char *text, uint8_t *decoded, struct tls_bundle_entry *entries)
{
	return tls_bundle_read(text, strlen(text), decoded, entries);
}

static char text[20000];
static uint8_t decoded[sizeof(text)];
static struct tls_bundle_entry entries[sizeof(text) / 200 + 1];

START_TEST(a_bundle_is_read)
{
	struct der ders[] = {make(X509_VERSION_3, "EC", PLAIN), make(X509_VERSION_3, "RSA", ACCENTS),
			     make(X509_VERSION_1, "EC", PLAIN)};

	strcpy(text, "# a comment\n\n");
	for (int i = 0; i < COUNT(ders); i++) {
		strcat(text, "\nof the next one: \xc3\xa4\n");
		append(text, &ders[i]);
	}
	ck_assert_uint_eq(read_bundle(text, decoded, entries), 3);
	for (int i = 0; i < COUNT(ders); i++) {
		ck_assert_uint_eq(entries[i].length, ders[i].length);
		ck_assert_mem_eq(decoded + entries[i].at, ders[i].bytes, ders[i].length);
		ck_assert_uint_eq(entries[i].subject_length, ders[i].subject_length);
		ck_assert_mem_eq(decoded + entries[i].subject, ders[i].subject, ders[i].subject_length);
	}
	ck_assert_uint_eq(entries[0].fingerprint, entries[2].fingerprint);
	ck_assert_uint_ne(entries[0].fingerprint, entries[1].fingerprint);
	/* Without its last bytes it is whole only if none of them is of the last line. */
	for (size_t length = strlen(text) - 2; length; length--)
		ck_assert_uint_lt(tls_bundle_read(text, length, decoded, entries), 3);
	ck_assert_uint_eq(tls_bundle_read(text, strlen(text) - 1, decoded, entries), 3);
}
END_TEST

/* Replaced at its first place in a good bundle. */
static const struct {
	const char *what, *by;
} WRONG[] = {
	{"BEGIN CERTIFICATE", "BEGIN TRUSTED CERTIFICATE"},
	{"BEGIN CERTIFICATE", "BEGIN X509 CERTIFICATE"},
	{"END CERTIFICATE", "END CERTIFICATION"},
	{"CERTIFICATE-----\n", "CERTIFICATE-----\n\n"},
	{"CERTIFICATE-----\n", "CERTIFICATE-----\nProc-Type: 4,CLEAR\n\n"},
	{"CERTIFICATE-----\n", "CERTIFICATE-----\nMIIB\n"},
	{"MII", "MI*"},
	{"MII", "MI\n"},
	{"MII", "MIII"},
	{"-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"},
	{"-----BEGIN CERTIFICATE-----", "-----BEGIN RSA PRIVATE KEY-----"},
	{"-----BEGIN", "\x01\n-----BEGIN"},
	{"MII", "NII"},
};

START_TEST(others_are_left_to_the_library)
{
	struct der der = make(X509_VERSION_3, "EC", PLAIN);
	static char changed[sizeof(text)];
	const char *at;

	text[0] = '\0';
	append(text, &der);
	ck_assert_uint_eq(read_bundle(text, decoded, entries), 1);
	at = strstr(text, WRONG[_i].what);
	ck_assert_ptr_nonnull(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, WRONG[_i].by,
		 at + strlen(WRONG[_i].what));
	ck_assert_uint_eq(read_bundle(changed, decoded, entries), 0);
}
END_TEST

START_TEST(lines_may_end_as_windows_has_it)
{
	struct der der = make(X509_VERSION_3, "EC", PLAIN);
	static char changed[sizeof(text)];
	size_t n = 0;

	text[0] = '\0';
	append(text, &der);
	for (const char *at = text; *at; at++) {
		if (*at == '\n')
			changed[n++] = '\r';
		changed[n++] = *at;
	}
	ck_assert_uint_eq(tls_bundle_read(changed, n, decoded, entries), 1);
	ck_assert_uint_eq(tls_bundle_read("", 0, decoded, entries), 0);
}
END_TEST

Suite *tls_bundle_suite(void)
{
	Suite *suite = suite_create("tls_bundle");
	TCase *one = tcase_create("certificate"), *many = tcase_create("bundle");

	tcase_add_loop_test(one, a_certificate_is_read, 0, COUNT(MADE));
	tcase_add_loop_test(one, nothing_is_accepted_that_would_be_refused, 0, COUNT(MADE));
	tcase_add_loop_test(one, seldom_names_are_left_alone, 0, 2);
	tcase_add_test(one, names_are_equal_without_case_and_spaces);
	suite_add_tcase(suite, one);
	tcase_add_test(many, a_bundle_is_read);
	tcase_add_loop_test(many, others_are_left_to_the_library, 0, COUNT(WRONG));
	tcase_add_test(many, lines_may_end_as_windows_has_it);
	suite_add_tcase(suite, many);
	return suite;
}
