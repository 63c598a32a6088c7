/* Lists of protocols as a ClientHello has them (RFC 7301 3.1): each name behind a byte with its length. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* As long as a list is that is looked at. */
#define TLS_ALPN_MAX 256u

/* Copies a list without HTTP/2. Its length; 0: there is nothing to take out, or nothing would be left, or it is
 * malformed or too long. */
size_t tls_alpn_without_h2(const uint8_t *list, size_t length, uint8_t to[TLS_ALPN_MAX]);
