/*
 * Pipelining: requests of several clients behind each other on one connection (RFC 9112 9.3.2). The connection's user
 * is whose answer comes next; the others are behind it, in the order of their requests.
 */
#pragma once

struct client;
struct destination;
struct upstream;

/* The client whose answer comes next; NULL: it is in no exchange. */
struct client *pipeline_head(const struct upstream *upstream);

/* The connection behind whose exchanges the request that this client has sent so far may follow: it is whole and safe,
 * and so are they; fewer than the policy allows, and the first has not waited for long. The one with the fewest. NULL:
 * none. */
struct upstream *pipeline_find(const struct destination *destination, const struct client *client);

/* Puts the client behind all others; its request is to be sent next. */
void pipeline_join(struct upstream *upstream, struct client *client);
