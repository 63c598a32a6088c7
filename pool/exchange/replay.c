/* See replay.h. */
#include "pool/exchange/replay.h"

#include <string.h>

#include "pool/proto/protocol.h"

void replay_reset(struct replay *replay)
{
	replay->length = 0;
	replay->n_edits = 0;
	replay->inserted = 0;
	replay->is_complete = true;
}

void replay_give_up(struct replay *replay)
{
	replay_reset(replay);
	replay->is_complete = false;
}

void replay_note_blank(struct replay *replay, const struct protocol *protocol, size_t at, size_t length)
{
	if (replay->n_edits == REPLAY_MAX_EDITS || at > UINT16_MAX || length != protocol->wish_length)
		replay->is_complete = false;
	else
		replay->edits[replay->n_edits++] = (uint16_t)at;
}

void replay_note_insertion(struct replay *replay, size_t at, size_t length)
{
	if (replay->inserted || at > UINT16_MAX)
		replay->is_complete = false;
	replay->inserted_at = (uint16_t)at;
	replay->inserted = (uint16_t)length;
}

enum step { STEP_NONE, STEP_PART, STEP_WHOLE };

/* Goes on from `*at` to the end of the request that begins there: if one does, and its end is there. */
static enum step step_over(const struct replay *replay, const struct protocol *protocol, size_t *at)
{
	size_t end;

	if (*at == replay->length || !protocol->measure_request(replay->block.bytes + *at, replay->length - *at, &end))
		return STEP_NONE;
	*at += end;
	return end ? STEP_WHOLE : STEP_PART;
}

/* How many requests begin in it. */
static unsigned count_requests(const struct replay *replay, const struct protocol *protocol)
{
	size_t at = 0;
	unsigned n = 0;
	enum step step;

	while ((step = step_over(replay, protocol, &at)) == STEP_WHOLE)
		n++;
	return n + (step == STEP_PART);
}

/* Only the newest request is ever edited: it asks for the end. */
static bool is_edited_before(const struct replay *replay, size_t at)
{
	return (replay->inserted && replay->inserted_at < at) || (replay->n_edits && replay->edits[0] < at);
}

static void drop_front(struct replay *replay, size_t length)
{
	replay->length -= (uint32_t)length;
	memmove(replay->block.bytes, replay->block.bytes + length, replay->length);
	for (unsigned i = 0; i < replay->n_edits; i++)
		replay->edits[i] = (uint16_t)(replay->edits[i] - length);
	if (replay->inserted)
		replay->inserted_at = (uint16_t)(replay->inserted_at - length);
}

void replay_forget_answered(struct replay *replay, const struct protocol_state *state)
{
	const struct protocol *protocol = protocol_of(state);
	unsigned n_awaited = protocol_status(state).n_awaited, n;
	size_t at = 0;

	if (!replay->is_complete)
		return;
	n = count_requests(replay, protocol);
	while (n > n_awaited && step_over(replay, protocol, &at) == STEP_WHOLE)
		n--;
	if (n != n_awaited || is_edited_before(replay, at))
		replay_give_up(replay);
	else if (at)
		drop_front(replay, at);
}

bool replay_prepare(struct replay *replay, const struct protocol_state *state)
{
	struct protocol_status status = protocol_status(state);

	if (!status.can_replay || status.answer_started || status.server_ends || status.is_lost)
		return false;
	replay_forget_answered(replay, state);
	return replay->is_complete;
}

void replay_undo_edits(struct replay *replay, const struct protocol *protocol)
{
	char *bytes = replay->block.bytes;
	size_t behind = replay->inserted_at + (size_t)replay->inserted;

	if (replay->inserted) {
		memmove(bytes + replay->inserted_at, bytes + behind, replay->length - behind);
		replay->length -= replay->inserted;
	}
	for (unsigned i = 0; i < replay->n_edits; i++)
		memcpy(bytes + replay->edits[i], protocol->wish, protocol->wish_length);
	replay->n_edits = 0;
	replay->inserted = 0;
}
