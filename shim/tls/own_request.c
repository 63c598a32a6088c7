/* See own_request.h. */
#include "shim/tls/own_request.h"

#include <string.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/tls/channel.h"

#define NAP_MS 5

/* Its holders are soon done. */
bool own_request_lock(struct channel *channel)
{
	while (!guard_lock_try(&channel->own_lock))
		if (guard_lock_is_own(&channel->own_lock))
			return false;
	return true;
}

bool own_request_add(struct channel *channel, const uint8_t *bytes, size_t length)
{
	struct own_wire *own;
	bool added = false;

	if (!own_request_lock(channel))
		return false;
	own = channel->own;
	if (own && length <= OWN_REQUEST_MAX - own->length) {
		memcpy(own->request + own->length, bytes, length);
		own->length += (uint32_t)length;
		added = true;
	}
	guard_unlock(&channel->own_lock);
	return added;
}

bool own_request_is_full(const struct channel *channel)
{
	const struct own_wire *own = channel->own;

	if (!own || own->length < REPLAY_MAX)
		return false;
	clock_nap(NAP_MS * MILLISECOND_NS);
	return true;
}
