/* Key pairs that OpenSSL makes in a handshake, recorded as plain data and made again of it, whatever their type. */
#pragma once

#include "shim/tls/libssl.h"

/* EVP_PKEY_keygen() of a handshake that is recorded or played. `make` is the real one. */
int key_pair_draw(EVP_PKEY_CTX *context, EVP_PKEY **key, int (*make)(EVP_PKEY_CTX *context, EVP_PKEY **key));
