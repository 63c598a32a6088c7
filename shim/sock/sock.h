/*
 * A socket as the program sees it: one open file description that it made with socket(), under one or more descriptor
 * numbers. Behind it stands a struct conn of the pool, or a stub once the exchange has ended.
 *
 * Locks: sock->lock covers the object; it may be held across system calls that can't block, never across one that can.
 * The pool's lock (pool_enter) is taken inside it, never the other way round. An entry of fdtable is stored under the
 * lock of the sock that it names. Objects live in an arena: a stale pointer is readable, and sock_enter() proves it
 * current.
 */
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "pool/conn/conn.h"
#include "pool/conn/destination.h"
#include "pool/exchange/replay.h"
#include "pool/idle.h"
#include "pool/proto/protocol.h"
#include "shim/base/blocks.h"
#include "shim/base/fdtable.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/kept/missed.h"
#include "shim/kept/pool.h"
#include "shim/kept/ticket.h"
#include "shim/sock/events.h"

#define SOCK_MAX_FDS 8
#define SOCK_MAX_REGISTRATIONS 4

enum sock_state {
	SOCK_FREE,
	SOCK_NEW,     /* socket() was called, connect() was not */
	SOCK_WAITING, /* connect() is queued behind max-conns; the descriptors are a placeholder; see limit.h */
	SOCK_OPEN,    /* has a connection, or one is being dialled */
	SOCK_ENDING,  /* the exchange is over, and nobody has looked yet; see shim/exchange/eof.h */
	SOCK_STUB,    /* the exchange is over, the connection parked; the descriptors are a stub at its end of file */
	SOCK_ENDED, /* the exchange is over, the connection can't be kept; end of file was made on the socket itself */
	SOCK_RELEASED, /* native but for its close, which has to end what others hold too; translated, where it has a
			  transport */
};

/* Followed rather than asked for: a system call saved at each swap. */
enum sock_close_on_exec { SOCK_STAYS_OPEN, SOCK_CLOSES_ON_EXEC, SOCK_ASK_KERNEL };

/* One epoll_ctl(ADD) of the program. */
struct registration {
	int epfd;
	int fd;
	struct epoll_event event;
	uint32_t events_back; /* with what it returns after a swap: none, for a one-shot that has fired */
	uint32_t epoch;	      /* of eof.h, when the kernel took it */
};

/* A descriptor that is at its end of file as TCP in CLOSE_WAIT is; see stub.h. */
struct stub {
	int end; /* high duplicates, -1: none */
	int peer;
	int status_flags;
};

struct transport;

struct sock {
	void *arena_link;
	struct guard_lock lock;
	_Atomic(uint64_t) inside;    /* generation << 32 | threads inside a call that may block on it */
	_Atomic(bool) wants_release; /* somebody used it without the lock: what we know is not the truth any more */
	_Atomic(int) wants_close;    /* 1 + a number that a signal handler closed while its own thread changed it; 0 */
	_Atomic(bool) has_uncounted_waiter; /* more threads or entries wait on it than were counted: never park */
	_Atomic(bool) is_shared;	    /* another process may use it: never park. Also set from a vfork child */

	/* All below is zeroed for each new socket. */
	enum sock_state state; /* moved by sock_set_state() alone */
	int domain;
	int fds[SOCK_MAX_FDS];
	uint8_t close_on_exec[SOCK_MAX_FDS]; /* enum sock_close_on_exec, of each number */
	unsigned n_fds;
	int status_flags;      /* of the description, as fcntl(F_GETFL) gives them */
	int spare;	       /* SOCK_NEW: our duplicate, see spare.h; -1: none */
	int file_flags;	       /* SOCK_NEW: those that its file has, see spare_flush() */
	bool file_has_nodelay; /* likewise TCP_NODELAY */
	bool file_is_spent;    /* it can be nobody else's any more, see spare_drop() */
	struct registration registrations[SOCK_MAX_REGISTRATIONS];
	unsigned n_registrations;
	unsigned n_swaps;	    /* how often its file was replaced by a fresh connection's */
	unsigned long replacer;	    /* the thread that is at it, without the lock; 0: none */
	bool registrations_are_out; /* deleted for its time; epoll_ctl only changes our list */
	bool is_inherited;	    /* the very connection is a parent's, too */
	bool cannot_swap;   /* its file has to stay: an alias or an epoll registration that we could not follow */
	enum refusal unfit; /* why its connection is never kept, for good, see sock_mark_unfit() */

	const struct policy *policy;  /* what counts for its peer, once that is known */
	struct destination_key key;   /* options and local address as they are set, the peer at connect() */
	struct socket_options wanted; /* the program's view of the options that can be undone */

