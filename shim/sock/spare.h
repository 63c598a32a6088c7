/*
 * Spare sockets: fresh ones that a program made, and that a kept connection then took the place of before anything was
 * done with them. They are the next socket()'s: making and destroying a TCP socket costs more than all of a lease. The
 * store is covered by the pool's lock.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

struct sock;

struct spare {
	int fd;		  /* a high duplicate, -1: none */
	int status_flags; /* of its file */
	bool has_nodelay; /* likewise: TCP_NODELAY is on */
};

/* A spare of a domain out of the store, for socket(). */
struct spare spare_take(int domain);

/* The lowest free number for it, as socket() would have given; its status flags are not set yet. -1 and errno. */
int spare_duplicate(const struct spare *spare, int type_flags);

/*
 * Most programs set O_NONBLOCK or TCP_NODELAY on each new socket, and a kept connection has them already: while a spare
 * stands for a socket that is not connected, both are only remembered. This sets them, before anybody could tell:
 * before a dial, where the file gets another number or another process, and before the socket goes native.
 */
void spare_flush(struct sock *sock);

/* fcntl(2) F_GETFL or F_SETFL where that can be answered so: true, and the result. Locked. */
bool spare_answer(struct sock *sock, int command, int argument, int *result);

/* The same of setsockopt(2), which has succeeded then. Locked. */
bool spare_takes_option(const struct sock *sock, int level, int name, const void *value, socklen_t length);

/* The file of this new socket has all of what the program set. Locked. */
void spare_note_file(struct sock *sock);

/* An option has been set on the file itself, and noted. Locked. */
void spare_note_option(struct sock *sock, int level, int name);

/* The file of this new socket is about to be swapped away: takes hold of it if it is untouched. Locked. */
void spare_prepare(struct sock *sock);

/* It has been: into the store with it. Locked. */
void spare_keep(struct sock *sock);

/* Something is done to the socket that can't be undone, or others get to use it: its file is the program's alone, from
 * now on. Locked. */
void spare_drop(struct sock *sock);

/* Closes all, false if there were none; under the pool's lock. In a fork's child they were closed as internal ones:
 * only forget them. */
bool spare_close_all(void);
void spare_forget_all(void);
