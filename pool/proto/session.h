/*
 * The part that the entries of protocols with a session have in common (pool/proto/entry.h): commands, each with one
 * reply or none, in order; nothing is edited, nothing is sent twice. Such an entry brings a struct session_framing, and
 * its hooks are SESSION_HOOKS.
 */
#pragma once

#include "pool/proto/entry.h"

/* What an entry knows of a connection. */
struct session_facts {
	enum refusal doubt;	 /* as in struct protocol_status */
	enum refusal left_state; /* likewise */
	bool is_lost;
	bool has_surplus;
	bool has_ended;	     /* by the server */
	bool in_request;     /* a command has begun and not ended */
	bool parses_request; /* the next bytes of one decide something */
	bool in_reply;
	bool is_settled;       /* nothing is on its way, in either direction */
	bool wants_fresh;      /* as in struct protocol_status */
	uint64_t n_sent;       /* complete commands that have a reply */
	uint64_t n_answered;   /* of those */
	uint64_t known_reply;  /* bytes to come whose contents decide nothing */
	uint32_t keep_alive_s; /* as in struct protocol_status */
};

/* Each as the hook of the same name. */
struct session_framing {
	void (*init)(struct protocol_session *session);
	void (*feed_request)(struct protocol_session *session, const char *bytes, size_t length);
	size_t (*feed_reply)(struct protocol_session *session, const char *bytes, size_t length, bool only_one);
	void (*pass_reply)(struct protocol_session *session, uint64_t length);
	void (*feed_end)(struct protocol_session *session);
	struct session_facts (*facts)(const struct protocol_session *session);
};

/* For a hook `init`, and for `relocate`: by this framing. */
void session_begin(struct protocol_state *state, const struct session_framing *framing);
void session_arrive(struct protocol_state *state, const struct session_framing *framing);

void session_feed_request(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			  struct framing_plan *plan);
void session_feed_request_part(struct protocol_state *state, const char *bytes, size_t length,
			       const struct framing_plan *carried_out);
void session_feed_response(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			   struct framing_plan *plan);
size_t session_feed_answer(struct protocol_state *state, const char *bytes, size_t length, struct framing_plan *plan);
void session_feed_end(struct protocol_state *state);
void session_pass_request(struct protocol_state *state, uint64_t length);
void session_pass_response(struct protocol_state *state, uint64_t length);
void session_forbid_edits(struct protocol_state *state);

/* For a hook of that name, likewise. */
bool session_measure_request(const struct session_framing *framing, const char *bytes, size_t length, size_t *end);

/* Brings the status up to date where an entry has changed what it knows by itself. */
void session_refresh(struct protocol_state *state);

#define SESSION_HOOKS                                                                                           \
	.wish = "", .insertion = "", .feed_request = session_feed_request,                                      \
	.feed_request_part = session_feed_request_part, .feed_response = session_feed_response,                 \
	.feed_answer = session_feed_answer, .feed_end = session_feed_end, .pass_request = session_pass_request, \
	.pass_response = session_pass_response, .forbid_edits = session_forbid_edits
