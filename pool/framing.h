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

/* What the first bytes of a connection (or of a message) look like. */
enum framing_first {
	FRAMING_FIRST_PARTIAL,	/* a proper prefix of some method that we know: undecided */
	FRAMING_FIRST_SAFE,	/* GET, HEAD, OPTIONS, TRACE followed by a space (RFC 9110 9.2.1) */
	FRAMING_FIRST_UNSAFE,	/* another token of upper-case letters and a space: may not be sent twice */
	FRAMING_FIRST_NOT_HTTP,
};

/* Why a connection can't be kept; the first one found stays. Names as in reports. */
enum framing_doubt {
	FRAMING_CANONICAL = 0,
	FRAMING_DOUBT_NOT_CANONICAL,	/* readable, but two parsers might disagree: TE and CL, bare LF, surplus bytes... */
	FRAMING_DOUBT_UPGRADE,		/* CONNECT, 101, a request with Upgrade */
	FRAMING_DOUBT_AUTH_BOUND,	/* NTLM, Negotiate, Kerberos... in either direction */
	FRAMING_DOUBT_UNKNOWN_PROTOCOL,	/* the request is not HTTP/1.x */
	FRAMING_DOUBT_ERROR,		/* the parser is lost: ends of messages are not known any more */
};

#define FRAMING_MAX_EDITS 8
#define FRAMING_VALUE_MAX 256

/* One range of a buffer to overwrite. Offsets are relative to the buffer that was fed. */
struct framing_edit {
	uint32_t offset;
	uint32_t length;
};

/* What to change in one buffer; made by feeding it. All zero means nothing. */
struct framing_plan {
	unsigned n_edits;				/* request: fill with spaces. Response: "close", padded with spaces */
	struct framing_edit edits[FRAMING_MAX_EDITS];
	bool insert;					/* HTTP/1.0 request: put `Connection: keep-alive\r\n` ... */
	uint32_t insert_offset;				/* ... here, right after the request line's CRLF */
};

/* Header values are only collected for the fields that decide something. */
struct framing_side {
	llhttp_t parser;
	uint8_t field;				/* which interesting field the current value belongs to (private) */
	uint8_t name_length;
	uint16_t value_length;
	bool in_message;			/* bytes of a message have come and its end has not */
	bool in_head;
	bool has_content_length, has_transfer_encoding, has_chunked;
	bool token_close, token_keep_alive;
	char name[32];
	char value[FRAMING_VALUE_MAX];
	uint64_t body_remaining;		/* of a Content-Length body; valid while in_message and !in_head */
};

struct framing {
	struct framing_side request;
	struct framing_side response;

	/* Immutable after init. */
	bool rewrite;				/* may plans be made at all */

	/* Results, to be read by the owner. */
	enum framing_doubt doubt;		/* sticky for the connection's life */
	unsigned n_requests;			/* heads completed, in all */
	unsigned n_outstanding;			/* request heads completed or begun whose final response has not ended */
	bool unsafe_outstanding;		/* one of those is no GET, HEAD, OPTIONS or TRACE */
	bool close_wanted;			/* the newest request asked for close (or is 1.0 without keep-alive): a bare
						   server would end the connection after its response */
	bool edited;				/* ... and that was withheld from the server, so we owe the EOF */
	bool response_started;			/* a byte of the (next) outstanding response has come */
	bool response_ended;			/* no response outstanding or in progress, and at least one has ended since
						   init; cleared when the next request begins */
	bool server_closes;			/* the last final response said close, is 1.0 without keep-alive, or is
						   delimited by the end of the connection */
	bool expect_continue;			/* a request head with Expect: 100-continue awaits its first answer */
	uint32_t keep_alive_timeout_s;		/* from the server's `Keep-Alive: timeout=`; 0: not said */
	uint32_t keep_alive_max;		/* from `max=`; UINT32_MAX: not said */

	/* Private: methods of outstanding requests, oldest at bit 0: which are HEAD, which CONNECT. */
	uint64_t head_methods;
	uint64_t connect_methods;
};

/* Begins a connection of which no byte has been seen. `rewrite` false: feeding never makes a plan. */
void framing_init(struct framing *framing, bool rewrite);

/* Prepares a kept connection for its next user: as framing_init(), but doubt stays. */
void framing_restart(struct framing *framing, bool rewrite);

/* Classifies the first `length` bytes of a request. `length` 0: FRAMING_FIRST_PARTIAL. Empty lines before the
 * request line (RFC 9112 2.2) count as FRAMING_FIRST_NOT_HTTP. */
enum framing_first framing_classify_first(const char *bytes, size_t length);

/* Feeds bytes that the program sends. `plan` (may be NULL) receives the edits that make the server keep the
 * connection; it is only filled if framing->rewrite and nothing seen so far forbids it (Upgrade; a signature over
 * `connection`: Signature-Input, or Signature / Authorization whose list of signed headers names connection).
 * A token is edited only if it and the byte that ends it lie wholly in this buffer. Errors show as `doubt`. */
void framing_feed_request(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

/* Feeds bytes that the server sent. `plan` (may be NULL) receives the edits that put back `close` for `keep-alive`
 * in the response's Connection field where framing->edited. Interim (1xx) responses are passed over; 101 is an
 * upgrade. Bytes that belong to no request are surplus: not canonical. */
void framing_feed_response(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan);

/* The server's FIN: ends a response that is delimited by it. Inside any other one: not canonical. */
void framing_feed_response_end(struct framing *framing);

/* How many bytes of body may pass unseen (sendfile, splice) before the next thing that must be read: what remains of
 * a Content-Length body in that direction, else 0. */
uint64_t framing_skippable_request(const struct framing *framing);
uint64_t framing_skippable_response(const struct framing *framing);

/* Accounts for `length` <= framing_skippable_...() unseen bytes of body. */
void framing_skip_request(struct framing *framing, uint64_t length);
void framing_skip_response(struct framing *framing, uint64_t length);

/* True between messages: everything begun was ended in both directions, nothing surplus, at least one exchange done. */
bool framing_at_boundary(const struct framing *framing);

/* True if the whole connection may be kept now: at a boundary, canonical, and the server stays. */
bool framing_can_keep(const struct framing *framing);

/* True if what was sent since init may be sent again on a fresh connection (RFC 9110 9.2.2): only safe methods, or a
 * head that is not complete. Says nothing about responses: ask response_started. */
bool framing_can_replay(const struct framing *framing);
