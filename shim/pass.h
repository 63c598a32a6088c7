/* Descriptors that leave the process: by SCM_RIGHTS, or inherited by a program that is executed. */
#pragma once

#include <stdbool.h>

struct msghdr;
struct sock;

/* Marks every tracked socket among a message's SCM_RIGHTS as shared. Tolerates bad pointers. */
void pass_descriptors(const struct msghdr *message);

/* Does pass_make_honest() for every socket that a program without this library is about to inherit. */
void pass_inheritable(void);

/* Leased connections that a new program is about to inherit unused get to be fresh ones: it would not know that they may be stale. */
void pass_unused_inheritable(void);

/* A leased connection that somebody without our knowledge is to use gets to be the fresh one that it pretends to be,
 * and a request whose end of file is ours to make is asked again as it was written. Marks it as shared. Locked. */
void pass_make_honest(struct sock *sock);

/* The socket is standard input, or is becoming it, whose stream reads inside the C library, where no wrapper sees it (getchar(),
 * md5sum): an unused one is made honest, an answer that comes whole within two seconds is read ahead. Locked. */
void pass_to_standard_input(struct sock *sock);

/* The descriptor is about to be read and written where no wrapper sees it, in this process: its socket goes native. Nothing for
 * others. Preserves errno. */
void pass_to_stranger(int fd);
