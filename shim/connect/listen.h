/*
 * A connection to a listener of the program's own is never kept: a thread of it may wait for the end that we would
 * withhold, and a server under test is to see what its client does.
 */
#pragma once

#include <stdbool.h>

struct destination_key;

/* The program listens on this descriptor from now on. */
void listen_note(int fd);

/* When the library begins: the ports of those that listen already. */
void listen_note_all(void);

/* A port of the program's at an address of this machine. The same port elsewhere is another server's. */
bool listen_is_own(const struct destination_key *key);
