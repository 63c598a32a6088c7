/* See protocol.h. */
#include "pool/proto/protocol.h"

const struct protocol *const protocols[] = {[PROTOCOL_HTTP1] = &http1};
#define N_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

void protocol_begin(struct protocol_state *state, bool may_edit)
{
	state->number = PROTOCOL_HTTP1;
	protocol_of(state)->init(state, may_edit);
}

enum framing_first protocol_classify(const char *bytes, size_t length)
{
	enum framing_first first = FRAMING_FIRST_UNKNOWN;

	for (size_t i = 0; i < N_PROTOCOLS && first == FRAMING_FIRST_UNKNOWN; i++)
		first = protocols[i]->classify(bytes, length);
	return first;
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
	if (state->number >= N_PROTOCOLS)
		return false;
	protocol_of(state)->relocate(state, protocol_anchor() - anchor);
	return true;
}
