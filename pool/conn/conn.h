/*
 * One TCP connection that the pool knows: in use by the program, or idle and ours alone.
 * Its state is moved by idle_pool's change_state() only; which lists it is on follows from the state.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/conn/fence.h"
#include "pool/conn/ledger.h"
#include "pool/conn/socket_options.h"

struct destination;
struct login;

enum conn_state {
	CONN_FREE, /* an object of the arena, no connection */
	CONN_OPEN, /* the program uses it */
	CONN_IDLE, /* parked: no descriptor of the program refers to it */
};

struct conn {
	struct conn *arena_link; /* the arena's while CONN_FREE */
	enum conn_state state;
	int fd;		 /* our own descriptor of it, -1 until it is first parked; the pool's to close */
	uint64_t cookie; /* SO_COOKIE: proves that a descriptor is still this socket */
	struct ledger ledger;
	struct destination *destination;
	uint64_t created_ns;
	uint64_t used_ns; /* when it was last known to be alive */
	uint64_t idle_since_ns;
	uint64_t expires_ns;	/* while idle */
	uint32_t n_requests;	/* carried in its life */
	uint32_t requests_left; /* the server's own limit, UINT32_MAX: not said */
	uint32_t protocol;	/* what was spoken on it last, enum protocol_number; another one is not for it */
	struct fence fence;	/* what its last user's traces were undone by, until that is proven */
	uint32_t fences_proven; /* fence_kind() of those that its server has answered on it */
	uintptr_t fenced_by;	/* where the user whose traces are undone by it connected; 0: in another process */
	int status_flags;	/* O_NONBLOCK and kin of the description, as when it was parked */
	struct socket_options options; /* as they are set on it now */
	void *session;		       /* of a layer above TCP, for the owner; NULL: none */
	struct login *login;	       /* what was said first on it, the pool's; NULL: nothing that counts */
	int slot;		       /* shared with the broker, -1: none; see slots.h */
	uint64_t slot_generation;
	int ticket;		   /* of the broker's leave to have it, -1: none; the pool's to close */
	uint64_t ticket_number;	   /* told when it is offered: then the broker counts the connection itself */
	bool was_looked_at;	   /* its last user said nothing on it: what it knows of the server is older */
	bool began_unfit;	   /* its first exchange began as none on a kept connection may */
	bool is_in_flight;	   /* when it was parked, what was sent last had not been acknowledged */
	uint8_t n_untold;	   /* receives until the broker is told that it was taken from the shelf, 0: no need */
	bool has_broker_dup;	   /* the broker may hold a duplicate: closing our descriptors does not end it */
	struct sockaddr_in6 local; /* its own address, for the program's getsockname() after the swap */
	struct sockaddr_in6 peer;  /* likewise; not always what the program connected to (0.0.0.0, a needless scope) */
	socklen_t name_length;	   /* of both, 0: not asked yet */

	struct conn *destination_prev, *destination_next; /* newest first */
	struct conn *age_prev, *age_next;		  /* all idle ones, longest idle first */
	struct conn *wheel_prev, *wheel_next;		  /* those that expire in one second's slot */
};
