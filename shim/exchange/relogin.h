/*
 * A kept connection to a server that speaks first (MySQL), below a program that believes it fresh. While its login
 * lasts, the socket has a transport of its own:
 *
 * - The program reads the greeting that the connection began with. To the kernel it is readable by what has come from
 *   the server: the answer to the fence, which is proven, and stays there until the program has read the greeting. So
 *   every way of waiting works as it does on a fresh connection, and nobody waits in connect(). Who reads or polls
 *   before that has come, need not wait for it: his answer goes out behind the fence, and is heard of when that has
 *   been proven.
 * - The program's answer is sent on as COM_CHANGE_USER: the server judges its password anew. The server asks for the
 *   scramble again, which is the one that the program has given.
 * - From the server's OK on the socket is as any other one: the transport has ended.
 *
 * Where that fails before the program was told anything of the server's, a fresh connection takes the place of the kept
 * one, and the program is asked for the scramble of its greeting's salt, as a server may ask anybody (an
 * AuthSwitchRequest).
 */
#pragma once

#include <stdbool.h>

struct conn;
struct sock;

/* Begins it for a socket that is about to lease the connection. False: there is no memory. Locked. */
bool relogin_begin(struct sock *sock, struct conn *conn) __attribute__((warn_unused_result));

/* True if the answer to its fence has come whole. */
bool relogin_is_ready(const struct conn *conn);
