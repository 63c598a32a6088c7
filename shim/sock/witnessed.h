/*
 * The end of a connection that the program closes, and of which the broker may have a duplicate, or who had it before:
 * the program's close() alone would not end it.
 */
#pragma once

#include <stdbool.h>

struct sock;

/* The program is just closing its last descriptor: that is to be the connection's end, as the kernel would make it.
 * `is_after_server`: natively the server would have closed before, so no TIME_WAIT is to be left on our side.
 * Nothing for one that nobody else has a descriptor of. Locked. */
void witnessed_end(struct sock *sock, bool is_after_server);
