/*
 * Which descriptors are ours to think about. One pointer a descriptor, read without a lock on every wrapped call: for
 * an untracked one that read is all that happens.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sock;

/* Descriptors beyond are never tracked and so always native. */
#define FDTABLE_SIZE 65536

extern _Atomic(struct sock *) fdtable[FDTABLE_SIZE]; /* entries by atomic stores; see sock.h for who may */

/* Its address stands in the table for the shim's own descriptors, which the program must not see: to it they are
 * EBADF. */
extern char fdtable_internal;
#define FDTABLE_INTERNAL ((struct sock *)(void *)&fdtable_internal)

/* NULL for an untracked descriptor, any number included. */
static inline struct sock *fdtable_get(int fd)
{
	if ((unsigned)fd >= FDTABLE_SIZE)
		return NULL;
	return atomic_load_explicit(&fdtable[fd], memory_order_acquire);
}

static inline bool fdtable_is_internal(int fd)
{
	return fdtable_get(fd) == FDTABLE_INTERNAL;
}

/* The program's socket at a descriptor, not locked; NULL for any other. */
static inline struct sock *fdtable_get_sock(int fd)
{
	struct sock *sock = fdtable_get(fd);

	return sock == FDTABLE_INTERNAL ? NULL : sock;
}

/* Stores an entry. False if the number is beyond the table. */
bool fdtable_set(int fd, struct sock *sock);

/* One more than the highest number of a socket that was ever stored: where walks over the program's sockets end. */
int fdtable_end(void);

/* Our own descriptors, for walks: the first one at `from` or above, or -1; and one more than the highest ever. */
int fdtable_next_internal(int from);
int fdtable_internal_end(void);

/* Duplicates or moves a descriptor of ours out of the program's way: above its soft limit where the hard limit
 * allows, so that it costs the program no number; else, and while a process is being made that would inherit what we
 * raise it to, among its last, for want of better. In a process with threads that uses few descriptors it stays below
 * 64: the kernel would stop the thread for 15 to 50 ms to enlarge its table. Close-on-exec, marked internal. The new
 * one, or -errno. */
int fdtable_dup_high(int fd) __attribute__((warn_unused_result));

/* The same for what we can do without: -EMFILE where it would stop the thread. */
int fdtable_dup_if_cheap(int fd) __attribute__((warn_unused_result));

/* The same, and closes the low one (also on failure). */
int fdtable_move_high(int fd) __attribute__((warn_unused_result));

/* For a call of the program's that names a number, around the look at whose it is and the call: while it is held, no
 * number below 64 becomes one of ours or stops being one. False: nothing to release; `fd` is none of those. */
bool fdtable_hold_number(int fd) __attribute__((warn_unused_result));
void fdtable_release_number(void);

/* The program has asked for a number that one of ours had: from here on ours stay above 64. */
void fdtable_note_contest(int fd);

/* For a descriptor that we keep: moves it above the limit if fdtable_dup_high() had to take a low one, and the reason
 * is gone. Returns the new one, or `fd`. */
int fdtable_renew_high(int fd) __attribute__((warn_unused_result));

/* Closes an internal descriptor. errno is preserved. */
int fdtable_close_internal(int fd);

/* A descriptor of ours has been closed there without our knowledge: the number is the program's. */
void fdtable_forget_internal(int fd);

/* socket(2) close-on-exec, also where the program has used up its soft limit. A low number, untracked; -errno. */
int fdtable_open_socket(int domain, int type) __attribute__((warn_unused_result));
