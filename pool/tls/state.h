/*
 * What is known of one TLS connection: the handshake as its first program made it, recorded, and the keys of its two
 * sides. It lives in shared memory (a memfd) that travels with the connection, so that the number of the next record is
 * one for all who ever hold it, whatever forks, dies or lends. It is plain data, and hostile input to whoever gets it
 * from another process: tls_state_check() first.
 *
 * The program's side: keys that the recorded handshake makes, in every program that repeats it. The wire's side: keys
 * of the connection, the same until it is replaced by one of our own handshake.
 */
#pragma once

#include <stdatomic.h>

#include "pool/tls/hello.h"
#include "pool/tls/keys.h"

#define TLS_STATE_SIZE (128u << 10)
#define TLS_TURNS_MAX 16u
/* What of `write_number` is the number. */
#define TLS_NUMBER_BITS 48
#define TLS_NUMBER_MASK ((UINT64_C(1) << TLS_NUMBER_BITS) - 1)

enum tls_side { TLS_CLIENT, TLS_SERVER };

struct tls_span {
	uint32_t offset, length; /* in the arena */
};

/* Once the client has sent so much, the server has answered up to there. */
struct tls_turn {
	uint32_t client, server;
};

/* See farewell.h. */
struct tls_farewell {
	uint64_t number; /* as `write_number` was */
	uint16_t length; /* 0: there is none */
	uint8_t record[38];
};

struct tls_state {
	uint64_t magic;
	uint64_t id;			   /* nobody else's; the same for all connections of one recording */
	uint16_t version;		   /* TLS_1_2, TLS_1_3 */
	uint16_t suite;			   /* IANA's */
	uint32_t used;			   /* of the arena */
	uint8_t digest[TLS_DIGEST_LENGTH]; /* of the ClientHello, see hello.h */
	uint8_t leaf[TLS_DIGEST_LENGTH];   /* SHA-256 of the server's certificate */
	char server_name[TLS_NAME_MAX + 1];
	uint8_t offers_alpn;
	uint8_t asks_certificate; /* the server asked the client for one, or may, after the handshake */

	/* The recording. */
	uint32_t n_turns;
	struct tls_turn turns[TLS_TURNS_MAX];
	struct tls_span client, server;		 /* bytes of the handshake */
	struct tls_span random;			 /* results of random functions, see script.h */
	uint32_t last_flight;			 /* where the client's last record begins */
	struct tls_span tickets;		 /* NewSessionTickets that followed: 2 bytes of length before each */
	struct tls_span finished;		 /* what that holds: its nonce is random in TLS 1.2 with AES-GCM */
	uint8_t program_secret[2][TLS_HASH_MAX]; /* TLS 1.3; by enum tls_side */
	struct tls_traffic_key program_key[2];	 /* TLS 1.2 */

	/* The wire. */
	uint8_t wire_secret[2][TLS_HASH_MAX]; /* TLS 1.3, of the present epoch */
	struct tls_traffic_key wire_key[2];   /* of the present epoch */
	uint64_t explicit_base;		      /* the explicit nonce of record 0 that is sent */
	_Atomic(uint64_t) write_number;	      /* the next one to be sent; the key's epoch in the upper 16 bits */
	uint64_t read_number;		      /* the next one to come */
	struct tls_farewell farewell;
	uint8_t owes_update; /* the server has asked for a new key of the client (RFC 8446 4.6.3) */
	uint8_t arena[];
};

#define TLS_ARENA_SIZE (TLS_STATE_SIZE - sizeof(struct tls_state))

/* A number that is taken belongs to one record for ever: for whoever holds the key of `epoch`. False: that key is not
 * the present one, or has sealed as much as it may (RFC 8446 5.5). */
bool tls_state_take_number(struct tls_state *state, uint16_t epoch, uint64_t *number)
	__attribute__((warn_unused_result));

/* The number that would be taken next, as it stands in `write_number`. False: there is none for the key of `epoch`. */
bool tls_state_peek_number(struct tls_state *state, uint16_t epoch, uint64_t *next) __attribute__((warn_unused_result));

/* Takes this one, as tls_state_peek_number() gave it, if it is still the next. */
bool tls_state_take_this_number(struct tls_state *state, uint64_t next) __attribute__((warn_unused_result));

uint16_t tls_state_epoch(const struct tls_state *state);

/* The client's key has been changed: numbers begin anew. */
void tls_state_next_epoch(struct tls_state *state);

/* A new state in zeroed memory of TLS_STATE_SIZE bytes. */
void tls_state_begin(struct tls_state *state, uint64_t id);

/* Copies bytes in. False: there is no room. */
bool tls_state_add(struct tls_state *state, const void *bytes, size_t length, struct tls_span *span)
	__attribute__((warn_unused_result));

static inline const uint8_t *tls_state_at(const struct tls_state *state, struct tls_span span)
{
	return state->arena + span.offset;
}

/* True if nothing in it leads out of it. */
bool tls_state_check(const struct tls_state *state);
