/*
 * Framing: where HTTP/1.x messages begin and end in the two byte streams of one connection.
 *
 * Fed with the bytes that the kernel accepted from (requests) and delivered to (responses) the program, in any
 * pieces, it answers two different questions (llhttp is the tokenizer):
 *   - where the message ends, as leniently as RFC 9112 6.3 resolves it, so that an end of file can always be given
 *     to a program whose `Connection: close` was withheld from the server;
 *   - whether all of it was canonical, as strictly as the strictest pool: only then may the connection be kept.
 * It also plans the same-length edits that ask a server to keep the connection (RFC 9110 5.6.1, RFC 9112 9.6).
 *
 * A struct framing is plain data: it may be copied by assignment, fed as a scratch copy and thrown away or adopted.
 * No allocation, no locks, no system calls; async-signal-safe; one thread at a time per object.
 */
#pragma once

#include <llhttp/llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/proto/plan.h"

/* Why a connection can't be kept; the first one found stays. Names as in reports. */
enum framing_doubt {
	FRAMING_CANONICAL = 0,
	FRAMING_DOUBT_NOT_CANONICAL,	/* readable, but two parsers might disagree: TE and CL, bare LF, surplus... */
	FRAMING_DOUBT_UPGRADE,		/* CONNECT, 101 */
	FRAMING_DOUBT_AUTH_BOUND,	/* NTLM, Negotiate, Kerberos... in either direction */
	FRAMING_DOUBT_UNKNOWN_PROTOCOL, /* the request is not HTTP/1.x */
	FRAMING_DOUBT_ERROR,		/* the parser is lost: ends of messages are not known any more */
};

#define FRAMING_MAX_OUTSTANDING 64
#define FRAMING_NAME_MAX 32
#define FRAMING_VALUE_MAX 64

/* The position in one direction. */
enum framing_phase {
	FRAMING_PHASE_BETWEEN, /* before a message */
	FRAMING_PHASE_HEAD,
	FRAMING_PHASE_LENGTH, /* a Content-Length body */
	FRAMING_PHASE_CHUNKED,
	FRAMING_PHASE_UNTIL_CLOSE, /* a response's body that the server's FIN ends */
	FRAMING_PHASE_OPAQUE,	   /* a tunnel, surplus, or lost: bytes are not looked at any more */
};

/* One direction. Only `phase`, `in_message`, `in_head` and `parser` (method, status_code, http_minor of the newest
 * head) are for others to read. Header values are only collected for the fields that decide something, and one
 * element of their lists at a time. */
struct framing_side {
	llhttp_t parser; /* tokenizes heads */
	enum framing_phase phase;
	bool in_message; /* bytes of a message have come and its end has not */
	bool in_head;

	/* Of the head. */
	bool line_seen; /* its start line is complete */
	bool skip_line; /* a field line that can't be tokenized: the rest of it is passed over */
	bool in_value;
	bool after_cr; /* the last byte was a CR */
	bool has_content_length, length_invalid, has_transfer_encoding;
	bool token_close, token_keep_alive;
	bool expects_continue;
	bool has_date;
	bool gap;		       /* white space came within the list element */
	uint8_t field;		       /* which interesting field the current value belongs to */
	uint8_t coding;		       /* the last transfer coding */
	uint8_t word_length;	       /* how much of the word `connection` the last bytes match */
	uint8_t strict, strict_index;  /* state of the strict grammar */
	uint8_t chunk, n_chunk_digits; /* state of the chunked coding */
	uint8_t name_length, value_length;
	char name[FRAMING_NAME_MAX];   /* lower case */
	char value[FRAMING_VALUE_MAX]; /* the current list element, lower case */
	uint64_t body_remaining;       /* of a Content-Length body, or of a chunk (in the head: the length so far) */
};

/* Why the server ends the connection after an answer. */
enum framing_close {
	FRAMING_STAYS,
	FRAMING_SAYS_CLOSE, /* or did it */
	FRAMING_HTTP10,	    /* 1.0 without keep-alive */
	FRAMING_UNTIL_END,  /* its end is that of the connection */
};

