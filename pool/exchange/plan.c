/* See plan.h. */
#include "pool/exchange/plan.h"

#include <string.h>

void plan_copy_out(const struct iovec *vector, size_t n, size_t skip, char *to, size_t length)
{
	for (size_t i = 0; i < n && length; i++) {
		size_t part = vector[i].iov_len > skip ? vector[i].iov_len - skip : 0;

		if (part > length)
			part = length;
		/* An empty part may have no address. */
		if (part)
			memcpy(to, (const char *)vector[i].iov_base + skip, part);
		skip = skip > vector[i].iov_len ? skip - vector[i].iov_len : 0;
		to += part;
		length -= part;
	}
}

bool plan_begin(struct plan *plan, const struct protocol_state *state, struct replay *replay, size_t total)
{
	bool wants_copy = replay->is_complete || protocol_status(state).parses_request;
	size_t room;

	plan->before = *state;
	plan->total = total;
	/* Where it can't be sent again any more the block serves for this call only. */
	if (!replay->is_complete)
		replay_give_up(replay);
	else if (replay->length + total > PLAN_ROOM_MAX)
		replay_forget_answered(replay, state);
	plan->base = replay->length;
	room = plan->base < PLAN_ROOM_MAX ? PLAN_ROOM_MAX - plan->base : 0;
	plan->copied = total < room ? total : room;
	plan->is_rest_appended = plan->copied < total;
	return wants_copy;
}

size_t plan_room(const struct plan *plan)
{
	return plan->base + plan->copied + PROTOCOL_INSERTION_MAX;
}

/* Carries the plan out on the copy. */
static void apply(struct plan *plan, const struct protocol *protocol, struct replay *replay)
{
	const struct framing_plan *changes = &plan->changes;
	char *bytes = replay->block.bytes + plan->base;
	size_t own_base = plan->base - (plan->base > replay->inserted_at ? replay->inserted : 0);

	for (unsigned i = 0; i < changes->n_edits; i++) {
		memset(bytes + changes->edits[i].offset, ' ', changes->edits[i].length);
		replay_note_blank(replay, protocol, own_base + changes->edits[i].offset, changes->edits[i].length);
	}
	if (!changes->insert)
		return;
	memmove(bytes + changes->insert_offset + protocol->insertion_length, bytes + changes->insert_offset,
		plan->copied - changes->insert_offset);
	memcpy(bytes + changes->insert_offset, protocol->insertion, protocol->insertion_length);
	replay_note_insertion(replay, plan->base + changes->insert_offset, protocol->insertion_length);
	plan->inserted = protocol->insertion_length;
	plan->inserted_at = changes->insert_offset;
}

void plan_make(struct plan *plan, struct protocol_state *state, struct framing_memo *memo, struct replay *replay,
	       const struct iovec *vector, size_t n)
{
	char *bytes = replay->block.bytes + plan->base;

	plan_copy_out(vector, n, 0, bytes, plan->copied);
	protocol_feed_request(state, memo, bytes, plan->copied, &plan->changes);
	apply(plan, protocol_of(state), replay);
}

void plan_give_up(struct plan *plan, struct protocol_state *state, bool wanted_copy)
{
	if (wanted_copy) {
		protocol_forbid_edits(state);
		protocol_forbid_edits(&plan->before);
	}
	plan->copied = 0;
}

size_t plan_own_bytes(const struct plan *plan, size_t sent)
{
	if (sent <= plan->inserted_at)
		return sent;
	return sent - plan->inserted_at < plan->inserted ? plan->inserted_at : sent - plan->inserted;
}

void plan_account_part(struct plan *plan, struct protocol_state *state, const char *originals, size_t sent)
{
	if (sent <= plan->inserted_at)
		plan->changes.insert = false;
	protocol_feed_request_part(state, originals, plan_own_bytes(plan, sent), &plan->changes);
}

void plan_account_all(const struct plan *plan, struct protocol_state *state, const struct iovec *vector, size_t n,
		      size_t sent)
{
	static const struct framing_plan as_they_are;
	size_t skip = plan->copied, left = plan_own_bytes(plan, sent) - skip;

	for (size_t i = 0; i < n && left; i++) {
		size_t part = vector[i].iov_len > skip ? vector[i].iov_len - skip : 0;

		if (part > left)
			part = left;
		protocol_feed_request_part(state, (const char *)vector[i].iov_base + skip, part, &as_they_are);
		skip = skip > vector[i].iov_len ? skip - vector[i].iov_len : 0;
		left -= part;
	}
}

bool plan_keep_copy(const struct plan *plan, struct replay *replay, size_t sent)
{
	if (replay->is_complete && plan->copied && !plan->is_rest_appended &&
	    plan_own_bytes(plan, sent) == plan->total) {
		replay->length = plan->base + (uint32_t)sent;
		return true;
	}
	replay_give_up(replay);
	return false;
}

void plan_show_end(const struct framing_plan *changes, const struct protocol *protocol, char *bytes)
{
	for (unsigned i = 0; i < changes->n_edits; i++) {
		memset(bytes + changes->edits[i].offset, ' ', changes->edits[i].length);
		memcpy(bytes + changes->edits[i].offset, protocol->wish, protocol->wish_length);
	}
}

char *plan_insert_end(const struct framing_plan *changes, const struct protocol *protocol, char *bytes, size_t *length)
{
	if (!changes->insert)
		return bytes;
	memmove(bytes - protocol->end_field_length, bytes, changes->insert_offset);
	bytes -= protocol->end_field_length;
	memcpy(bytes + changes->insert_offset, protocol->end_field, protocol->end_field_length);
	*length += protocol->end_field_length;
	return bytes;
}
