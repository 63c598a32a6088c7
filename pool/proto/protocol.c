/* See protocol.h. */
#include "pool/proto/protocol.h"

const struct protocol *const protocols[] = {
	[PROTOCOL_HTTP1] = &http1, [PROTOCOL_MEMCACHED] = &memcached, [PROTOCOL_MEMCACHED_BINARY] = &memcached_binary,
	[PROTOCOL_REDIS] = &redis, [PROTOCOL_MYSQL] = &mysql,
};

void protocol_begin(struct protocol_state *state, bool may_edit)
{
	state->number = PROTOCOL_HTTP1;
	protocol_of(state)->init(state, may_edit);
}

void protocol_begin_as(struct protocol_state *state, enum protocol_number number)
{
	state->number = number;
	protocol_of(state)->init(state, false);
}

enum framing_first protocol_classify(const char *bytes, size_t length)
{
	return http1.classify(bytes, length);
}

bool protocol_knows(enum protocol_number number, const char *bytes, size_t length)
{
	enum framing_first first = protocols[number]->classify(bytes, length);

	return first == FRAMING_FIRST_SAFE || first == FRAMING_FIRST_UNSAFE;
}

enum protocol_number protocol_recognize(unsigned among, const char *bytes, size_t length)
{
	for (enum protocol_number i = PROTOCOL_HTTP1 + 1; i < PROTOCOL_COUNT; i++)
		if (among & 1u << i && protocol_knows(i, bytes, length))
			return i;
	return PROTOCOL_COUNT;
}

enum protocol_number protocol_recognize_greeting(unsigned among, const char *bytes, size_t length)
{
	for (enum protocol_number i = PROTOCOL_HTTP1 + 1; i < PROTOCOL_COUNT; i++)
		if (among & 1u << i && protocol_is_greeted(i) && protocols[i]->is_greeting(bytes, length))
			return i;
	return PROTOCOL_COUNT;
}

bool protocol_is_tls(const char *bytes, size_t length)
{
	return length >= 2 && bytes[0] == 0x16 && bytes[1] == 0x03;
}

uintptr_t protocol_anchor(void)
{
	return (uintptr_t)&protocol_begin;
}

uint64_t protocol_stamp(void)
{
	/* Two builds that agree in sizes and in these distances are the same build for all that matters here. */
	uintptr_t feed = (uintptr_t)http1.feed_response - protocol_anchor();
	uintptr_t parse = (uintptr_t)&llhttp_execute - protocol_anchor();

	return (sizeof(struct protocol_state) * 1000003u ^ feed) * 1000003u ^ parse;
}

bool protocol_arrive(struct protocol_state *state, uintptr_t anchor)
{
	if (state->number >= PROTOCOL_COUNT)
		return false;
	protocol_of(state)->relocate(state, protocol_anchor() - anchor);
	return true;
}
