/* Descriptors that leave the process: by SCM_RIGHTS, or inherited by a program that is executed. */
#pragma once

#include <stdbool.h>

struct msghdr;
struct sock;

/* Marks every tracked socket among a message's SCM_RIGHTS as shared. Tolerates bad pointers. */
void handoff_descriptors(const struct msghdr *message);

/* True if there is anything that it could be about. */
bool handoff_is_possible(void);

/* Does handoff_make_honest() for every socket that a program without this library is about to inherit. */
void handoff_inheritable(void);

/* Leased connections that a new program is about to inherit unused get to be fresh ones: it would not know that they
 * may be stale. (In a program without threads.) Before they are shared. */
void handoff_unused_inheritable(void);

/* Two processes are about to have the same sockets, or another program those that it inherits: the answers that are
 * still due to our fences (fence_ahead.h) are taken out. */
void handoff_settle_fences(bool only_inheritable);

/* A new program is about to inherit descriptors: a socket among them that waits for its turn becomes one that is
 * dialled. */
void handoff_waiting(void);

/* The same in a vfork child, whose descriptors are its own but whose memory is not: its numbers get a connection of
 * their own, which nobody counts, and the parent's go on waiting. */
void handoff_waiting_in_child(void);

/* The same for one that was asked for signals, which can't be moved to another file. True if it waited: they are to
 * be asked of what it is now. Preserves errno. */
bool handoff_waiting_one(int fd);

/* A leased connection that somebody without our knowledge is to use gets to be the fresh one that it pretends to be,
 * one that waits for its turn is let through, and a request whose end of file is ours to make is asked again as it
 * was written. Marks it as shared. Locked. */
void handoff_make_honest(struct sock *sock);

/* The descriptor is about to be read and written where no wrapper sees it, in this process: its socket goes native.
 * Nothing for others. Preserves errno. */
void handoff_to_stranger(int fd);
