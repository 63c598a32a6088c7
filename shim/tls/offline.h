/*
 * Handshakes of a library that has no socket: it writes into memory and reads from memory, and the program carries the
 * bytes (asyncio, for one). On which socket is known when the ClientHello is sent, by its random.
 *
 * A fresh connection's handshake is recorded on its way. Where a kept one can be played to, the ClientHello is
 * swallowed, and a stub stands in for the connection, which has something to read: so the program calls its library
 * again, and in that call the recording is played (openssl_memory.c). What the program reads meanwhile is the first
 * byte of any such answer, which says nothing yet: a program that then asks the kernel again before its library gets a
 * fresh connection, and the rest of that one's answer.
 */
#pragma once

#include <stdbool.h>

struct handshake;
struct sock;
struct transfer;

/* The first bytes of a socket (struct session_layer). */
bool offline_take_first(struct sock *sock, const struct transfer *transfer);

/* The library goes on. True: the handshake's kept connection is in its place again, to be played to. */
bool offline_begin_playing(struct handshake *handshake);
