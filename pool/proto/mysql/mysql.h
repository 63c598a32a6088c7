/*
 * MySQL and MariaDB in the table of protocols (pool/proto/protocol.h): the server speaks first, a kept connection
 * stands in for a fresh one with the greeting that it began with, and the program's own login is carried over to it
 * (login.h), so that the server judges it anew.
 */
#pragma once

#include "pool/proto/entry.h"

extern const struct protocol mysql;

/* True if a transaction is open, which may take long to be rolled back. */
bool mysql_is_in_transaction(const struct protocol_state *state);

/* The login on this connection, as far as it was said. */
const struct login *mysql_login_of(const struct protocol_state *state);

/* Its connection began by another greeting than its client was shown. */
void mysql_set_greeting(struct protocol_state *state, const uint8_t *packet, size_t length);