	bool is_bypassed;     /* to be left alone once it is dialled, see pool/conn/bypass.h */
	struct ticket ticket; /* leave to dial, until there is a connection */
	struct tally tally;   /* where it is counted */
	unsigned long thread; /* that connected it */
	uintptr_t caller;     /* where connect() was called: a return address */
	enum missed missed;   /* why it has no kept connection */

	/* SOCK_OPEN */
	struct conn *conn;
	bool is_leased; /* it had users before: nobody but us knows that it may be stale */
	uint64_t leased_ns;
	bool in_window;		/* ... and may still be replaced: as long as no answer has begun, or between two of
					several that are asked for at once */
	bool was_heard;		/* ... of which the first has begun */
	uint64_t asked_ns;	/* when something was sent last, for the limits of time on answers */
	bool is_one_too_many;	/* its server was left to close it, since the pool has enough */
	bool has_sent;		/* the program has sent or ended something on it */
	bool is_half_closed;	/* the program will send nothing more, while it is in its window */
	bool is_lost;		/* we can't tell any more where the answer ends, and have asked the server to */
	bool reports_connected; /* a non-blocking connect() that we answered with EINPROGRESS: the next says 0 */
	bool awaits_fence; /* its server's answer to a question of ours comes first, see shim/connect/fence_ahead.h */
	bool has_forced_timeout;      /* TCP_USER_TIMEOUT is ours until the first answer */
	_Atomic(unsigned) n_senders;  /* threads between planning a send and accounting for it */
	_Atomic(bool) sends_for_long; /* a reader has waited for them in vain: their call blocks */
	_Atomic(unsigned) n_receivers;
	struct transport *transport;	/* what moves its bytes; NULL: plain TCP, see transport.h */
	bool has_stand_in;		/* its transport has put another file in the connection's place, for a while */
	struct protocol_state protocol; /* where its messages stand */
	unsigned n_told;		/* SOCK_ENDING: how often epoll_wait() has told of the end */
	unsigned n_fed;			/* how often bytes of an answer were framed */
	bool may_have_more;		/* the last ones filled what was asked for */
	struct replay replay;		/* what was sent, while it may have to be sent again */

	/* SOCK_STUB, and what is to become one */
	struct stub stub;
	struct sockaddr_in6 local; /* the former connection's, for getsockname() and getpeername() */
	struct sockaddr_in6 peer;
	socklen_t name_length; /* of both */
	bool stub_is_closed;   /* the program shut it down, or wrote and got a reset: CLOSE, no longer CLOSE_WAIT */
	bool stub_has_error;   /* ... and that error is still to be told */
	bool stub_has_words;   /* something can be read before its end */
	bool end_was_read;     /* the program knows that it is at its end */
	bool stub_asks_fresh;  /* an option was set after the end */
	struct conn *parked;   /* what it stood for, to answer for its options while that lives */
	uint64_t parked_cookie;
};

struct spare;

/* When the library begins. */
void sock_init(void);

/* In a fork's child, under the pool's lock; `is_sound` as for pool_begin_after_fork(). */
void sock_forget_all(bool is_sound);

/* Begins to follow a descriptor that socket() has just returned, or that was made of a spare (NULL: it was not),
 * which it takes. Failure means that it stays native. */
void sock_track(int fd, int domain, int type_flags, const struct spare *spare);

/* The socket behind a tracked descriptor, locked, whatever its state; NULL if the call must go native (untracked, in
 * a vfork child, or its lock can't be had, in which case it will be released by its next user). Wrappers call
 * exchange_enter(), by which the program never finds an end of file still to be made. */
struct sock *sock_enter(int fd) __attribute__((warn_unused_result));

/* Unlocks it. One that is SOCK_FREE by then may be another socket's object at once. */
void sock_leave(struct sock *sock);

/* Another number for the same socket. Gives up tracking when there are too many. Locked. */
void sock_add_fd(struct sock *sock, int fd, bool close_on_exec);

/* Of the number at an index. */
static inline bool sock_is_close_on_exec(const struct sock *sock, unsigned index)
{
	if (sock->close_on_exec[index] == SOCK_ASK_KERNEL)
		return REAL(fcntl)(sock->fds[index], F_GETFD) & FD_CLOEXEC;
	return sock->close_on_exec[index] == SOCK_CLOSES_ON_EXEC;
}

void sock_note_close_on_exec(struct sock *sock, int fd, enum sock_close_on_exec value);

