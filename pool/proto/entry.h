/*
 * An entry of the table of protocols (pool/proto/protocol.h): its state, its answers, its functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/fence.h"
#include "pool/conn/refusal.h"
#include "pool/proto/http1/framing.h"
#include "pool/proto/memcached/binary.h"
#include "pool/proto/memcached/text.h"
#include "pool/proto/mysql/framing.h"
#include "pool/proto/plan.h"
#include "pool/proto/redis/framing.h"

struct framing_memo;
struct session_framing;

/* In the order in which they are asked: `get key` is said to memcached and to Redis. */
enum protocol_number {
	PROTOCOL_HTTP1,
	PROTOCOL_MEMCACHED,	   /* text, with the meta commands */
	PROTOCOL_MEMCACHED_BINARY, /* a connection keeps to what its first byte was of */
	PROTOCOL_REDIS,
	PROTOCOL_MYSQL, /* of which the server speaks first */
	PROTOCOL_COUNT
};

/* The state of an exchange, as far as it is known. */
struct protocol_status {
	/* May the connection be kept now? */
	enum refusal refusal;	 /* REFUSAL_NONE: yes, as far as its bytes tell */
	enum refusal doubt;	 /* REFUSAL_NONE, or why it never may be, whatever follows */
	enum refusal left_state; /* REFUSAL_NONE, or why not where `reset` is not to be had */
	bool is_lost;		 /* the ends of messages are not known any more */
	bool at_boundary;	 /* everything begun has ended in both directions, and there was an exchange */
	bool has_surplus;	 /* bytes have come that belong to no answer */
	bool server_ends;	 /* the server said that it ends the connection, or did it */
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
	bool wants_fresh;      /* what was asked so far is not for a connection that somebody had before */
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

/* Of an entry but the first: what it says of itself is brought up to date by each hook that changes it. */
struct protocol_session {
	const struct session_framing *framing; /* by which the hooks of session.h go */
	struct protocol_status status;
	union {
		struct redis redis;
		struct memcached_text text;
		struct memcached_binary binary;
		struct mysql mysql;
	};
};

/* Where the messages on one connection stand. All zero is one of HTTP/1 on which nothing can be asked of the server. */
struct protocol_state {
	enum protocol_number number;
	union {
		struct framing http1;
		struct protocol_session session;
	};
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

	/* The field that says the same in an answer, for an owner that can add to what the program gets: at most
	 * PROTOCOL_INSERTION_MAX bytes. */
	const char *end_field;
	size_t end_field_length;

	/* How a request begins. `length` 0: FRAMING_FIRST_PARTIAL. */
	enum framing_first (*classify)(const char *bytes, size_t length);

	/* True for what may be the beginning of what a server says first. NULL: it says nothing. Such a connection is
	 * kept with its login (pool/conn/login.h), and what proves its fence is for whoever shows a program the
	 * greeting. */
	bool (*is_greeting)(const char *bytes, size_t length);

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

	/* Begins it on a connection that was kept and has been proven since: that holds for as long as it lasts. NULL:
	 * nothing does. */
	void (*resume)(struct protocol_state *state);

	/* Begins the fence that undoes a user's traces at the park, or that shows that there are none. NULL, and all
	 * down to `prove`: each request carries all that counts for it, and none are needed. */
	void (*reset)(const struct protocol_state *state, uint64_t nonce, struct fence *fence);

	/* Begins one that only proves that the server is there. */
	void (*validate)(uint64_t nonce, struct fence *fence);

	/* Writes the fence's command (PROTOCOL_RESET_MAX). Its length. */
	size_t (*write_fence)(const struct fence *fence, char *bytes);

	/* True if nothing but the fence's answer can come of a connection that is parked: commands of the next user may
	 * be sent before it is here. */
	bool knows_each_reply;

	/* Takes what came as the fence's answer, in any pieces. */
	enum fence_proof (*prove)(struct fence *fence, const char *bytes, size_t length);

	/* True if these bytes are the program's goodbye and nothing else, and nothing is on its way. NULL: there are
	 * none. */
	bool (*is_goodbye)(const struct protocol_state *state, const char *bytes, size_t length);

	/* The server's answer to that, before it ends the connection. Its length, at most PROTOCOL_FAREWELL_MAX. With
	 * `is_goodbye`. */
	size_t (*farewell)(const char *goodbye, char *bytes);

	/* Makes a copy usable that another process took, in which the library lay so much lower. */
	void (*relocate)(struct protocol_state *state, uintptr_t by);
};
