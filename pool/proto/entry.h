/*
 * An entry of the table of protocols (pool/proto/protocol.h): its state, its answers, its functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/refusal.h"
#include "pool/proto/http1/framing.h"
#include "pool/proto/plan.h"

struct framing_memo;

enum protocol_number { PROTOCOL_HTTP1 };

/* Where the messages on one connection stand. All zero is one of HTTP/1 on which nothing can be asked of the server. */
struct protocol_state {
	enum protocol_number number;
	union {
		struct framing http1;
	};
};

/* The state of an exchange, as far as it is known. */
struct protocol_status {
	/* May the connection be kept now? */
	enum refusal refusal;  /* REFUSAL_NONE: yes, as far as its bytes tell */
	enum refusal doubt;    /* REFUSAL_NONE, or why it never may be, whatever follows */
	bool is_lost;	       /* the ends of messages are not known any more */
	bool at_boundary;      /* everything begun has ended in both directions, and there was an exchange */
	bool has_surplus;      /* bytes have come that belong to no answer */
	bool server_ends;      /* the server said that it ends the connection, or did it */
	bool server_may_wait;  /* only the end of the connection ends the answer, and the server may wait for us to make
				  it */
	uint32_t keep_alive_s; /* how long the server says that it keeps an idle connection; 0: not said */
	uint32_t requests_left; /* how many requests more it says that it takes; UINT32_MAX: not said */
	unsigned n_requests;	/* begun by the program and complete as far as they can be told apart */

	/* The end of the connection that the program asked for. */
	bool wants_end; /* by its newest request */
	bool owes_end;	/* ... which was withheld from the server, and the answer has not ended: the end is ours to make
			   then */
	bool end_is_due;   /* ... and the answer has ended: now */
	bool end_is_shown; /* the answer says so too, so that the program won't ask again */

	/* Requests. */
	bool may_edit;	 /* plans may be made */
	bool can_replay; /* all that awaits an answer may be sent again on a fresh connection, unless one has begun */
	bool in_request; /* bytes of a request have come and its end has not */
	bool has_more_to_send; /* ... which the server is to read */
	bool parses_request;   /* the next bytes of a request are looked at, not just counted */
	bool is_behind_last;   /* a server that had been told of the end would read nothing of what comes now */
	bool awaits_answer;    /* a request was begun whose answer has not ended */
	unsigned n_awaited;    /* of those, in the order in which they were sent */
	bool awaits_go_ahead;  /* the program waits for leave to send the rest of its request */
	bool takes_more; /* all that was sent is whole, may be sent again, and a server reads what comes behind it:
				  requests of others may (pipelining) */
	uint64_t skippable_request; /* bytes that may pass unseen (sendfile, splice) before some must be looked at */

	/* Answers. */
	bool answer_started;	/* to the oldest request that has none */
	bool answer_ended;	/* to all requests */
	unsigned answer_status; /* of the last answer; below 400 all is well. 0: none has come */
	bool in_answer;
	bool in_answer_head;
	uint64_t skippable_answer; /* as for requests: of a message whose length is known */
	uint64_t known_answer; /* bytes whose contents decide nothing, by whatever they end; UINT64_MAX: all that may
				  come */
};

/* How the traces of one user have to be undone before the next one may have the connection. */
enum protocol_reset {
	PROTOCOL_RESET_NEEDLESS,
	PROTOCOL_RESET_SEND, /* by what was written to `bytes`, whose answer has to be proven */
	PROTOCOL_RESET_IMPOSSIBLE,
};

#define PROTOCOL_INSERTION_MAX 24u
#define PROTOCOL_RESET_MAX 200
#define PROTOCOL_FAREWELL_MAX 64

/* One entry. A hook that may be NULL says what that means. */
struct protocol {
	const char *name;

	/* The word by which a request asks for the connection's end, and what is inserted into one that has to say that
	 * it doesn't: at most PROTOCOL_INSERTION_MAX bytes. */
	const char *wish;
	size_t wish_length;
	const char *insertion;
	size_t insertion_length;

	/* How a request begins. `length` 0: FRAMING_FIRST_PARTIAL. */
	enum framing_first (*classify)(const char *bytes, size_t length);

	/* Begins a connection of which no byte has been seen. `may_edit` false: feeding never makes a plan. */
	void (*init)(struct protocol_state *state, bool may_edit);

	/* Bytes that the program sends. `plan` (may be NULL) receives what makes the server keep the connection; it
	 * counts as carried out in any case. `memo` (NULL: none) may know the outcome. */
	void (*feed_request)(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			     struct framing_plan *plan);

	/* The first bytes of a longer buffer that was planned with a scratch copy, of which no more went out. */
	void (*feed_request_part)(struct protocol_state *state, const char *bytes, size_t length,
				  const struct framing_plan *carried_out);

	/* Bytes that the server sent; `plan` receives what shows the program the end that it asked for. */
	void (*feed_response)(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			      struct framing_plan *plan);

	/* The same, up to the end of the oldest answer that is due: how many bytes that were. */
	size_t (*feed_answer)(struct protocol_state *state, const char *bytes, size_t length,
			      struct framing_plan *plan);

	/* True if a request begins in these bytes. *end is where it does end; 0: its end is not among them. */
	bool (*measure_request)(const char *bytes, size_t length, size_t *end);

	/* The server's end of file. */
	void (*feed_end)(struct protocol_state *state);

	/* Bytes that nobody looked at: <= skippable_request, <= known_answer. */
	void (*pass_request)(struct protocol_state *state, uint64_t length);
	void (*pass_response)(struct protocol_state *state, uint64_t length);

	/* No plans any more: the program's wishes go to the server as they are. */
	void (*forbid_edits)(struct protocol_state *state);

	/* True if a server says by it that it had given up on an idle connection just when the request came. NULL: none
	 * does. */
	bool (*is_late_goodbye)(const char *bytes, size_t length);

	/* True if these first bytes of a connection want one that nobody had before, be they safe or not. NULL: none
	 * do. */
	bool (*wants_fresh)(const char *bytes, size_t length);

	/* Writes the command that undoes a user's traces at the park to `bytes` (PROTOCOL_RESET_MAX), marked by
	 * `nonce`. NULL: nothing has to be undone. */
	enum protocol_reset (*reset)(const struct protocol_state *state, uint64_t nonce, char *bytes, size_t *length);

	/* Judges the server's answer to that. 1: it is the proof; 0: a beginning of the proof; -1: something else, and
	 * the connection must not be used again. With `reset`. */
	int (*prove_reset)(const struct protocol_state *state, uint64_t nonce, const char *bytes, size_t length);

	/* The last words of a server that the program is owed before its end of file, when one is due. Their length, at
	 * most PROTOCOL_FAREWELL_MAX. NULL: none. */
	size_t (*farewell)(const struct protocol_state *state, char *bytes);

	/* Makes a copy usable that another process took, in which the library lay so much lower. */
	void (*relocate)(struct protocol_state *state, uintptr_t by);
};