/* A question: what is not looked at need not be asked. */
#define FRAMING_ASKS __attribute__((pure))

struct framing {
	struct framing_side request;
	struct framing_side response;

	/* Immutable after init. */
	bool rewrite; /* may plans be made at all */

	/* Results, to be read by the owner. */
	enum framing_doubt doubt;	  /* sticky for the connection's life */
	bool lost;			  /* ends of messages are not known any more, whatever came first as `doubt` */
	unsigned n_requests;		  /* heads completed, in all */
	unsigned n_outstanding;		  /* request heads completed or begun whose final response has not ended */
	bool unsafe_outstanding;	  /* one of those is no GET, HEAD, OPTIONS or TRACE */
	bool close_wanted;		  /* the newest request asked for close (or is 1.0 without keep-alive): a bare
						   server would end the connection after its response */
	bool edited;			  /* ... and that was withheld from the server, so we owe the EOF */
	bool close_shown;		  /* the answer to it was made to say close: its program won't ask again */
	bool response_started;		  /* a byte of the (next) outstanding response has come */
	bool response_ended;		  /* no response outstanding or in progress, and at least one has ended since
						   init; cleared when the next request begins */
	enum framing_close server_closes; /* by the last final response; 0: it stays */
	bool expect_continue;		  /* a request head with Expect: 100-continue awaits its first answer */
	uint32_t keep_alive_timeout_s;	  /* from the server's `Keep-Alive: timeout=`; 0: not said */
	uint32_t keep_alive_max;	  /* from `max=`; UINT32_MAX: not said */

	/* Private. */
	bool surplus;	      /* bytes that belong to no message have passed */
	bool sent_behind;     /* the program has sent something behind its last request */
	bool unrepeatable;    /* something that may not be sent twice was sent, and is none of the outstanding */
	bool edit_forbidden;  /* the newest request is signed over `connection`, or comes behind an offer to upgrade */
	bool upgrade_offered; /* one of the outstanding requests has Upgrade: what comes behind it may be no HTTP */
	bool inserted;	      /* `Connection: keep-alive` was inserted into it */
	bool close_left;      /* a close token of it went to the server */
	bool token_blanked;   /* the list element in progress is a close token that was blanked */
	uint8_t blank_owed;   /* so many bytes more of it are to be blanked */
	/* Outstanding requests, oldest at bit 0: which are HEAD, CONNECT, unsafe. */
	uint64_t head_methods;
	uint64_t connect_methods;
	uint64_t unsafe_methods;
};

/* Begins a connection of which no byte has been seen. `rewrite` false: feeding never makes a plan. */
void framing_init(struct framing *framing, bool rewrite);

/* Prepares a kept connection for its next user: as framing_init(), but doubt stays. */
void framing_restart(struct framing *framing, bool rewrite);

/* Classifies the first `length` bytes of a request. `length` 0: FRAMING_FIRST_PARTIAL. Empty lines before the
 * request line (RFC 9112 2.2) count as FRAMING_FIRST_UNKNOWN. */
enum framing_first framing_classify_first(const char *bytes, size_t length);

/* Feeds bytes that the program sends. `plan` (may be NULL) receives the edits that make the server keep the
 * connection; it is only filled if framing->rewrite, `doubt` is still FRAMING_CANONICAL and nothing seen so far forbids
 * it (Upgrade; a signature over `connection`: Signature-Input, or Signature / Authorization whose list of signed
 * headers names connection). Fields that come later in the same buffer forbid it too. A token is edited only if it and
 * the comma or line end that ends it lie wholly in this buffer. With `plan` NULL the edits count as carried out all the
 * same. Errors show as `doubt`. */
