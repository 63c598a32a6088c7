/* The state of a login that is carried over; see relogin.h. */
#pragma once

#include <sys/types.h>

#include "pool/proto/mysql/login.h"
#include "shim/base/blocks.h"
#include "shim/sock/transport.h"

#define RELOGIN_PACKET_MAX 4096 /* at a login */
#define RELOGIN_RESPONSE_MAX (MYSQL_LOGIN_MAX + MYSQL_HEAD)

enum relogin_phase {
	RELOGIN_FENCE,	  /* the fence's answer is awaited, for which the program is shown the greeting */
	RELOGIN_RESPONSE, /* the program's answer to that is awaited */
	RELOGIN_TALK,	  /* both have the word, packet by packet, up to the server's OK */
	RELOGIN_FRESH,	  /* a fresh connection's greeting is awaited, for which the program is asked again */
	RELOGIN_SWITCHED, /* its answer is awaited */
	RELOGIN_DONE,
	RELOGIN_FAILED,
};

struct relogin {
	struct transport transport; /* first: it is what the socket points to */
	struct block block;	    /* where this lies */
	struct sock *sock;
	enum relogin_phase phase, next; /* `next` comes when what is shown was read */
	struct fence fence;
	struct mysql_greeting greeting; /* as shown */
	struct mysql_greeting fresh;	/* of the connection that took its place */
	uint16_t n_fresh;
	uint8_t fresh_packet[LOGIN_GREETING_MAX];

	/* What the program is to read, and how many bytes of the kernel's that is. They are taken out when it has read
	 * all. */
	uint8_t shown[RELOGIN_PACKET_MAX];
	uint16_t n_shown, shown_at, n_kernel;

	/* The beginning of the server's next packet, where it did not come whole. */
	uint8_t held[RELOGIN_PACKET_MAX];
	uint16_t n_held;

	uint8_t response[RELOGIN_RESPONSE_MAX]; /* the program's to the greeting */
	uint16_t n_response;
	uint8_t answer[RELOGIN_PACKET_MAX]; /* ... and the packet that it is writing after that */
	uint16_t n_answer;

	uint8_t to_program, to_server; /* the next packets' numbers */
	bool has_greeted;	       /* the program has read the greeting */
	bool has_shown;		     /* ... and something of this server's that a fresh one might have said otherwise */
	bool is_ahead;		     /* the scramble has been sent before it was asked for */
	bool is_fresh;		     /* the connection is */
	bool was_wrong;		     /* the fence's answer */
	bool is_behind;		     /* ... is still awaited, though the program has been shown the greeting */
	bool was_asked;		     /* the server has asked for the scramble of the greeting's salt */
	bool has_woken;		     /* whoever waited for bytes was woken by some that are not for the program */
	struct mysql_bytes scramble; /* in `response` */
	uint64_t user;
};

_Static_assert(sizeof(struct relogin) <= BLOCK_MAX, "it lies in a block");

static inline size_t relogin_n_unread(const struct relogin *relogin)
{
	return (size_t)relogin->n_shown - relogin->shown_at;
}

enum relogin_step {
	RELOGIN_SHOWN, /* there is something for the program to read */
	RELOGIN_WAIT,  /* there will be, when something more has come */
	RELOGIN_PAUSE, /* ... when the program has gone on */
	RELOGIN_ENDED, /* the connection is of no use */
	RELOGIN_AGAIN, /* something was taken out that is not for the program: more may have come since */
};

/* Looks at what has come on the descriptor. Locked; does not block. */
enum relogin_step relogin_look(struct relogin *relogin, int fd);

/* Shows the program the greeting though the fence is still to be answered: what the program says is sent behind it, and
 * it hears of nothing before the answer was right. False: it has been shown. Locked. */
bool relogin_show_ahead(struct relogin *relogin);

/* All that was shown has been read. */
void relogin_end_shown(struct relogin *relogin, int fd);

/* The program's answer to the greeting is whole: sends it on. False: it can't be. Locked. */
bool relogin_submit(struct relogin *relogin, int fd) __attribute__((warn_unused_result));

/* Likewise a later packet of the program. */
bool relogin_forward(struct relogin *relogin, int fd) __attribute__((warn_unused_result));

/* True if a fresh connection may take the place of this one, now. */
bool relogin_can_begin_anew(const struct relogin *relogin);

/* The state of the socket's login; NULL: it has none. */
struct relogin *relogin_of(const struct sock *sock);

/* The socket is as any other one from now on; the state is gone. */
void relogin_detach(struct relogin *relogin);

/* The connection can't be had, or is not what the program was told: it ends, and so does the state. Locked. */
void relogin_give_up(struct sock *sock, int fd);

/* A fresh connection takes the place of this one, if one may; else it is given up. 0 or -errno. Locked, and again on
 * return; the socket may be another one's by then, or have no such state. */
int relogin_begin_anew(struct sock *sock, int fd) __attribute__((warn_unused_result));

/* The program's calls: the transport's hooks (transport.h). */
ssize_t relogin_send(struct sock *sock, struct transfer *transfer);
ssize_t relogin_receive(struct sock *sock, struct transfer *transfer);
