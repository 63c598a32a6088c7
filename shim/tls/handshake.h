/*
 * One handshake of the program's library. It is recorded where a fresh connection carries it, and played where a kept
 * one could: then the library repeats the handshake of the connection's first program, with that one's random numbers
 * and the server's recorded answers, and judges them itself. Equal bytes in both directions mean equal keys.
 *
 * Nothing that a library sends with another's random numbers reaches the network: while a handshake is played, whatever
 * its thread sends is swallowed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/tls/hello.h"
#include "pool/tls/script.h"

struct channel;
struct library;
struct sock;
struct transfer;

enum handshake_phase {
	HANDSHAKE_RECORDED,
	HANDSHAKE_PLAYED,
	HANDSHAKE_OVER,
};

/* Secrets of the key log (draft-ietf-tls-keylogfile). */
enum handshake_secret { HANDSHAKE_HAS_CLIENT = 1, HANDSHAKE_HAS_SERVER = 2, HANDSHAKE_HAS_MASTER = 4 };

struct handshake {
	struct handshake *next_free;
	const struct library *library;
	void *library_session; /* the SSL or gnutls_session_t */
	enum handshake_phase phase;
	struct channel *channel; /* NULL: its ClientHello has not been sent yet, or its socket has gone */
	bool is_offline;	 /* its library has no socket: the program carries the bytes, see offline.h */
	unsigned long carrier;	 /* ... the thread that does */
	uint8_t client_random[TLS_RANDOM_LENGTH]; /* ... of its ClientHello, and what that asks for */
	uint8_t digest[TLS_DIGEST_LENGTH];
	unsigned secrets; /* enum handshake_secret */
	size_t secret_length;
	uint8_t secret[2][TLS_HASH_MAX];
	uint8_t master[TLS_HASH_MAX];
	struct tls_script script;
	struct tls_recorder recorder;
};

/* That this thread is inside of; NULL: none. */
extern __thread struct handshake *handshake_current __attribute__((tls_model("initial-exec")));

/* Where a thread is. */
struct handshake_place {
	struct handshake *current;
	bool *swallows;
};

/* The thread goes into a handshake (NULL: out of the one that it is in, to the program), and back. errno is kept. */
struct handshake_place handshake_step_in(struct handshake *handshake);
void handshake_step_out(struct handshake_place outer);

/* The socket of a handshake that is about to begin, locked, if it is one for us; else NULL. */
struct sock *handshake_enter(int fd);

/* One with nothing in it; NULL when there is no memory. */
struct handshake *handshake_take(const struct library *library, void *library_session);
void handshake_put(struct handshake *handshake);

/* A new beginning: nothing of what was recorded belongs to it. */
void handshake_forget_recorded(struct handshake *handshake);

/* The program carries its bytes, in this thread. */
bool handshake_is_carried_here(const struct handshake *handshake);

/* The calls of a thread that is inside of it. */
ssize_t handshake_send(struct handshake *handshake, struct transfer *transfer);
ssize_t handshake_receive(struct handshake *handshake, struct transfer *transfer);

/* Random numbers and keys that the library draws. handshake_draw(): NULL, the library is to make its own. */
void handshake_drew(char kind, const void *bytes, size_t length);
const uint8_t *handshake_draw(char kind, size_t *length);

/* True if a handshake that begins on the socket is one for us. Locked. */
bool handshake_is_wanted(const struct sock *sock);

/* The tentative connection of a socket may be played to: its state. NULL: it has none. Locked. */
const struct tls_state *handshake_tentative(const struct sock *sock);

/* The socket gets a channel of the handshake, still without a phase. NULL: there is no memory. Locked. */
struct channel *handshake_attach(struct handshake *handshake, struct sock *sock);

/* Begins to play to a tentative connection; false when there is no memory. Locked. */
bool handshake_begin_playing(struct handshake *handshake, struct sock *sock) __attribute__((warn_unused_result));

/* All of the recording has been played: equal bytes in both directions. */
bool handshake_was_played(const struct handshake *handshake);

/* From its beginning. */
void handshake_play_again(struct handshake *handshake);

/* It was played, and the program, or its library, has refused it for good: the kept connection ends with the socket,
 * and nothing reaches it any more. */
void handshake_refuse(struct handshake *handshake);

/* It was played to its end, and the library says yes. True: the socket has its session. Else it has none, and
 * handshake_give_up_playing() is due. */
bool handshake_conclude_played(struct handshake *handshake) __attribute__((warn_unused_result));

/* The library has asked for something else than the kept connection's first program. True: another kept one is in its
 * place, whose program has asked for the same, and is about to be played. */
bool handshake_try_other(struct handshake *handshake) __attribute__((warn_unused_result));

/* The kept connection goes back, and the socket dials: what the library makes next is genuine, and recorded. */
void handshake_give_up_playing(struct handshake *handshake);

/* The tentative connection is one whose program has asked for the same; or another such one takes its place. Locked. */
bool handshake_find_kept(struct sock *sock, const uint8_t digest[TLS_DIGEST_LENGTH]);

/* Reads a ClientHello's wishes. False: it can't be compared. */
bool handshake_read_hello(const struct library *library, const uint8_t *bytes, size_t length, struct tls_hello *hello)
	__attribute__((warn_unused_result));

/* Notes what a ClientHello asks for that is still to be sent. False: it can't be compared. */
bool handshake_note_hello(struct handshake *handshake, const uint8_t *bytes, size_t length);

/* Begins to record on a socket that has a fresh connection, or is given one now. False: it can't be. Locked. */
bool handshake_begin_recording(struct handshake *handshake, struct sock *sock) __attribute__((warn_unused_result));
