/*
 * A handshake is recorded while a program's library makes it, and played to another one: what the library sends is
 * compared, what it reads and what it draws at random comes from the recording.
 *
 * Plain memory, no locks, no system calls; one thread at a time per object.
 */
#pragma once

#include "pool/tls/record.h"
#include "pool/tls/state.h"

/* So much of each is recorded; a handshake of more is not. */
/* Of a ClientHello: a key share of X25519MLKEM768 has 1,216 bytes, a session to be resumed up to 2,000. */
#define TLS_HELLO_MAX 4096u
#define TLS_CLIENT_MAX (16u << 10)
#define TLS_SERVER_MAX (96u << 10)
#define TLS_RANDOM_MAX (24u << 10)

struct tls_recorder {
	uint32_t client_length, server_length, random_length, n_turns;
	bool is_too_long;
	struct tls_turn turns[TLS_TURNS_MAX];
	uint8_t client[TLS_CLIENT_MAX];
	uint8_t random[TLS_RANDOM_MAX];
	uint8_t server[TLS_SERVER_MAX];
};

void tls_recorder_begin(struct tls_recorder *recorder);
void tls_recorder_sent(struct tls_recorder *recorder, const uint8_t *bytes, size_t length);
void tls_recorder_received(struct tls_recorder *recorder, const uint8_t *bytes, size_t length);

/* `kind` tells one function's results from another's. */
void tls_recorder_drew(struct tls_recorder *recorder, char kind, const void *bytes, size_t length);

/* Copies it into a state, and finds in it what the state says of the handshake: all but the keys, the digest and the
 * leaf. False: it can't be played. */
bool tls_recorder_save(const struct tls_recorder *recorder, struct tls_state *state)
	__attribute__((warn_unused_result));

struct tls_script {
	const struct tls_state *state;
	uint32_t client_at, server_at, random_at;
	bool differs;		      /* something else was sent or drawn than is recorded */
	uint8_t hello[TLS_HELLO_MAX]; /* the first bytes that were sent */
	uint32_t hello_length;
	uint8_t finished[128]; /* the last record, where it can't be compared */
	uint32_t finished_length;
};

void tls_script_begin(struct tls_script *script, const struct tls_state *state);

/* The library has sent so much. */
void tls_script_sent(struct tls_script *script, const uint8_t *bytes, size_t length);

/* What it may read now, up to `length` bytes; 0: nothing before it has sent more. */
size_t tls_script_read(struct tls_script *script, uint8_t *bytes, size_t length);

/* The next result of that kind; NULL: another one is recorded here. */
const uint8_t *tls_script_draw(struct tls_script *script, char kind, size_t *length);

/* All of it was played. `from_client` opens the client's first record (TLS 1.2). */
bool tls_script_is_complete(const struct tls_script *script, struct tls_seal *from_client);
