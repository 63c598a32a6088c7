/* The only places where a direction's phase changes, and where framing is given up. See private.h. */
#include "pool/proto/http1/private.h"

void framing_raise(struct framing *framing, enum framing_doubt doubt)
{
	if (framing->doubt == FRAMING_CANONICAL)
		framing->doubt = doubt;
}

void framing_enter(struct framing_side *side, enum framing_phase phase)
{
	side->phase = phase;
	side->in_message = phase != FRAMING_PHASE_BETWEEN;
	side->in_head = phase == FRAMING_PHASE_HEAD;
}

void framing_lose(struct framing *framing, struct framing_side *side, enum framing_doubt doubt)
{
	framing_raise(framing, doubt);
	framing->lost = true;
	framing_enter(side, FRAMING_PHASE_OPAQUE);
	if (side == &framing->request)
		framing->unrepeatable = true;
}

/* The oldest outstanding request has its final response. */
static void pop_request(struct framing *framing)
{
	/* The rest of its request is still to come, and belongs to no outstanding one. */
	if (framing->n_outstanding == 1 && framing->request.in_message)
		framing->unrepeatable |= framing->unsafe_outstanding;
	framing->n_outstanding--;
	framing->head_methods >>= 1;
	framing->connect_methods >>= 1;
	framing->unsafe_methods >>= 1;
	framing->unsafe_outstanding = framing->unsafe_methods != 0;
	framing->response_started = false;
	framing->response_ended = framing->n_outstanding == 0;
	if (framing->response_ended)
		framing->upgrade_offered = false;
}

void framing_end_message(struct framing *framing, struct framing_side *side)
{
	framing_enter(side, FRAMING_PHASE_BETWEEN);
	if (side == &framing->response)
		pop_request(framing);
}
