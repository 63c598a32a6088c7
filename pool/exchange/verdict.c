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

/* What has to be undone first can't be yet: the park sends nothing. */
static bool has_left_state(const struct protocol_state *state)
{
	char bytes[PROTOCOL_RESET_MAX];
	size_t length;

	return protocol_reset(state, 0, bytes, &length) != PROTOCOL_RESET_NEEDLESS;
}

enum refusal verdict_keep(const struct verdict_facts *facts)
{
	enum refusal framing = facts->state ? protocol_status(facts->state).refusal : REFUSAL_NONE;

	if (framing != REFUSAL_NONE)
		return framing;
	if (facts->state && has_left_state(facts->state))
		return REFUSAL_ERROR;
	if (facts->mode != CONFIG_MODE_FULL)
		return REFUSAL_POLICY;
	if (facts->has_other_users)
		return REFUSAL_SHARED;
	if (facts->unfit != REFUSAL_NONE)
		return facts->unfit;
	if (!facts->is_ours)
		return REFUSAL_LEDGER;
	return verdict_of_ledger(facts->ledger, facts->is_counted);
}

enum refusal verdict_at_server_end(const struct protocol_status *status)
{
	return status->refusal == REFUSAL_NONE || status->refusal == REFUSAL_CLIENT_CLOSE ? REFUSAL_SERVER_CLOSE
											  : status->refusal;
}

enum refusal verdict_observed(const struct protocol_status *status, bool by_server)
{
	enum refusal why = by_server ? verdict_at_server_end(status) : status->refusal;

	/* An answer that ended before the connection did was delimited by itself; that the server closed was the
	 * program's wish, which would have been withheld. */
	return why == REFUSAL_SERVER_CLOSE && status->wants_end && status->answer_ended ? REFUSAL_NONE : why;
}

enum verdict_next verdict_next(const struct protocol_status *status, bool was_asked)
{
	/* A server that closes all the same makes the end itself: a close of ours at the same instant as its own would
	 * leave a TIME_WAIT on our side. */
	if (status->end_is_due)
		return status->server_ends || was_asked ? VERDICT_GO_ON : VERDICT_END;
	if (status->doubt != REFUSAL_NONE && !status->owes_end)
		return VERDICT_RELEASE;
	if (status->is_lost || (status->server_may_wait && !was_asked))
		return VERDICT_ASK_SERVER;
	return VERDICT_GO_ON;
}
