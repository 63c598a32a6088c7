/*
 * Certificates (RFC 5280 4.1, in DER: X.690) as far as they are needed to look one up by its subject without having
 * parsed it: whose it is, and whether a library that parses it later could fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_certificate {
	size_t length;			/* of all of it */
	size_t subject, subject_length; /* where that begins: a Name, whole */
};

/* Reads the certificate at the beginning of the bytes. Only a plain one: whatever a parser could stumble over, and what
 * is seldom, is refused, down to the contents of each field but the signature, the key and the extensions' values,
 * which no parser looks at before they are used. */
bool tls_certificate_read(const uint8_t *bytes, size_t length, struct tls_certificate *certificate)
	__attribute__((warn_unused_result));

/*
 * A number that is the same for all names that are equal (RFC 5280 7.1: without regard to case and spaces); different
 * names may have the same. A name with strings of other kinds than ASCII and UTF-8 has none: false.
 */
bool tls_name_fingerprint(const uint8_t *name, size_t length, uint64_t *fingerprint)
	__attribute__((warn_unused_result));
