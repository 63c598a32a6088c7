/* Handshakes whose ClientHello the program is about to send, where the library could not say on which socket. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct handshake;

/* False: too many are. */
bool expected_add(struct handshake *handshake);

/* It is over, or won't be sent. */
void expected_remove(struct handshake *handshake);

/* The one whose ClientHello has that random, which is not expected any more; NULL: there is none. */
struct handshake *expected_find(const uint8_t *random);
