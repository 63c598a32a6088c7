/*
 * The program's own socket, a duplicate of which the relay has while it serves a connect(): whether another connection
 * can stand in for it, and the connection to ourselves.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "pool/conn/destination.h"
#include "tools/relay/listener.h"

struct program_socket {
	int fd;
	int flags; /* F_GETFL of fcntl(2) */
	sa_family_t family;
};

/* Learns of the socket `fd`, which stays the caller's. False: it is no unconnected, unbound TCP socket of our own user
 * and network namespace that goes the way of any other. */
bool program_socket_look(struct program_socket *socket, int fd) __attribute__((warn_unused_result));

/* It is neither bound nor connected, nor listens. */
bool program_socket_is_unused(int fd);

/* The kernel connects it to an address of that kind: not IPv6's where it is of IPv4, nor the other way round. */
bool program_socket_takes(const struct program_socket *socket, const struct destination_key *key);

bool program_socket_is_non_blocking(const struct program_socket *socket);

/* Connects it to us, at once. 0, or -errno: it is as it was. *ends: what the two ends are called then.
 * -EHOSTUNREACH: packets to ourselves do not arrive. */
int program_socket_connect(const struct program_socket *socket, struct connection_ends *ends)
	__attribute__((warn_unused_result));
