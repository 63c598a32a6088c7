/* The first connect() of a socket, where a kept connection takes a dial's place. */
#pragma once

#include <sys/socket.h>

struct sock;

/* Returns as connect() does, and sets errno as it does; `caller` is the program's return address. The socket is locked,
 * SOCK_NEW, and unlocked afterwards. Blocks as connect() does, unlocked. */
int connect_new(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length, void *caller);

/* The descriptor that this thread has connected last, or begun to; -1: none yet. */
extern __thread int connect_last __attribute__((tls_model("initial-exec")));
