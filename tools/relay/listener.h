/*
 * The places where the programs' connections come in: loopback addresses of our own, for each family. Whoever else
 * connects to them is turned away. There are several, since a program that closes first leaves its port in TIME_WAIT
 * towards one of them only: the next connect(2) to another may have that port (RFC 9293 3.6.1).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "tools/relay/ends.h"

struct client;

/* Of each family, at most. */
#define LISTENER_PLACES 16

/* Listens. 0 or -errno: IPv4 can't be had; without IPv6, its programs' sockets are left alone. */
int listener_begin(void) __attribute__((warn_unused_result));

/* The address to which a socket of this family connects; `is_v6_only`: one of IPv6 that can't reach IPv4 (IPV6_V6ONLY,
 * ipv6(7)). Its length, or 0: none. */
socklen_t listener_address(sa_family_t family, bool is_v6_only, struct sockaddr_in6 *address);

/* No port is free towards `address`, which is of listener_address(): it gives another from here on. False: there is no
 * other. */
bool listener_move(const struct sockaddr_in6 *address);

/* Accepts the connection of a client that is connected by now; it has ended, or its socket is open. Whatever came
 * before it is taken in too. */
void listener_take_in(const struct client *client);
