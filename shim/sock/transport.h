/*
 * What moves the bytes of a connection between the program and its server. A socket of plain TCP names none. Of TLS
 * (shim/tls) each socket has its own: the program hands over and gets records under keys of its own, the exchange sees
 * the bytes inside, and what goes to the server are records under the connection's keys.
 *
 * send() and recv() are called without the socket's lock, may block where the program's own call may, and follow libc's
 * convention: -1 and errno. The others are called with it and do not block, but where they say so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "pool/conn/conn.h"
#include "pool/conn/refusal.h"
#include "shim/sock/sock.h"

struct transfer;

struct transport {
	/* As sendmsg(2). */
	ssize_t (*send)(const struct transport *transport, int fd, const struct msghdr *message, int flags);

	/* Receives into the given buffers what the program's call would have received into its own, which gets what
	 * else the call tells. `more_flags` are added to its flags. `vector` NULL: the call as the program made it. */
	ssize_t (*recv)(const struct transport *transport, const struct transfer *transfer, struct iovec *vector,
			size_t n, int more_flags);

	/* True if nothing has come that was not received: no byte, no end and no error. */
	bool (*is_quiet)(const struct transport *transport, int fd);

	/* All below is NULL for plain TCP. The program's own calls: they take the socket locked and leave it unlocked,
	 * may block, and come back to exchange_send_inner() and exchange_receive_inner() with what is inside. */
	ssize_t (*send_outer)(struct sock *sock, struct transfer *transfer);
	ssize_t (*receive_outer)(struct sock *sock, struct transfer *transfer);

	/* What the kernel should have counted. */
	void (*count)(const struct transport *transport, struct ledger *ledger);

	/* Why its connection can't be parked; REFUSAL_NONE: it can. Then it leaves to `conn` what that needs without
	 * the program. */
	enum refusal (*why_not_parked)(const struct transport *transport);
	void (*park)(struct transport *transport, struct conn *conn);

	/* True if the program's bytes are not those of the connection: they are translated until it ends. */
	bool (*is_needed)(const struct transport *transport);

	/* A fresh connection is to take the place of the one that it has: `fd` is connected. Sends there what was sent
	 * before. It waits for so long (-1: for as long as it takes; 0: not at all, and `fd` may still be connecting).
	 * Unlocked; may block. 0 or -errno. NULL: nothing has to be sent;
	 * then hold, push and take_farewell are NULL, too. */
	int (*redial)(struct transport *transport, int fd, int patience_ms, const char *bytes, size_t length);

	/* ... and has taken it. */
	void (*adopt)(struct transport *transport);

	/* Holds the connection that it had until the fresh one is ready. False: that is. */
	bool (*hold)(struct transport *transport, struct conn *conn);

	/* Sends what can be sent on a fresh one that is not (pending.h). */
	void (*push)(struct transport *transport, int fd);

	/* In a child of fork, where no other thread is. NULL: nothing is to be done. */
	void (*inherit)(struct transport *transport);

	/* What its server is told before the end of a connection that nothing was sent on since it was kept. False:
	 * nothing. */
	bool (*take_farewell)(struct transport *transport, struct pool_farewell *farewell);

	/* The socket has no more use for it. */
	void (*end)(struct transport *transport);

	/* What the program could read beside what the kernel has. Locked. */
	int (*unread)(const struct sock *sock);

	/* Before the program waits for bytes: true if it has some to read that the kernel does not know of. Locked.
	 * NULL, as the next one: it never has. */
	bool (*offers)(struct sock *sock);

	/* The kernel has bytes: true if none of them is for the program. They are taken out. Locked. */
	bool (*is_none_for_program)(struct sock *sock);

	/* Puts the connection back where something stands in for it (sock->has_stand_in), and leaves the socket. */
	void (*leave)(struct sock *sock);
};

/* While it is set, a TLS record that this thread sends on any other socket than the one that takes it is swallowed, and
 * the flag set: its random numbers are another connection's. */
extern __thread bool *sock_swallows __attribute__((tls_model("initial-exec")));

/* While it is set, a call of this thread that receives on a socket of ours says EAGAIN, and leaves its number there. */
extern __thread int *sock_asks __attribute__((tls_model("initial-exec")));

/* What is known of the connection's bytes, up to date. Locked; it has a connection. */
static inline const struct ledger *sock_ledger(const struct sock *sock)
{
	if (__builtin_expect(sock->transport != NULL, 0))
		sock->transport->count(sock->transport, &sock->conn->ledger);
	return &sock->conn->ledger;
}

/* What stands in for the connection makes room for it: before the socket ends. Locked. */
static inline void sock_leave_stand_in(struct sock *sock)
{
	if (__builtin_expect(sock->has_stand_in, 0))
		sock->transport->leave(sock);
}

static inline bool sock_is_translated(const struct sock *sock)
{
	return __builtin_expect(sock->transport != NULL, 0) && sock->transport->is_needed(sock->transport);
}
