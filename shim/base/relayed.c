/* See relayed.h. */
#include "shim/base/relayed.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"

#define VARIABLE "HOLDLINE_RELAYED="

static bool is_relayed; /* immutable after init */

void relayed_init(char *const environment[])
{
	for (; environment && *environment; environment++)
		if (**environment == *VARIABLE && strncmp(*environment, VARIABLE, sizeof(VARIABLE) - 1) == 0)
			is_relayed = (*environment)[sizeof(VARIABLE) - 1] != '\0';
}

/* The length that marks an address of this one; the same if it needs no mark. The longest cannot be made longer. */
static socklen_t mark(socklen_t length)
{
	switch (length) {
	case sizeof(struct sockaddr_in):
	case sizeof(struct sockaddr_in6):
		return length + 1;
	case sizeof(struct sockaddr_storage):
		return length - 1;
	default:
		return length;
	}
}

/* The program's memory may be at its end behind the address: the marked one is a copy. */
static int connect_marked(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_storage copy = {0};
	socklen_t marked = mark(length);

	memcpy(&copy, address, length);
	if (copy.ss_family != AF_INET && copy.ss_family != AF_INET6 && copy.ss_family != AF_UNSPEC)
		return REAL(connect)(fd, address, length);
	return REAL(connect)(fd, (const struct sockaddr *)&copy, marked);
}

int relayed_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (__builtin_expect(!is_relayed, 1) || mark(length) == length || !guard_readable(address, length))
		return REAL(connect)(fd, address, length);
	return connect_marked(fd, address, length);
}