/* Its connection is never to be kept. The first reason stays, and is what is told. Locked. */
static inline void sock_mark_unfit(struct sock *sock, enum refusal why)
{
	if (sock->unfit == REFUSAL_NONE)
		sock->unfit = why;
}

/* The only function that moves a socket's state. Which moves there are says the table in sock.c; any other makes it
 * unfit, and ends the process where the library was built to be checked (HOLDLINE_CHECKED). Locked. */
void sock_set_state(struct sock *sock, enum sock_state next);

/* Takes a number away from it, before the real close. True if it was the last: the caller ends the socket. Locked. */
bool sock_remove_fd(struct sock *sock, int fd);

/* We can't tell where the answer ends. Our FIN tells the server that nothing follows: it closes after the answer,
 * which is the end of file that we owe. It is unfit for `why` then. Locked. */
void sock_end_by_server(struct sock *sock, enum refusal why);

/* Another process may use it from now on. */
void sock_share(struct sock *sock);

/* In a vfork child, where no socket is entered: what is only remembered of it is set before a call of the child's, and
 * what that changes is nothing to go on. Nothing where we are at home. */
void sock_share_with_vfork_child(int fd);

/* Where the connection can be asked about that one of its numbers should stand for. Locked. */
static inline int sock_connection_of(const struct sock *sock, int fd)
{
	return __builtin_expect(sock->has_stand_in, 0) && sock->conn ? sock->conn->fd : fd;
}

/* Takes out what would be read in front of the program's answers (sock->awaits_fence), and waits for it; where it does
 * not come, or is wrong, the connection is shut down. Locked. Set before main(). */
extern void (*sock_settle_fence)(struct sock *sock);

/* Back to native for good: our descriptor of the connection is closed, options are what the program set, every
 * number is untracked and the state SOCK_FREE; or SOCK_RELEASED where the connection has to be ended by us at its
 * close. The end of file that may be owed is the caller's to see to before. Locked, before and after. */
void sock_untrack(struct sock *sock, enum refusal why);

/* For an object that has no numbers and no connection any more: it is SOCK_FREE, and gone with sock_leave(). Locked,
 * before and after. */
void sock_end(struct sock *sock);

/* The sent bytes can't be replayed any more: gives up the copy and its memory. */
void sock_drop_replay(struct replay *replay);

/* Gives the connection up: pool_discard under the pool's lock. */
void sock_drop_conn(struct sock *sock);

/* True if another thread is replacing the connection: it is worth waiting for. (The calling thread itself has left
 * that by longjmp, or is in a handler that interrupted it.) Locked. */
bool sock_is_being_replaced(const struct sock *sock);

/* True if the socket may still be replaced by a fresh connection without the program noticing. */
bool sock_in_window(const struct sock *sock);
void sock_enter_window(struct sock *sock);
void sock_leave_window(struct sock *sock);

/* The first byte of an answer has come in the window, which goes on. */
void sock_hear_in_window(struct sock *sock);

/* How many sockets are in their window or are tracked at all: lets readiness wrappers stay out of the way. */
extern _Atomic(unsigned) sock_n_in_window;
extern _Atomic(unsigned) sock_n_tracked;
extern _Atomic(unsigned) sock_n_replaced; /* connections that were replaced by fresh ones, ever */
extern _Atomic(bool) sock_is_retired;

/* Counting threads inside calls that may block. The token survives that the socket is freed, and a longjmp or a
 * cancellation out of the call: then the socket is just never parked. */
struct inside_token {
	struct sock *sock;
	uint32_t generation;
};
struct inside_token sock_go_inside(struct sock *sock);

/* One that proves it later without going inside. Locked. */
static inline struct inside_token sock_token(struct sock *sock)
{
	return (struct inside_token){sock, (uint32_t)(atomic_load(&sock->inside) >> 32)};
}
bool sock_come_out(struct inside_token token); /* false: that socket is gone */
unsigned sock_n_inside(const struct sock *sock);

/* Nobody can go inside between these two: for the instants of a swap. False if somebody is inside. */
bool sock_close_gate(struct sock *sock) __attribute__((warn_unused_result));
void sock_open_gate(struct sock *sock);

/* Everything goes native for good, and no new socket is followed. */
void sock_retire_all(void);

/* The process is about to end: what it leaves open and could be kept is parked for others. */
void sock_finish_all(void);

/* In a fork's child: forget every parked connection, close our copies; the program's sockets stay, shared. `is_sound`:
 * the pool's lock was had. */
void sock_after_fork_in_child(bool is_sound);

/* In the parent: all sockets that are open now are shared with the child. */
void sock_share_all(bool only_inheritable);
