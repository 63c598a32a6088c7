/* See bypass.h. */
#include "pool/conn/bypass.h"

#include "pool/base/clock.h"

#define FAILURES_BEFORE 4
#define FIRST_PAUSE_NS (200 * MILLISECOND_NS)
/* 200 ms << 7 is 25 s: a server that was set up anew is noticed within that. */
#define DOUBLINGS_MAX 7

/* The next connection will have these reasons, too: they lie in the server or the program, not in this connection. */
static bool is_structural(enum refusal why)
{
	switch (why) {
	case REFUSAL_SERVER_CLOSE:
	case REFUSAL_HTTP10:
	case REFUSAL_NO_FRAMING:
	case REFUSAL_NOT_CANONICAL:
	case REFUSAL_UPGRADE:
	case REFUSAL_SERVER_IDLE_CLOSE:
	case REFUSAL_AUTH_BOUND:
	case REFUSAL_SOCKOPT:
	case REFUSAL_TLS_OPAQUE:
	case REFUSAL_HTTP2:
	case REFUSAL_CLIENT_CERTIFICATE:
	case REFUSAL_TLS_VERSION:
	case REFUSAL_UNKNOWN_PROTOCOL:
	case REFUSAL_SESSION_STATE:
	case REFUSAL_AUTHENTICATED:
	case REFUSAL_REFUSED_COMMAND:
		return true;
	case REFUSAL_NONE:
	case REFUSAL_CLIENT_CLOSE:
	case REFUSAL_BODY_UNREAD:
	case REFUSAL_UNSAFE_METHOD:
	case REFUSAL_IDLE_TIMEOUT:
	case REFUSAL_STALE:
	case REFUSAL_POOL_FULL:
	case REFUSAL_SHARED:
	case REFUSAL_LEDGER:
	case REFUSAL_ERROR:
	case REFUSAL_POLICY:
	case REFUSAL_TLS_RESUMED:
	case REFUSAL_PROBED:
	case REFUSAL_BYPASSED:
	case REFUSAL_UNFINISHED_REPLY:
	case REFUSAL_FENCE_FAILED:
	case REFUSAL_FIRST_LOGIN:
	case REFUSAL_COUNT:
		break;
	}
	return false;
}

bool bypass_note_failure(struct bypass *bypass, enum refusal why, uint64_t now_ns)
{
	unsigned doublings = bypass->n_pauses < DOUBLINGS_MAX ? bypass->n_pauses : DOUBLINGS_MAX;

	/* Those that were under way when the pause began say nothing new. */
	if (!is_structural(why) || bypass_is_on(bypass, now_ns) || ++bypass->n_failed < FAILURES_BEFORE)
		return false;
	bypass->until_ns = now_ns + (FIRST_PAUSE_NS << doublings);
	bypass->n_pauses++;
	return true;
}

void bypass_note_reuse(struct bypass *bypass)
{
	*bypass = (struct bypass){0};
}
