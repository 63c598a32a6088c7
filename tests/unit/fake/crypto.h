/*
 * libcrypto behind struct tls_crypto, for unit tests and fuzzers. A call fails when the test says so.
 */
#pragma once

#include "pool/tls/crypto.h"

extern const struct tls_crypto fake_crypto;

/* The next call but so many fails, whichever it is; -1: none does. */
extern int fake_crypto_fails_after;

/* Keys that have been begun and not ended. */
extern unsigned fake_crypto_n_keys;
