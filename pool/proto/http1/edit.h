/*
 * Plans: the same-length edits (and for HTTP/1.0 the one insertion) that make a server keep a connection which the
 * program wanted closed, and the edit that shows the program the `close` which it would have got.
 *
 * Edits stay provisional until the buffer ends: what comes later in it (an Upgrade, a signature, bytes after the last
 * request) still withdraws them. All of them belong to the newest request, since one that wanted close is the last.
 */
#pragma once

#include "pool/proto/http1/private.h"

/* A buffer of requests begins or ends: pays what an interrupted edit owes; settles the plan. */
void edit_begin_buffer(struct framing_feed *feed);
void edit_end_buffer(struct framing_feed *feed);

/* A request begins at `bytes`. */
void edit_begin_request(struct framing_feed *feed, const char *bytes);

/* The bytes so far of the list element in progress, in a Connection or Proxy-Connection field, are followed by what
 * ends a list element, in this buffer: plans to overwrite it if it is the token in question. May be called twice. */
void edit_consider_token(struct framing_feed *feed);

/* The list element in progress ended and was `close`. */
void edit_end_close_token(struct framing_feed *feed);

/* A request's head ended: decides close_wanted and edited. */
void edit_end_head(struct framing_feed *feed);

/* A final answer's head ended: plans the field that it lacks. */
void edit_end_answer_head(struct framing_feed *feed);
