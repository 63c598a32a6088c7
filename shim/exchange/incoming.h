/*
 * One receive on a tracked connection, and whose memory it goes to first.
 *
 * The parser must see the bytes that the kernel delivered: another thread of the program may overwrite the program's
 * buffer before we have looked (a load generator's threads drain into one sink). So heads and chunk lines pass through
 * memory of ours, and go on from there to the program's. Bytes that need not be looked at, a body's, are received by
 * the program itself, up to where the next head or line begins.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "shim/base/blocks.h"

struct framing_plan;
struct sock;
struct transfer;
struct transport;

#define INCOMING_VECTOR_MAX 8
/* Of a receive that may wait: on the stack, since a handler may leave it by longjmp. */
#define INCOMING_STACK 4096

enum incoming_way {
	INCOMING_UNSEEN, /* into the program's memory: nothing of it is looked at */
	INCOMING_COPIED, /* into ours, and copied */
	INCOMING_LOOKED, /* looked at in ours (MSG_PEEK), then received by the program: nobody knows whether its memory
			    is there */
};

struct incoming {
	enum incoming_way way;
	const struct transport *transport;
	bool wants_stack;	    /* `bytes` is to be room of INCOMING_STACK on the caller's stack */
	bool is_whole;		    /* the call can be made as the program made it */
	const struct iovec *vector; /* the program's buffers */
	size_t n_vector;
	size_t room;			       /* how much is to be received at most */
	struct iovec iov[INCOMING_VECTOR_MAX]; /* the buffers for that, where it is less than they hold */
	size_t n_iov;
	char *bytes; /* ours, where what was received is to be looked at; NULL: it need not be */
	struct block block;
};

/* Decides. Locked; the transfer's vector is readable and not empty. */
void incoming_plan(struct incoming *incoming, const struct sock *sock, const struct transfer *transfer);

/* Receives, as the program asked for it. Not locked; may block. -1 and errno. */
ssize_t incoming_receive(struct incoming *incoming, const struct transfer *transfer);

/* They have been looked at, and changed as planned (may be NULL): to the program with them. */
void incoming_deliver(const struct incoming *incoming, size_t length, const struct framing_plan *changed);

/* Gives back what it has taken. */
void incoming_end(struct incoming *incoming);
