/*
 * The place where the programs' connections come in: a loopback address of our own, for each family. Whoever else
 * connects to it is turned away.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

struct client;

/* Listens. 0 or -errno: IPv4 can't be had; without IPv6, its programs' sockets are left alone. */
int listener_begin(void) __attribute__((warn_unused_result));

/* The address to which a socket of this family connects; `is_v6_only`: one of IPv6 that can't reach IPv4 (IPV6_V6ONLY,
 * ipv6(7)). Its length, or 0: none. */
socklen_t listener_address(int family, bool is_v6_only, struct sockaddr_in6 *address);

/* True if that is the address of ours of a connection. */
bool listener_is_ours(const struct sockaddr_in6 *address);

/* Makes the name of a socket comparable: IPv4 in IPv6 (RFC 4291 2.5.5.2) becomes IPv4. */
void listener_simplify(struct sockaddr_in6 *name);

/* Takes in all that have come. */
void listener_take_in(void);
