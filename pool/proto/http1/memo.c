/* See memo.h. Comparing and copying half a kilobyte of state costs a tenth of what tokenizing a head does. */
#include "pool/proto/http1/memo.h"

#include <string.h>

#include "pool/base/annotate.h"

typedef void (*feed_function)(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

static bool is_known(const struct framing_memo_entry *entry, const struct framing *framing, const char *bytes,
		     size_t length)
{
	return entry->length == length && memcmp(entry->bytes, bytes, length) == 0 &&
	       memcmp(&entry->before, framing, sizeof(*framing)) == 0;
}

/* From the copy: another thread of a strange program may write to `bytes` at any time. */
static void learn(struct framing_memo_entry *entry, feed_function feed, struct framing *framing, const char *bytes,
		  size_t length)
{
	memcpy(entry->bytes, bytes, length);
	entry->before = *framing;
	entry->after = *framing;
	feed(&entry->after, entry->bytes, length, &entry->plan);
	entry->length = length;
}

static void feed_with(struct framing_memo *memo, struct framing_memo_entry *entry, feed_function feed,
		      struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan)
{
	if (length > sizeof(entry->bytes) || atomic_exchange_explicit(&memo->is_busy, true, memory_order_acquire)) {
		feed(framing, bytes, length, plan);
		return;
	}
	ANNOTATE_LOCKED(memo);
	if (!is_known(entry, framing, bytes, length))
		learn(entry, feed, framing, bytes, length);
	*framing = entry->after;
	*plan = entry->plan;
	ANNOTATE_UNLOCKED(memo);
	atomic_store_explicit(&memo->is_busy, false, memory_order_release);
}

void framing_memo_feed_request(struct framing_memo *memo, struct framing *framing, const char *bytes, size_t length,
			       struct framing_plan *plan)
{
	if (framing->request.phase == FRAMING_PHASE_BETWEEN)
		feed_with(memo, &memo->request, framing_feed_request, framing, bytes, length, plan);
	else
		framing_feed_request(framing, bytes, length, plan);
}

void framing_memo_feed_response(struct framing_memo *memo, struct framing *framing, const char *bytes, size_t length,
				struct framing_plan *plan)
{
	if (framing->response.phase == FRAMING_PHASE_BETWEEN)
		feed_with(memo, &memo->response, framing_feed_response, framing, bytes, length, plan);
	else
		framing_feed_response(framing, bytes, length, plan);
}
