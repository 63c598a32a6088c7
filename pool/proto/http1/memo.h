/*
 * A memo of framing: feeding is a pure function of a struct framing and of bytes, and programs that ask in a
 * loop feed the same ones over and over. A memo holds the last message begun in each direction, and its outcome.
 *
 * Any thread and any signal handler may use one at any time: whoever finds it in use frames without it. A zeroed one is
 * empty. No system calls.
 */
#pragma once

#include <stdatomic.h>

#include "pool/proto/http1/framing.h"

#define FRAMING_MEMO_BYTES 2048

struct framing_memo_entry {
	size_t length; /* 0: empty */
	struct framing before, after;
	struct framing_plan plan;
	char bytes[FRAMING_MEMO_BYTES];
};

struct framing_memo {
	_Atomic(bool) is_busy;
	struct framing_memo_entry request;
	struct framing_memo_entry response;
};

/* As framing_feed_request() and framing_feed_response(), whose outcome they give; `plan` is not NULL. */
void framing_memo_feed_request(struct framing_memo *memo, struct framing *framing, const char *bytes, size_t length,
			       struct framing_plan *plan);
void framing_memo_feed_response(struct framing_memo *memo, struct framing *framing, const char *bytes, size_t length,
				struct framing_plan *plan);
