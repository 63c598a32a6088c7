/*
 * memcached as two entries of the table of protocols (pool/proto/protocol.h): its text protocol and its binary one. A
 * server takes a connection for the one or the other by its first byte, and keeps to that.
 *
 * Users leave nothing on a connection, but for two things. Quiet commands may still be answered, by an error: a fence
 * shows that they were not. And of a server that wants a login in text (memcached -Y), which looks like any `set`, and
 * is answered like one, the connection belongs to whoever has logged in: where a connection began by `set`, the server
 * is asked once whether it wants logins (`stats settings`). Where it began by another command that was answered, it
 * wants none. Logins in the binary protocol (SASL) can be seen, and end it.
 */
#pragma once

#include "pool/proto/entry.h"

extern const struct protocol memcached, memcached_binary;
