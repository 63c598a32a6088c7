/* See ends.h. */
#include "tools/relay/ends.h"

#include <string.h>

static bool is_same(const struct sockaddr_in6 *one, const struct sockaddr_in6 *other)
{
	if (one->sin6_family != other->sin6_family || one->sin6_port != other->sin6_port)
		return false;
	return one->sin6_family == AF_INET ? ((const struct sockaddr_in *)one)->sin_addr.s_addr ==
						     ((const struct sockaddr_in *)other)->sin_addr.s_addr
					   : IN6_ARE_ADDR_EQUAL(&one->sin6_addr, &other->sin6_addr);
}

bool ends_are_equal(const struct connection_ends *one, const struct connection_ends *other)
{
	return is_same(&one->program, &other->program) && is_same(&one->ours, &other->ours);
}

void ends_simplify(struct sockaddr_in6 *name)
{
	struct sockaddr_in simple = {.sin_family = AF_INET, .sin_port = name->sin6_port};

	if (name->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&name->sin6_addr))
		return;
	memcpy(&simple.sin_addr, &name->sin6_addr.s6_addr[12], sizeof(simple.sin_addr));
	memset(name, 0, sizeof(*name));
	memcpy(name, &simple, sizeof(simple));
}
