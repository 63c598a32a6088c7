/*
 * Files of certificate authorities (PEM: RFC 7468), read into a list by subject. No certificate is parsed by a library
 * for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tls_bundle_entry {
	uint32_t at, length;		  /* of the certificate, in what was decoded */
	uint32_t subject, subject_length; /* of its subject, there */
	uint64_t fingerprint;		  /* of that (certificate.h) */
};

/* Room that is enough for a file of that length. */
static inline size_t tls_bundle_entries(size_t length)
{
	return length / 200 + 1;
}

static inline size_t tls_bundle_decoded(size_t length)
{
	return length;
}

/*
 * Reads all certificates of a file, in their order. Returns how many; 0 also where anything but plain certificates and
 * lines of comment is in it, or a certificate that a parser might refuse: then it is the library's to say what it is.
 * `decoded` and `entries` have room as said above.
 */
size_t tls_bundle_read(const char *text, size_t length, uint8_t *decoded, struct tls_bundle_entry *entries);
