/*
 * One attempt at a handshake of our own (own_wire.h): the program's library makes it in memory, and its records are
 * carried here. Where the library is called it may allocate.
 */
#pragma once

#include <stdbool.h>

struct attempt;
struct own_wire;

/* Begins one like the attempt's `like`. 0 or -errno. own_attempt_end() is due. */
int own_attempt_begin(struct own_wire *own) __attribute__((warn_unused_result));

/* As far as it goes. 0: `own->wire` is made; -EAGAIN: the kernel has no room, or no record yet; -EKEYREJECTED: the
 * server has shown another certificate than the program has accepted; or why there is none. */
int own_attempt_go_on(struct own_wire *own, int fd) __attribute__((warn_unused_result));

/* Sends what the library has said already, without it. 0, or -EAGAIN where the kernel has no room, or -errno. */
int own_attempt_push(struct own_wire *own, int fd) __attribute__((warn_unused_result));

/* Bytes of the server's have come. */
bool own_attempt_was_answered(const struct own_wire *own);

/* Frees what is the library's. Nothing for one that was not begun. */
void own_attempt_end(struct attempt *attempt);
