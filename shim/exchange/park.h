/*
 * The end of an exchange: the connection is parked if every doubt is out of the way, and the program gets the end of
 * file that the server would have made.
 */
#pragma once

#include <stdbool.h>

#include "pool/stats/stats.h"

struct sock;

/* The answer is complete and the program waits for the end of file that we withheld: gives it, by a stub where the
 * connection is parked, on the socket itself where it is not. Locked. */
void finish_with_end_of_file(struct sock *sock);

/* The program has said this goodbye, which the server is not to hear: parks the connection, and gives the program what
 * the server would answer, and its end. False: the connection can't be kept, and nothing has changed. Locked. */
bool finish_with_farewell(struct sock *sock, const char *goodbye);

/* The same, put off for as long as nobody but epoll_wait() and read() looks; see eof.h. Locked. */
void finish_with_end_of_file_later(struct sock *sock);

/* Somebody looks: what was put off is done. SOCK_ENDING becomes SOCK_STUB or SOCK_ENDED. Locked. */
void finish_make_end_of_file(struct sock *sock);

/* The program is about to close the last number of an open socket, or one whose end was put off: parks the connection
 * if it can be kept. Afterwards the caller lets the number go. Locked. */
void finish_at_close(struct sock *sock);

/* The server has ended a connection whose end was left to it (sock_end_by_server()): from the program's point of view
 * it did that by itself. Locked. */
void finish_lost(struct sock *sock);

/* Observe mode, at the end that was made by the server or by the program: counts whether the connection could have been
 * kept. Locked. */
void finish_observed(struct sock *sock, bool by_server);

/* The process ends, and leaves this socket open at the end of an exchange: parks its connection for others, the
 * program's numbers become a stub. Nothing happens if it can't be kept. Locked. */
void finish_at_exit(struct sock *sock);

/* The program is about to close the last number of a socket that went native while others held its connection too.
 * Locked. */
void finish_released(struct sock *sock);

/* At close of a socket whose end of file was made in place: no TIME_WAIT on our side that the bare program, whose
 * server closes first, would not have had. Locked. */
void finish_ended(struct sock *sock);
