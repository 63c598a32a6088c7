/* See address.h. */
#include "tools/base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

void address_write(const struct in6_addr *address, unsigned interface, char text[ADDRESS_TEXT_MAX])
{
	char name[IF_NAMESIZE];
	size_t length;

	if (IN6_IS_ADDR_V4MAPPED(address)) {
		inet_ntop(AF_INET, address->s6_addr + 12, text, ADDRESS_TEXT_MAX);
		return;
	}
	inet_ntop(AF_INET6, address, text, ADDRESS_TEXT_MAX);
	length = strlen(text);
	if (interface && if_indextoname(interface, name))
		snprintf(text + length, ADDRESS_TEXT_MAX - length, "%%%s", name);
}

void address_write_port(const struct in6_addr *address, unsigned interface, unsigned port, char text[ADDRESS_TEXT_MAX])
{
	char bare[ADDRESS_TEXT_MAX];

	address_write(address, interface, bare);
	snprintf(text, ADDRESS_TEXT_MAX, IN6_IS_ADDR_V4MAPPED(address) ? "%.70s:%u" : "[%.70s]:%u", bare, port);
}
