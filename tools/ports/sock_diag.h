/*
 * The kernel's TCP sockets, both families, one after the other: a dump via NETLINK_SOCK_DIAG (sock_diag(7)), never a
 * list in memory. Needs no privilege. The sockets are those of the caller's network namespace (netns.h).
 */
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>

/* States beyond those of netinet/tcp.h, as numbered in the kernel's include/net/tcp_states.h. */
#define SOCK_DIAG_NEW_SYN_RECEIVED 12
#define SOCK_DIAG_BOUND_INACTIVE 13 /* bind() and nothing more; reported since Linux 6.8 */

#define SOCK_DIAG_STATE(state) (1u << (state))
/* Sockets that have a port without a connection. To find the second kind, the kernel walks through all sockets
 * again. */
#define SOCK_DIAG_HOLDERS (SOCK_DIAG_STATE(TCP_LISTEN) | SOCK_DIAG_STATE(SOCK_DIAG_BOUND_INACTIVE))
#define SOCK_DIAG_CONNECTIONS                                                                                          \
	(SOCK_DIAG_STATE(SOCK_DIAG_NEW_SYN_RECEIVED) - SOCK_DIAG_STATE(TCP_ESTABLISHED) - SOCK_DIAG_STATE(TCP_CLOSE) - \
	 SOCK_DIAG_STATE(TCP_LISTEN))

struct sock_diag_socket {
	uint8_t state;	       /* TCP_ESTABLISHED... */
	uint8_t n_retransmits; /* of unacknowledged data; in TCP_SYN_SENT, of the SYN */
	uint16_t source_port, destination_port;
	struct in6_addr source, destination; /* IPv4 as ::ffff:a.b.c.d, whatever the socket's family */
	uint32_t interface;		     /* to which the socket is bound; 0: none */
	uint32_t expires_ms;		     /* until the running timer fires; in TIME_WAIT, until its end */
	uint64_t cookie;		     /* SO_COOKIE */
	uint32_t uid, inode;		     /* both 0 in TIME_WAIT; inode 0 also when the program has closed it */
};

/* Calls `each` for every TCP socket in one of `states` (a sum of SOCK_DIAG_STATE), those in SOCK_DIAG_HOLDERS first:
 * the kernel keeps them apart. 0 or -errno; then `each` may already have been called for some. */
int sock_diag_dump(uint32_t states, void (*each)(void *context, const struct sock_diag_socket *socket), void *context)
	__attribute__((warn_unused_result));
