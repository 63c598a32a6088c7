/*
 * The transport of a socket with TLS on it. The program's library writes and reads records under the keys that its own
 * handshake has made; those are opened and sealed here, and what is inside goes through the exchange like any HTTP, to
 * the wire (wire.h) under the connection's keys.
 *
 * While the handshake is made it is recorded or played here (handshake.h).
 */
#pragma once

#include <stdatomic.h>

#include "shim/base/lock.h"
#include "shim/sock/transport.h"
#include "shim/tls/wire.h"

struct channel;
struct handshake;
struct library;
struct own_wire;
struct transfer;

enum channel_phase {
	CHANNEL_RECORDING, /* bytes pass as they are, and are recorded */
	CHANNEL_AWAITING,  /* nothing passes until the library goes on, see offline.h */
	CHANNEL_SKIPPING,  /* all passes but the first byte that comes: the program has it already */
	CHANNEL_PLAYING,   /* nothing passes: the recording answers */
	CHANNEL_SESSION,   /* records are translated */
	CHANNEL_REFUSED,   /* the program wants none of it: what it sends is swallowed, there is nothing to read */
	CHANNEL_DEAD,	   /* there is no connection: `error` */
};

/* The program's calls while its library is awaited, or a byte is to be skipped. */
struct channel_awaiting {
	ssize_t (*send)(struct channel *channel, struct transfer *transfer);
	ssize_t (*receive)(struct channel *channel, struct transfer *transfer);
};

struct channel {
	struct transport transport;
	struct channel *next_free;
	_Atomic(unsigned) n_users; /* calls of the program that are in it */
	bool is_orphan;		   /* its socket has gone: the last of them frees it */
	enum channel_phase phase;
	int error;
	bool has_swallowed;   /* CHANNEL_AWAITING: the ClientHello */
	bool has_shown;	      /* ... the first byte of an answer */
	bool has_denied;      /* ... and then that there are more */
	struct stub stand_in; /* ... readable, in the connection's place */
	const struct channel_awaiting *awaiting;
	int fd;			     /* of its socket, when the handshake began */
	struct handshake *handshake; /* until that is over */
	const struct library *library;
	const void *library_session; /* the SSL or gnutls_session_t */
	struct wire *wire;	     /* NULL: parked, or none yet */
	struct wire *fresh;	     /* of our own handshake, about to take its place */
	struct guard_lock own_lock;  /* covers both of these */
	struct own_wire *own;	     /* ... which is still made, in its place */
	struct own_wire *begun;	     /* ... and about to take its place */
	enum refusal unfit;	     /* why its connection is not kept */
	bool is_judged_later;	     /* the program may still refuse the certificate: it has asked for nothing yet */
	uint64_t sent, received;     /* CHANNEL_RECORDING */

	/* The program's side. */
	const struct tls_suite *suite;
	struct tls_seal from_program, to_program;
	uint64_t n_from_program, n_to_program; /* numbers of the next records */
	uint8_t secret[2][TLS_HASH_MAX];
	uint32_t flight_left; /* of a handshake made in memory so much is still to be sent, and goes as it is */
	bool is_at_end;	      /* it was told of the end */
	uint32_t owed; /* bytes that it will give again: the record in them is sealed, but not all of it is sent */
	_Atomic(bool) is_receiving;
	uint32_t partial_length;
	uint8_t partial[TLS_RECORD_MAX]; /* of a record that it has not written whole */
	uint32_t ready_at, ready_length;
	uint8_t ready[2 * TLS_RECORD_MAX]; /* records for it */
	struct tls_content alert;	   /* the server's last word, an alert that is no close_notify; type 0: none */
	uint8_t alert_bytes[2];
	uint8_t outward[TLS_RECORD_MAX]; /* contents on their way */
	uint8_t inward[TLS_RECORD_MAX];
	uint8_t gathered[2 * TLS_RECORD_MAX];
};

static inline struct channel *channel_of(const struct transport *transport)
{
	return (struct channel *)(void *)transport; /* its first member */
}

/* A channel without a phase, for the socket, which is locked. NULL: there is no memory. */
struct channel *channel_attach(struct sock *sock);

/* The socket that it is on, locked; NULL: that has gone. */
struct sock *channel_enter(const struct channel *channel);

/* The socket goes on without it. Locked. */
void channel_detach(struct sock *sock);

/* Puts the kept connection back in the place of its stand-in, where it has one. False: it could not be. Locked. */
bool channel_put_back(struct sock *sock);

/* The program's handshake has made the keys that the wire's state says: from here on records are translated. Takes the
 * wire. Where the library may allocate. */
bool channel_begin_session(struct channel *channel, struct wire *wire) __attribute__((warn_unused_result));

/* Seals a record for the program, in the order in which they are to be read. False: there is no room, or it failed. */
bool channel_make_ready(struct channel *channel, enum tls_type type, const uint8_t *bytes, size_t length);
