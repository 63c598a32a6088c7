/* As whom and where the program connects: a connection opened as one user or in one network namespace is never given to
 * another. */
#pragma once

#include <stdbool.h>

struct destination_key;

/* False once a thread may be in another network namespace than the others, or another user: then nothing is made in
 * advance. */
bool identity_is_steady(void);

/* Fills in euid and netns_cookie for a socket of the calling thread. */
void identity_fill_key(struct destination_key *key, int fd);

/* The process has changed either of them: they are asked for again. */
void identity_forget(void);

/* A thread has changed its network namespace, or its user by the system call, which is about this thread alone. */
void identity_end_steadiness(void);

/* A thread has changed the user that its sockets are made by, and that only (setfsuid(2)). */
void identity_end_equality(void);
