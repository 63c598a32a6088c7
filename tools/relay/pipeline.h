/*
 * Pipelining: requests of several clients behind each other on one connection (RFC 9112 9.3.2). The connection's user
 * is whose answer comes next; the others are behind it, in the order of their requests.
 */
#pragma once

#include <stdbool.h>

struct client;
struct destination;
struct protocol_status;
struct upstream;

/* The client whose answer comes next; NULL: it is in no exchange. */
struct client *pipeline_head(const struct upstream *upstream);

/* As far as the policy and what was learnt of the server tell. */
bool pipeline_is_allowed(const struct destination *destination);

/* The connection behind whose exchanges the request that this client has sent so far may follow: it is whole and safe,
 * and so are they; fewer than the policy allows, and the first has not waited for long. The one with the fewest. NULL:
 * none. */
struct upstream *pipeline_find(const struct destination *destination, const struct client *client);

/* Whether this answer to a request that was sent behind another may be about just that. */
bool pipeline_is_refusal(const struct destination *destination, const struct protocol_status *status);

/* An answer has come to a request that was sent behind another. */
void pipeline_note_answer(struct destination *destination, const struct protocol_status *status);

/* A connection has ended on which none was answered that was sent behind another. A server that is known to pipeline
 * may have reasons of its own. */
void pipeline_note_failure(struct destination *destination);

/* Puts the client behind all others; its request is to be sent next. */
void pipeline_join(struct upstream *upstream, struct client *client);
