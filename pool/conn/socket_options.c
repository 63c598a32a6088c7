/* The table of undoable options and the switch from one user's to the next one's. See socket_options.h. */
#include "pool/conn/socket_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

struct option {
	int level;
	int name;
	socklen_t length;
};

static const struct option table[SOCKET_OPTION_COUNT] = {
	[SOCKET_OPTION_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE, sizeof(int)},
	[SOCKET_OPTION_LINGER] = {SOL_SOCKET, SO_LINGER, sizeof(struct linger)},
	[SOCKET_OPTION_RCVTIMEO] = {SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval)},
	[SOCKET_OPTION_SNDTIMEO] = {SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval)},
	[SOCKET_OPTION_OOBINLINE] = {SOL_SOCKET, SO_OOBINLINE, sizeof(int)},
	[SOCKET_OPTION_RCVLOWAT] = {SOL_SOCKET, SO_RCVLOWAT, sizeof(int)},
	[SOCKET_OPTION_NODELAY] = {IPPROTO_TCP, TCP_NODELAY, sizeof(int)},
	[SOCKET_OPTION_CORK] = {IPPROTO_TCP, TCP_CORK, sizeof(int)},
	[SOCKET_OPTION_KEEPIDLE] = {IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int)},
	[SOCKET_OPTION_KEEPINTVL] = {IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int)},
	[SOCKET_OPTION_KEEPCNT] = {IPPROTO_TCP, TCP_KEEPCNT, sizeof(int)},
	[SOCKET_OPTION_USER_TIMEOUT] = {IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int)},
	[SOCKET_OPTION_LINGER2] = {IPPROTO_TCP, TCP_LINGER2, sizeof(int)},
	[SOCKET_OPTION_TOS] = {IPPROTO_IP, IP_TOS, sizeof(int)},
};

int socket_options_index(int level, int name)
{
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
		if (table[i].level == level && table[i].name == name)
			return i;
	return -1;
}

socklen_t socket_options_length(int index)
{
	return table[index].length;
}

int socket_options_record(struct socket_options *options, int index, const void *value, socklen_t length)
{
	if (length < table[index].length)
		return -EINVAL;
	memcpy(options->value[index], value, table[index].length);
	options->set |= 1u << index;
	return 0;
}

int socket_options_apply(const struct pool_sys *sys, int fd, struct socket_options *applied, int index,
			 const void *value)
{
	const struct option *option = &table[index];

	if ((applied->set & 1u << index) && memcmp(applied->value[index], value, option->length) == 0)
		return 0;
	if (sys->setsockopt(fd, option->level, option->name, value, option->length) < 0)
		return -errno;
	memcpy(applied->value[index], value, option->length);
	applied->set |= 1u << index;
	return 0;
}

int socket_options_read(const struct pool_sys *sys, int fd, uint32_t asked, struct socket_options *defaults)
{
	for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
		socklen_t length = table[i].length;

		if (!(asked & 1u << i))
			continue;
		if (sys->getsockopt(fd, table[i].level, table[i].name, defaults->value[i], &length) < 0)
			return -errno;
		defaults->set |= 1u << i;
	}
	return 0;
}

int socket_options_switch(const struct pool_sys *sys, int fd, struct socket_options *applied,
			  const struct socket_options *wanted, const struct socket_options *defaults)
{
	uint32_t differing = applied->set | wanted->set;

	for (int i = 0; differing >> i; i++) {
		bool is_wanted = wanted->set & 1u << i;
		int error;

		if (!(differing & 1u << i))
			continue;
		error = socket_options_apply(sys, fd, applied, i, is_wanted ? wanted->value[i] : defaults->value[i]);
		if (error)
			return error;
		if (!is_wanted)
			applied->set &= ~(1u << i);
	}
	return 0;
}
