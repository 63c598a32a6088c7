/* See expected.h. */
#include "shim/tls/expected.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "shim/base/large.h"
#include "shim/tls/handshake.h"

/* Objects of handshakes are never unmapped: one that has gone is told by its random. */
static LARGE _Atomic(struct handshake *) expected[64];

#define N_EXPECTED (sizeof(expected) / sizeof(expected[0]))

bool expected_add(struct handshake *handshake)
{
	for (unsigned i = 0; i < N_EXPECTED; i++) {
		struct handshake *none = NULL;

		if (atomic_compare_exchange_strong(&expected[i], &none, handshake))
			return true;
	}
	return false;
}

void expected_remove(struct handshake *handshake)
{
	for (unsigned i = 0; i < N_EXPECTED; i++) {
		struct handshake *one = handshake;

		atomic_compare_exchange_strong(&expected[i], &one, NULL);
	}
}

struct handshake *expected_find(const uint8_t *random)
{
	for (unsigned i = 0; i < N_EXPECTED; i++) {
		struct handshake *one = atomic_load(&expected[i]);

		if (one && memcmp(one->client_random, random, TLS_RANDOM_LENGTH) == 0 &&
		    atomic_compare_exchange_strong(&expected[i], &one, NULL))
			return one;
	}
	return NULL;
}
