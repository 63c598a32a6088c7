/* See enter.h. */
#include "shim/exchange/enter.h"

#include <errno.h>

#include "shim/connect/limit.h"
#include "shim/exchange/park.h"

struct sock *exchange_enter(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (sock && __builtin_expect(sock->state == SOCK_ENDING, 0))
		finish_make_end_of_file(sock);
	return sock;
}

struct sock *exchange_return(struct inside_token token, int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return NULL;
	if (sock == token.sock && (uint32_t)(atomic_load(&sock->inside) >> 32) == token.generation)
		return sock;
	sock_leave(sock);
	return NULL;
}

bool exchange_enter_in_turn(int fd, int option, struct sock **entered)
{
	struct sock *sock = exchange_enter(fd);
	int error = sock && sock->state == SOCK_WAITING ? limit_await(&sock, fd, true, option) : 0;

	*entered = error ? NULL : sock;
	if (error)
		errno = -error;
	return error == 0;
}
