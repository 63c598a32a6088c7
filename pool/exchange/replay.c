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
