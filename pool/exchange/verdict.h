/*
 * What becomes of an exchange: the one list that decides whether its connection is kept, and what follows when bytes
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
	bool has_other_users;	    /* other descriptors, threads or processes may use it */
	enum refusal unfit;	    /* what the program did to it that can't be undone */
	bool is_ours;		    /* its descriptors still mean the connection that was followed */
	bool is_counted;	    /* somebody may be waiting for it: what is in flight on it is not good enough */
	enum ledger_verdict ledger; /* LEDGER_EXACT where the kernel is not asked (yet) */
};

/* REFUSAL_NONE: it is kept. Else the first reason why not. */
enum refusal verdict_keep(const struct verdict_facts *facts);

/* The part of it that the kernel's counters decide. */
enum refusal verdict_of_ledger(enum ledger_verdict ledger, bool is_counted);

/* Why a connection is not kept that the server has ended. */
enum refusal verdict_at_server_end(const struct protocol_status *status);

/* Where connections are only observed: could it have been kept? `by_server`: it was the server that ended it. */
enum refusal verdict_observed(const struct protocol_status *status, bool by_server);

enum verdict_next {
	VERDICT_GO_ON,
	VERDICT_END,	    /* the end of file that was withheld is due */
	VERDICT_RELEASE,    /* never to be kept and nothing owed: out of the way, for `doubt` */
	VERDICT_ASK_SERVER, /* nobody can tell where the answer ends: the server has to make the end */
};

/* What follows when bytes have moved. `was_asked`: the server was asked to end it already. */
enum verdict_next verdict_next(const struct protocol_status *status, bool was_asked);
