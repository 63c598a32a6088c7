/*
 * Exchanges of a client over connections to servers, from the program's side: which connection carries a request, and
 * what becomes of one whose program has gone. answer.h is the server's side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

/* Goes on as far as can be with what the program has sent, and with its end of file, and asks for more where there is
 * room. The client may be gone afterwards. */
void exchange_go(struct client *client);

/* The program has gone, without reading what it was sent. */
void exchange_abandon(struct client *client);

/* Bytes of its answer, which nobody reads any more. False: it is too long, and the client is gone. */
bool exchange_pass_over(struct client *client, size_t length);

/* True between two exchanges, where nothing of either side is on its way. */
bool exchange_is_idle(const struct client *client);

/* The server's end of file between exchanges. */
void exchange_end_idle(struct client *client);

/* How long, since its last exchange or since it was made, a program may have no connection to a server behind its own:
 * a server may speak first, or end a connection that is idle, and a program may wait for that. UINT64_MAX: it has one,
 * or needs none. */
uint64_t exchange_may_be_alone_ns(const struct client *client);

/* A connection to the server, for what that may do by itself. */
void exchange_dial_for_idle(struct client *client);

/* No answer comes to a complete request, behind which the program has ended its side: the server may wait for that end,
 * and is told. */
void exchange_tell_end(struct client *client);

/* The program sends and reads no more, in an orderly way, in a tunnel: what it sent is delivered. */
void exchange_hang_up(struct client *client);

/* The program has read: the server may go on. */
void exchange_resume(struct client *client);

/* Connections for those who wait, first come, first served. */
void exchange_serve_queue(void);
