/* See relocate.h. */
#include "pool/proto/http1/relocate.h"

#include "pool/proto/http1/framing.h"

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
