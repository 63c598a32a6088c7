/*
 * A relay around this process (HOLDLINE_RELAYED): the kernel tells it of each connect(2) whose address is as long as an
 * address of IPv4 or IPv6 is, or as long as the longest (16, 28 and 128 bytes), and it serves those that the library
 * cannot see: of a Go program, or of a static child.
 *
 * What the library has seen is not for the relay: neither its own dials nor what it leaves to the kernel. A length that
 * is no address's marks them; the kernel takes any that is not too short, and reads no further than the family needs.
 */
#pragma once

#include <sys/socket.h>

/* In the constructor: looks whether there is a relay. */
void relayed_init(char *const environment[]);

/* connect(2), marked for the relay if there is one. Not marked: an address that cannot be read, or is not one of
 * IPv4, IPv6 or none (AF_UNSPEC). A cancellation point, as the C library's. */
int relayed_connect(int fd, const struct sockaddr *address, socklen_t length);
