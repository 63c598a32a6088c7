/*
 * Sessions: what a layer above TCP keeps with a connection while it is parked (struct conn, session), and how it goes
 * to other processes. There is one such layer, shim/tls; without it connections have none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/config/config.h"

struct config;
struct pool_farewell;
struct sock;
struct transfer;

struct session_layer {
	/* A session of a descriptor that came from another process, which stays the caller's; NULL: it is none. */
	void *(*open)(int fd);

	/* The descriptor by which others may have it; -1: they may not. */
	int (*descriptor)(const void *session);

	/* Takes what its server is to be told before the end, once. False: there is nothing. */
	bool (*take_farewell)(void *session, struct pool_farewell *farewell);

	/* Frees it; under the pool's lock. */
	void (*end)(void *session);

	/* True if a library is loaded whose connections are kept, where that is wanted. */
	bool (*can_be_used)(void);

	/* The first bytes of a program on a socket. True: the layer knows them, and the socket has a transport now.
	 * They may have made it dial, which unlocks. Locked. */
	bool (*take_first)(struct sock *sock, const struct transfer *transfer);
};

/* NULL until the layer says so, before main(). */
extern const struct session_layer *session_layer;

/* When the library begins: which sessions this process shares, by the configuration and by its run. */
void sessions_init(const struct config *config, char *const environment[]);

/* True if the connections of any destination are kept with their sessions. */
bool sessions_are_wanted(void);

/* True if what a program trusts is looked up in an index as well. */
bool sessions_index_authorities(void);

/* True if a program is not to offer HTTP/2, of which nothing is kept. */
bool sessions_refuse_h2(void);

/* The kind of session that it shares with others; 0: none. */
uint64_t sessions_kind(void);

/* The kind of logins (pool/conn/login.h) that it shares: of the same executable, and the same script of it where its
 * first argument names one. 0: none. */
uint64_t sessions_login_kind(enum config_mysql_share share);
