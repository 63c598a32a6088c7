/* See witnessed.h. */
#include "shim/sock/witnessed.h"

#include <string.h>

#include "pool/conn/ending.h"
#include "pool/conn/ledger.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"

/* Would the kernel end it by RST? It does where bytes are left unread, or SO_LINGER gives it no time (tcp(7), RFC
 * 2525). */
static bool closes_by_reset(const struct sock *sock)
{
	struct linger linger = {0, 0};
	char byte;

	if (sock->wanted.set & 1u << SOCKET_OPTION_LINGER)
		memcpy(&linger, sock->wanted.value[SOCKET_OPTION_LINGER], sizeof(linger));
	return (linger.l_onoff && !linger.l_linger) || real.recv(sock->fds[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Bytes in flight must arrive: that may cost a TIME_WAIT. */
static bool has_nothing_under_way(const struct sock *sock)
{
	switch (ledger_check(&sock_pool_sys, sock->fds[0], sock_ledger(sock), NULL)) {
	case LEDGER_EXACT:
	case LEDGER_CLOSED:
		return true;
	case LEDGER_IN_FLIGHT:
	case LEDGER_UNSETTLED:
	case LEDGER_SURPLUS:
	case LEDGER_MISMATCH:
	case LEDGER_UNKNOWN:
		return false;
	}
	return false;
}

void witnessed_end(struct sock *sock, bool is_after_server)
{
	static const struct linger none;
	int fd = sock->fds[0];
	bool by_reset;

	if (!sock->conn || !sock->conn->has_broker_dup || cookie_of(fd) != sock->conn->cookie)
		return;
	/* The others also keep the file in the program's epoll sets, from which close() would have taken it. */
	swap_delete_registrations(sock, fd);
	if (atomic_load(&sock->is_shared))
		return;
	by_reset = closes_by_reset(sock);
	/* The last to close it would have to wait. */
	if (sock->wanted.set & 1u << SOCKET_OPTION_LINGER)
		real.setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (by_reset)
		sock_pool_sys.disconnect(fd);
	else if (is_after_server && has_nothing_under_way(sock))
		ending_make_for_all(&sock_pool_sys, fd, NULL);
	else
		real.shutdown(fd, SHUT_RDWR);
}
