/* Building keys and reading them back. See destination.h. */
#include "pool/conn/destination.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* One option inside key.options. */
struct option_header {
	int32_t level;
	int32_t name;
	uint32_t length;
};

unsigned destination_key_length(const struct destination_key *key)
{
	return offsetof(struct destination_key, options) + key->options_length;
}

bool destination_key_equal(const struct destination_key *one, const struct destination_key *other)
{
	/* Two of different lengths differ before the end of either. */
	return memcmp(one, other, destination_key_length(one)) == 0;
}

bool destination_key_is_same_peer(const struct destination_key *one, const struct destination_key *other)
{
	return one->family == other->family && one->port == other->port && one->netns_cookie == other->netns_cookie &&
	       memcmp(one->address, other->address, sizeof(one->address)) == 0;
}

int destination_key_set_peer(struct destination_key *key, const struct sockaddr *address, socklen_t length)
{
	if (length >= (socklen_t)sizeof(struct sockaddr_in) && address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		key->family = AF_INET;
		key->port = in.sin_port;
		memcpy(key->address, &in.sin_addr, sizeof(in.sin_addr));
		return 0;
	}
	if (length >= (socklen_t)sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		key->family = AF_INET6;
		key->port = in6.sin6_port;
		memcpy(key->address, &in6.sin6_addr, sizeof(in6.sin6_addr));
		key->scope_id = in6.sin6_scope_id;
		key->flow_info = in6.sin6_flowinfo;
		return 0;
	}
	return address->sa_family == AF_INET || address->sa_family == AF_INET6 ? -EINVAL : -EAFNOSUPPORT;
}

int destination_key_set_local(struct destination_key *key, const struct sockaddr *address, socklen_t length)
{
	struct destination_key local = {0};
	int error = destination_key_set_peer(&local, address, length);

	if (error)
		return error;
	if (local.port)
		return -EADDRINUSE;
	key->is_bound = 1;
	memcpy(key->local_address, local.address, sizeof(key->local_address));
	key->local_scope_id = local.scope_id;
	return 0;
}

int destination_key_add_option(struct destination_key *key, int level, int name, const void *value, socklen_t length)
{
	struct option_header header = {level, name, length};
	uint8_t *to = key->options + key->options_length;

	if (length > DESTINATION_OPTIONS_MAX || key->options_length + sizeof(header) + length > DESTINATION_OPTIONS_MAX)
		return -ENOSPC;
	memcpy(to, &header, sizeof(header));
	if (length) /* setsockopt() takes NULL then, memcpy() does not */
		memcpy(to + sizeof(header), value, length);
	key->options_length += (uint16_t)(sizeof(header) + length);
	return 0;
}

int destination_key_each_option(const struct destination_key *key,
				int (*set)(void *context, int level, int name, const void *value, socklen_t length),
				void *context)
{
	for (unsigned at = 0; at < key->options_length;) {
		struct option_header header;
		int result;

		memcpy(&header, key->options + at, sizeof(header));
		result = set(context, header.level, header.name, key->options + at + sizeof(header), header.length);
		if (result)
			return result;
		at += (unsigned)sizeof(header) + header.length;
	}
	return 0;
}

static socklen_t fill(struct sockaddr_in6 *address, uint16_t family, const uint8_t bytes[16], in_port_t port,
		      uint32_t scope_id, uint32_t flow_info)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};

		memcpy(&in.sin_addr, bytes, sizeof(in.sin_addr));
		memcpy(address, &in, sizeof(in));
		return sizeof(in);
	}
	address->sin6_family = AF_INET6;
	address->sin6_port = port;
	memcpy(&address->sin6_addr, bytes, sizeof(address->sin6_addr));
	address->sin6_scope_id = scope_id;
	address->sin6_flowinfo = flow_info;
	return sizeof(*address);
}

socklen_t destination_key_peer(const struct destination_key *key, struct sockaddr_in6 *address)
{
	return fill(address, key->family, key->address, key->port, key->scope_id, key->flow_info);
}

socklen_t destination_key_local(const struct destination_key *key, struct sockaddr_in6 *address)
{
	return fill(address, key->family, key->local_address, 0, key->local_scope_id, 0);
}

struct wanted_option {
	int level;
	int name;
};

static int is_option(void *context, int level, int name, const void *value, socklen_t length)
{
	const struct wanted_option *wanted = context;

	(void)value;
	(void)length;
	return level == wanted->level && name == wanted->name;
}

bool destination_key_has_option(const struct destination_key *key, int level, int name)
{
	struct wanted_option wanted = {level, name};

	return destination_key_each_option(key, is_option, &wanted) != 0;
}
