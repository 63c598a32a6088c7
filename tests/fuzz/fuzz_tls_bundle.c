/*
 * Fuzz target for bundles of certificates.
 *
 * Input: if its first byte is even, the rest is the text of a bundle; else it is a certificate in DER, of which a
 * bundle is made. Where it is accepted, libcrypto reads the same certificates out of it, with the same subjects, and so
 * it does with each certificate alone; and names that are equal for it have one fingerprint.
 */
#include "pool/tls/bundle.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pool/tls/certificate.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As X509_load_cert_crl_file(3) does. */
static STACK_OF(X509_INFO) * read_by_library(const char *text, size_t length)
{
	BIO *memory = BIO_new_mem_buf(text, (int)length);
	STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(memory, NULL, NULL, NULL);

	BIO_free(memory);
	return all;
}

static void compare(const uint8_t *decoded, const struct tls_bundle_entry *entry, X509 *certificate)
{
	unsigned char *der = NULL, *subject = NULL;
	int length, subject_length;
	uint64_t fingerprint;

	MUST(certificate);
	length = i2d_X509(certificate, &der);
	subject_length = i2d_X509_NAME(X509_get_subject_name(certificate), &subject);
	MUST(length == (int)entry->length && memcmp(der, decoded + entry->at, entry->length) == 0);
	MUST(subject_length == (int)entry->subject_length &&
	     memcmp(subject, decoded + entry->subject, entry->subject_length) == 0);
	MUST(tls_name_fingerprint(subject, (size_t)subject_length, &fingerprint) && fingerprint == entry->fingerprint);
	OPENSSL_free(der);
	OPENSSL_free(subject);
}

/* Of certificates whose issuer has its subject's name, with other letters perhaps. */
static void compare_names(X509 *certificate)
{
	const X509_NAME *one = X509_get_subject_name(certificate), *other = X509_get_issuer_name(certificate);
	unsigned char *bytes = NULL, *other_bytes = NULL;
	uint64_t fingerprint, other_fingerprint;
	int length = i2d_X509_NAME(one, &bytes), other_length = i2d_X509_NAME(other, &other_bytes);

	if (X509_NAME_cmp(one, other) == 0 && tls_name_fingerprint(bytes, (size_t)length, &fingerprint) &&
	    tls_name_fingerprint(other_bytes, (size_t)other_length, &other_fingerprint))
		MUST(fingerprint == other_fingerprint);
	OPENSSL_free(bytes);
	OPENSSL_free(other_bytes);
}

static void check_bundle(const char *given, size_t length)
{
	/* Allocations of this very size, so that the sanitizer sees each step too far. */
	char *text = malloc(length + 1);
	uint8_t *decoded = malloc(tls_bundle_decoded(length) + 1);
	struct tls_bundle_entry *entries = calloc(tls_bundle_entries(length), sizeof(*entries));
	STACK_OF(X509_INFO) * all;
	size_t n;

	memcpy(text, given, length);
	n = tls_bundle_read(text, length, decoded, entries);
	all = n ? read_by_library(text, length) : NULL;
	MUST(!n || (all && (size_t)sk_X509_INFO_num(all) == n));
	for (size_t i = 0; i < n; i++) {
		X509 *certificate = sk_X509_INFO_value(all, (int)i)->x509;

		compare(decoded, &entries[i], certificate);
		compare_names(certificate);
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	free(text);
	free(decoded);
	free(entries);
}

static void check_certificate(const uint8_t *der, size_t length)
{
	BIO *memory = BIO_new(BIO_s_mem());
	struct tls_certificate certificate;
	char *pem;
	long pem_length;

	PEM_write_bio(memory, "CERTIFICATE", "", der, (long)length);
	pem_length = BIO_get_mem_data(memory, &pem);
	check_bundle(pem, (size_t)pem_length);
	BIO_free(memory);
	if (tls_certificate_read(der, length, &certificate)) {
		const unsigned char *at = der;
		X509 *parsed = d2i_X509(NULL, &at, (long)length);

		MUST(parsed && at == der + certificate.length);
		compare_names(parsed);
		X509_free(parsed);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] % 2)
		check_certificate(data + 1, size - 1);
	else
		check_bundle((const char *)data + 1, size - 1);
	return 0;
}
