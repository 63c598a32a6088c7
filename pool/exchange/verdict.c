/* See verdict.h. */
#include "pool/exchange/verdict.h"

enum refusal verdict_of_ledger(enum ledger_verdict ledger, bool is_counted)
{
	switch (ledger) {
	case LEDGER_EXACT:
		return REFUSAL_NONE;
	case LEDGER_IN_FLIGHT:
		return is_counted ? REFUSAL_LEDGER : REFUSAL_NONE;
	case LEDGER_CLOSED:
		return REFUSAL_SERVER_CLOSE;
	case LEDGER_SURPLUS:
		return REFUSAL_BODY_UNREAD;
	case LEDGER_UNSETTLED:
	case LEDGER_MISMATCH:
	case LEDGER_UNKNOWN:
		return REFUSAL_LEDGER;
	}
	return REFUSAL_LEDGER;
}

enum refusal verdict_at_server_end(const struct protocol_state *state)
{
	enum refusal why = protocol_status(state).refusal;

	return why == REFUSAL_NONE || why == REFUSAL_CLIENT_CLOSE ? REFUSAL_SERVER_CLOSE : why;
}

enum refusal verdict_observed(const struct protocol_state *state, bool by_server)
{
	struct protocol_status status = protocol_status(state);
	enum refusal why = by_server ? verdict_at_server_end(state) : status.refusal;

	/* An answer that ended before the connection did was delimited by itself; that the server closed was the
	 * program's wish, which would have been withheld. */
	return why == REFUSAL_SERVER_CLOSE && status.wants_end && status.answer_ended ? REFUSAL_NONE : why;
}

enum verdict_next verdict_next(const struct protocol_state *state, bool was_asked)
{
	/* A server that closes all the same makes the end itself: a close of ours at the same instant as its own would
	 * leave a TIME_WAIT on our side. */
	if (protocol_status(state).end_is_due)
		return protocol_status(state).server_ends || was_asked ? VERDICT_GO_ON : VERDICT_END;
	if (protocol_status(state).doubt != REFUSAL_NONE && !protocol_status(state).owes_end)
		return VERDICT_RELEASE;
	if (protocol_status(state).is_lost || (!was_asked && protocol_status(state).server_may_wait))
		return VERDICT_ASK_SERVER;
	return VERDICT_GO_ON;
}