void framing_feed_request(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

/* As framing_feed_request(), for the first `length` bytes of a longer buffer that was planned with a scratch copy, and
 * of which the kernel accepted only these. `carried_out` is that plan: edits within `length` were made; the rest of one
 * that `length` cuts is the first edit of the next plan, so that the server never sees half a token; the insertion was
 * made (or is being completed by the owner) if insert_offset <= length: clear `insert` if none of it went out. `bytes`
 * are the program's, without the edits. An all-zero plan says that they went out as they are. */
void framing_feed_request_part(struct framing *framing, const char *bytes, size_t length,
			       const struct framing_plan *carried_out);

/* Feeds bytes that the server sent. `plan` (may be NULL) receives the edits that put back `close` for `keep-alive`
 * in the response's Connection field where framing->edited, or where the head has no such field the place for one.
 * Interim (1xx) responses are passed over; 101 is an upgrade. Bytes that belong to no request are surplus: not
 * canonical. */
void framing_feed_response(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

/* The same, up to the end of the oldest final response that is outstanding. Returns how many bytes were fed; the others
 * are not looked at. */
size_t framing_feed_answer(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

/* True if a request begins in these bytes. *end is where it does end; 0: its end is not among them. */
bool framing_measure_request(const char *bytes, size_t length, size_t *end);

/* The server's FIN: ends a response that is delimited by it. Inside any other one: not canonical. */
void framing_feed_response_end(struct framing *framing);

/* How many bytes of body may pass unseen (sendfile, splice) before the next thing that must be read: what remains of
 * a Content-Length body in that direction, else 0. */
FRAMING_ASKS uint64_t framing_skippable_request(const struct framing *framing);
FRAMING_ASKS uint64_t framing_skippable_response(const struct framing *framing);

/* How many bytes of the answer need not be looked at, whose length is known or that only the end of the connection
 * ends: the next thing that must be read comes behind them. UINT64_MAX: nothing does. 0: the next byte must be. */
FRAMING_ASKS uint64_t framing_known_response(const struct framing *framing);

/* Accounts for so many of those that have come. */
void framing_pass_response(struct framing *framing, uint64_t length);

/* Accounts for `length` <= framing_skippable_...() unseen bytes of body. */
void framing_skip_request(struct framing *framing, uint64_t length);
void framing_skip_response(struct framing *framing, uint64_t length);

/* True between messages: everything begun was ended in both directions, nothing surplus, at least one exchange done. */
FRAMING_ASKS bool framing_at_boundary(const struct framing *framing);

/* True if the whole connection may be kept now: at a boundary, canonical, and the server stays: it neither said that it
 * closes nor was it asked to. */
FRAMING_ASKS bool framing_can_keep(const struct framing *framing);

/* True while the answer to a request is awaited that asked for close, which was withheld: a bare server would read
 * nothing that comes behind that (RFC 9112 9.6). */
FRAMING_ASKS bool framing_is_behind_last(const struct framing *framing);

/* True in the midst of a request that the server is to read. */
FRAMING_ASKS bool framing_has_more_to_send(const struct framing *framing);

/* True if requests of somebody else may be sent behind what was sent since init: it is whole and canonical, may be sent
 * again, and neither offers another protocol nor waits for leave nor asks the server to close (RFC 9112 9.3.2). */
FRAMING_ASKS bool framing_takes_more(const struct framing *framing);

/* True if bytes have come that belong to no answer. */
FRAMING_ASKS bool framing_has_surplus(const struct framing *framing);

/* True inside an answer that only the end of the connection ends, from a server that was not told to end it and has not
 * said that it will: it may be waiting for our next request (against RFC 9112 9.6, but servers do, and are right where
 * every client asks for close). */
FRAMING_ASKS bool framing_server_may_wait(const struct framing *framing);

/* True if the outstanding requests may be sent again on a fresh connection (RFC 9110 9.2.2): only safe methods, or a
 * head that is not complete, and nothing unreadable. Says nothing about responses: ask response_started. */
FRAMING_ASKS bool framing_can_replay(const struct framing *framing);
