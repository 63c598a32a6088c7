/* See relocate.h. */
#include "pool/proto/http1/relocate.h"

#include "pool/proto/http1/framing.h"

uintptr_t framing_anchor(void)
{
	return (uintptr_t)&framing_init;
}

uint64_t framing_stamp(void)
{
	/* Two builds that agree in size and in these distances are the same build for all that matters here. */
	uintptr_t feed = (uintptr_t)&framing_feed_response - framing_anchor();
	uintptr_t parse = (uintptr_t)&llhttp_execute - framing_anchor();

	return (sizeof(struct framing) * 1000003u ^ feed) * 1000003u ^ parse;
}

static void move_pointer(void *pointer, uintptr_t by)
{
	uintptr_t *target = pointer;

	if (*target)
		*target += by;
}

static void arrive_parser(llhttp_t *parser, uintptr_t by)
{
	move_pointer(&parser->settings, by);
	move_pointer(&parser->_span_cb0, by);
	parser->reason = NULL;
	parser->error_pos = NULL;
	parser->data = NULL;
}

void framing_relocate(struct framing *framing, uintptr_t by)
{
	arrive_parser(&framing->request.parser, by);
	arrive_parser(&framing->response.parser, by);
}

void framing_arrive(struct framing *framing, uintptr_t anchor)
{
	framing_relocate(framing, framing_anchor() - anchor);
}
