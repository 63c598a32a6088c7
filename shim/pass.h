/* Descriptors that leave the process: by SCM_RIGHTS, or inherited by a program that is executed. */
#pragma once

#include <stdbool.h>

struct msghdr;
struct sock;

/* Marks every tracked socket among a message's SCM_RIGHTS as shared. Tolerates bad pointers. */
void pass_descriptors(const struct msghdr *message);

/* A leased connection that somebody without our knowledge is to use gets to be the fresh one that it pretends to be.
 * Locked. */
void pass_make_honest(struct sock *sock);
