/*
 * The transports of an exchange (shim/sock/transport.h), and the first of them: plain TCP.
 */
#pragma once

#include "shim/sock/transport.h"

extern const struct transport transport_tcp;

/* Locked; the result outlives the socket. */
static inline const struct transport *transport_of(const struct sock *sock)
{
	return sock->transport ? sock->transport : &transport_tcp;
}

/* Looks at what has come. */
ssize_t transport_peek(const struct transport *transport, int fd, char *bytes, size_t length, int flags);
