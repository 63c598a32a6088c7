/* Addresses as people write them. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>

#define ADDRESS_TEXT_MAX 80 /* an IPv6 address in brackets, an interface's name and a port */

/* "10.0.0.1" (also of ::ffff:10.0.0.1), "fe80::1%eth0" if `interface` is not 0. */
void address_write(const struct in6_addr *address, unsigned interface, char text[ADDRESS_TEXT_MAX]);

/* The same with a port: "10.0.0.1:80", "[::1]:80". */
void address_write_port(const struct in6_addr *address, unsigned interface, unsigned port, char text[ADDRESS_TEXT_MAX]);
