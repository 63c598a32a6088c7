/*
 * The end of file, put off until somebody looks. An event loop that has read an answer to its end waits for the end of
 * file next, hears of it, reads it, and closes: all that we can tell it ourselves. Only where it looks in any other way
 * is the end made where the kernel shows it (a stub in the connection's place, three system calls; a blocking socket
 * that nothing watches is read and closed only), by finish_make_end_of_file(): exchange_enter() does that for whoever
 * asks for the socket, and those below for whoever could see it without asking.
 *
 * Only in a process of one thread: nobody else waits for it in the kernel then. All of it is async-signal-safe.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct destination_key;
struct sock;

extern _Atomic(unsigned) eof_n;
/* How often a number was closed or given to something else, as far as sets of epoll may be concerned. */
extern _Atomic(uint32_t) eof_epoch;

/* True if the end of any socket is put off. */
static inline bool eof_any(void)
{
	return __builtin_expect(atomic_load_explicit(&eof_n, memory_order_relaxed) != 0, 0);
}

void eof_make_all(void);

/* Before anything that could show one without asking exchange_enter() for it first: other ways to wait, processes and
 * numbers that inherit, the end of a set. Cheap enough for every wrapper. */
static inline void eof_make(void)
{
	atomic_fetch_add_explicit(&eof_epoch, 1, memory_order_relaxed);
	if (eof_any())
		eof_make_all();
}

/* A connection is about to be leased: one to this destination that still has its end of file to be made is as good
 * as an idle one. The second is for a socket that is about to be connected to a peer. The calling thread may hold
 * the lock of the socket that is to have the connection. */
void eof_make_for(const struct destination_key *key);
void eof_make_for_peer(const struct sock *sock, int fd, const struct sockaddr *address, socklen_t length);

/* True if nobody but this thread's event loop could see the end, which then waits for it in one set. Locked. */
bool eof_is_possible(const struct sock *sock);

/* SOCK_OPEN becomes SOCK_ENDING: for one of those, whose connection is fit to be kept. False: nothing has changed.
 * Locked. */
bool eof_begin(struct sock *sock);

/* It is SOCK_OPEN again, about to be closed, or to get its end of file. Locked. */
void eof_end(struct sock *sock);

/* Fills in the events of those that are registered there. 0: none, ask the kernel. The end of file of all others is
 * made. */
int eof_report(int epfd, struct epoll_event *events, int max);
