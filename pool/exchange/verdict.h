/*
 * The verdict on an exchange: the one list that decides whether its connection is kept, and what follows when bytes
 * have moved. Pure functions of what is known.
 */
#pragma once

#include <stdbool.h>

#include "pool/config/config.h"
#include "pool/conn/ledger.h"
#include "pool/conn/refusal.h"
#include "pool/proto/protocol.h"

/* All that counts when a connection may be kept. */
struct verdict_facts {
	const struct protocol_state *state; /* NULL: nothing was asked on it */
	enum config_mode mode;
	bool has_other_users; /* other descriptors, threads or processes may use it */
	enum refusal unfit;   /* what the program did to it that can't be undone */
	bool cannot_reset;    /* what its user has left can't be undone: the server has no command for it */
	bool is_ours;	      /* its descriptors still mean the connection that was followed */
};

/* The list: the first reason why the connection is not kept. REFUSAL_NONE: the kernel's counters have the last word,
 * see verdict_of_ledger(). Inline, since it is asked twice in an exchange. */
static inline __attribute__((always_inline)) enum refusal verdict_keep(const struct verdict_facts *facts)
{
	if (facts->state && protocol_status(facts->state).refusal != REFUSAL_NONE)
		return protocol_status(facts->state).refusal;
	if (facts->state && facts->cannot_reset && protocol_status(facts->state).left_state != REFUSAL_NONE)
		return protocol_status(facts->state).left_state;
	if (facts->mode != CONFIG_MODE_FULL)
		return REFUSAL_POLICY;
	if (facts->has_other_users)
		return REFUSAL_SHARED;
	if (facts->unfit != REFUSAL_NONE)
		return facts->unfit;
	return facts->is_ours ? REFUSAL_NONE : REFUSAL_LEDGER;
}

/* `is_counted`: somebody may be waiting for the connection, so what is in flight on it is not good enough. */
enum refusal verdict_of_ledger(enum ledger_verdict ledger, bool is_counted);

/* Why a connection is not kept that the server has ended. */
enum refusal verdict_at_server_end(const struct protocol_state *state);

/* Where connections are only observed: could it have been kept? `by_server`: it was the server that ended it. */
enum refusal verdict_observed(const struct protocol_state *state, bool by_server);

enum verdict_next {
	VERDICT_GO_ON,
	VERDICT_END,	    /* the end of file that was withheld is due */
	VERDICT_RELEASE,    /* never to be kept and nothing owed: out of the way, for `doubt` */
	VERDICT_ASK_SERVER, /* nobody can tell where the answer ends: the server has to make the end */
};

/* The next step when bytes have moved. `was_asked`: the server was asked to end it already. */
enum verdict_next verdict_next(const struct protocol_state *state, bool was_asked);
