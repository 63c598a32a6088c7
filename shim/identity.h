/* As whom and where the program connects: a connection opened as one user or in one network namespace is never given to
 * another. */
#pragma once

struct destination_key;

/* Fills in euid and netns_cookie for a socket of the calling thread. */
void identity_fill_key(struct destination_key *key, int fd);
