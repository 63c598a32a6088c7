/*
 * The transports that move the bytes of an exchange between the program and its server: a table, so that TLS can be the
 * second entry beside plain TCP without a branch in every wrapper. A socket of plain TCP names none.
 *
 * Functions are called without the socket's lock, may block where the program's own call may, and follow libc's
 * convention: -1 and errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shim/sock/sock.h"

struct transfer;

struct transport {
	const char *name;

	/* As sendmsg(2). */
	ssize_t (*send)(int fd, const struct msghdr *message, int flags);

	/* Receives into the given buffers what the program's call would have received into its own, which gets what
	 * else the call tells. `more_flags` are added to its flags. `vector` NULL: the call as the program made it. */
	ssize_t (*recv)(const struct transfer *transfer, struct iovec *vector, size_t n, int more_flags);

	/* True if nothing has come that was not received: no byte, no end and no error. */
	bool (*is_quiet)(int fd);
};

extern const struct transport transport_tcp;

/* Locked; the result outlives the socket. */
static inline const struct transport *transport_of(const struct sock *sock)
{
	return sock->transport ? sock->transport : &transport_tcp;
}

/* Looks at what has come. */
ssize_t transport_peek(const struct transport *transport, int fd, char *bytes, size_t length, int flags);
