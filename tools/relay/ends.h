/* The two ends of a connection between the program and the relay, as the kernel names them. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

/* Unused bytes are zero; never IPv4 in IPv6 (ends_simplify()). */
struct connection_ends {
	struct sockaddr_in6 program, ours;
};

bool ends_are_equal(const struct connection_ends *one, const struct connection_ends *other);

/* Makes the name of a socket comparable: IPv4 in IPv6 (RFC 4291 2.5.5.2) becomes IPv4. */
void ends_simplify(struct sockaddr_in6 *name);
