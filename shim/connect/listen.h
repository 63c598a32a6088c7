/*
 * A connection to a port of the program's own is never kept: a thread of it may wait for the end that we would
 * withhold, and a server under test is to see what its client does.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

/* The program listens on this descriptor from now on. */
void listen_note(int fd);

/* When the library begins: the ports of those that listen already. */
void listen_note_all(void);

/* Network order. */
bool listen_is_own_port(in_port_t port);
