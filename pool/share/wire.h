/*
 * The messages between a process and its broker: one message a packet, on an AF_UNIX SOCK_SEQPACKET connection, in
 * the machine's own byte order, since both run on it. Descriptors travel beside (SCM_RIGHTS, unix(7)).
 *
 * A process says HELLO once, which WELCOME answers; a first LEASE in the one is answered in the other, which spares
 * both sides a turn. Any other LEASE is answered by ANSWER; nothing else is. The broker trusts no message: it checks
 * each by broker_wire_check() before it looks into it.
 */
#pragma once

#include <stdint.h>

#include "pool/conn/destination.h"
#include "pool/share/slots.h"

#define BROKER_WIRE_VERSION 5
#define BROKER_NAME_MAX 16

enum broker_message {
	/* To the broker. */
	BROKER_HELLO = 1,
	BROKER_LEASE,	/* a connection for a key, into a slot that is reserved. The first may lie in HELLO */
	BROKER_PARK,	/* a connection's first: the slot, and a descriptor */
	BROKER_DROP,	/* a slot's connection goes its own way: the broker forgets its duplicate */
	BROKER_LOOKED,	/* this program has opened a connection only to see whether it opens */
	BROKER_RELIEVE, /* ports towards a key's peer have run out: idle connections to it are to end */
	BROKER_TICKET,	/* over a connection of its own, which is then the ticket: see pool/broker/tickets.c */
	BROKER_IDLE,	/* something was parked, and somebody waits */
	BROKER_LIST,	/* what is held, please */
	BROKER_SESSION, /* what belongs to the connection that PARK brings next: its slot, and a descriptor */
	BROKER_RUN,	/* stay while the process lives whose pidfd this is: see tools/broker/runs.h */
	/* From the broker. */
	BROKER_WELCOME,	      /* with the slots' memory. Not from another version */
	BROKER_ANSWER,	      /* a descriptor if there was a connection */
	BROKER_SESSION_GIVEN, /* behind an ANSWER with a connection to a LEASE that asked for a session: its descriptor */
	BROKER_HELD,	      /* one that is held */
	BROKER_LISTED,	      /* ... and that was all, of this page */
};

enum broker_relieve_flags { BROKER_JUST_ONE = 1 /* of the key's destination: its place at the server is needed */ };

enum broker_hello_flags { BROKER_IS_PRIVATE = 1 /* lends nothing to others */ };
enum broker_lease_flags { BROKER_IS_ASKED = 1 /* said with HELLO: into SLOTS_FIRST, which is nobody's yet */ };
enum broker_park_flags { BROKER_WAS_UNFIT = 1 /* its first bytes could not have gone out on a kept connection */ };

enum broker_listed_flags {
	BROKER_HAS_MORE = 1,	/* there is another page */
	BROKER_IS_CONFINED = 2, /* it runs with its list of system calls, see tools/broker/sandbox.h */
};

/* Of LEASE and TICKET. */
enum broker_ask_flags {
	BROKER_IS_FORCED = 1,	/* a ticket: granted whatever the limit says */
	BROKER_WANTS_TRUTH = 2, /* only one whose server was heard just now: see habits.h */
};

enum broker_answer {
	BROKER_GIVEN,	/* the descriptor beside it is the connection */
	BROKER_NONE,	/* to a LEASE: there is none. To a TICKET: leave to dial */
	BROKER_DIAL,	/* the broker does not count this one: dial without leave */
	BROKER_QUEUED,	/* to a TICKET: another answer follows when its turn has come */
	BROKER_UNHEARD, /* there is one, but it is too old to tell who looks that the server is there */
	BROKER_UNFIT,	/* what is asked there is not for kept connections: one that was idle has been ended */

	/* Never on the wire: */
	BROKER_LEAVE, /* what broker_client_read_ticket() makes of NONE */
};

struct broker_head {
	uint32_t version;  /* of the protocol and of the shared memory's layout, see broker_wire_stamp() */
	uint32_t type;	   /* enum broker_message */
	uint32_t sequence; /* LEASE, and its ANSWER */
	uint32_t flags;
};

/* LEASE, PARK, DROP, PROBED, RELIEVE and TICKET. What a type has no use for is zero. */
struct broker_request {
	struct broker_head head;
	uint64_t slot;
	uint64_t generation;
	uint64_t cookie;    /* PARK: SO_COOKIE of the descriptor */
	uint64_t ticket;    /* TICKET: what WELCOME's sequence said. PARK: what the ticket's answer said, 0: none */
	uint64_t max_conns; /* TICKET: the limit, not 0 */
	uint64_t session;   /* LEASE, PARK: 0, or who may have connections with sessions like this one's */
	struct destination_key key;
};

struct broker_hello {
	struct broker_head head;
	uint32_t max_idle_conns; /* 0: no limit */
	uint32_t max_idle_conns_per_host;
	uint64_t program; /* a number for the executable */
	char name[BROKER_NAME_MAX];
	struct broker_request first; /* a LEASE; its type is 0: there is none */
};

struct broker_reply {
	struct broker_head head; /* ANSWER: flags are the enum broker_answer */
	uint64_t slot;
	uint64_t generation;
	uint64_t ticket; /* a granted one's number */
};

struct broker_welcome {
	struct broker_head head;   /* `sequence` is the process's number */
	struct broker_reply first; /* to HELLO's; its descriptor comes behind the memory's */
};

/* One held connection, for people. */
struct broker_held {
	struct broker_head head;
	uint64_t cookie; /* SO_COOKIE */
	struct destination_key key;
	uint64_t idle_ns; /* meaningless unless is_idle */
	uint64_t age_ns;
	uint32_t n_requests;
	uint32_t is_idle;
	uint32_t pid; /* of the process that parked it, 0: ended */
	char name[BROKER_NAME_MAX];
};

/* The longest of all. */
union broker_packet {
	struct broker_head head;
	struct broker_hello hello;
	struct broker_request request;
	struct broker_reply reply;
	struct broker_welcome welcome;
	struct broker_held held;
};

/* Version and layout in one number: two builds that differ in either must not share memory. */
uint32_t broker_wire_stamp(void);

/* A head for a message of ours. */
struct broker_head broker_wire_head(enum broker_message type, uint32_t sequence, uint32_t flags);

/* 0 if `length` bytes with `n_fds` descriptors are a message that a process may send: type, size, bounds, number of
 * descriptors. -EPROTO if not, -EPROTONOSUPPORT for another version's HELLO. */
int broker_wire_check(const union broker_packet *packet, size_t length, unsigned n_fds)
	__attribute__((warn_unused_result));
