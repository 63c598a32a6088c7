/*
 * Answers and ends of connections, from servers to clients; a connection is kept or ended afterwards by the same rules
 * as in the library: pool/exchange.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool/conn/refusal.h"

struct client;
struct upstream;
struct upstream_user;

/* Those who use a connection for: nothing yet, an exchange, a tunnel. The object is the client; in an exchange, the one
 * whose answer comes next. */
extern const struct upstream_user answer_unused, answer_in_exchange, answer_in_tunnel;

/* For nothing that anybody reads: the client has gone, and its last bytes are on their way. */
extern const struct upstream_user answer_unheard;

/* Moves an exchange on when bytes have passed: it goes on, has ended, or becomes a tunnel. */
void answer_settle(struct client *client);

/* From here on bytes pass as they are. */
void answer_tunnel(struct client *client);

/* The same for what is no HTTP, for that reason: the next of its kind won't come here. */
void answer_tunnel_foreign(struct client *client, enum refusal why);

/* Both directions of a tunnel have ended. */
void answer_end_tunnel(struct client *client);

/* The end of what can be done for the program, after what waits to be sent. */
void answer_finish(struct client *client, bool is_abrupt);

/* Once a second. */
void answer_tick(void);

/* Ends the client's connection, if it has one; those behind it get another. Not for one that is behind. */
void answer_drop(struct client *client);
