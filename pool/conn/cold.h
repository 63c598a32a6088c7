/*
 * A kept connection from which nothing has come for long: its server's host may have gone without a word, and a
 * request on it would wait in vain for many seconds. Until the first byte of an answer it gets a short
 * TCP_USER_TIMEOUT (tcp(7)), after which the request can be repeated on a new connection.
 */
#pragma once

#include <stdint.h>

#include "pool/base/sys.h"

struct conn;

/* The timeout in milliseconds for a connection that is leased now; 0: it is not cold. */
unsigned cold_timeout_ms(const struct pool_sys *sys, const struct conn *conn, uint64_t now_ns);
