/* sendfile and splice: bytes that the kernel moves past us. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>

#include "shim/afterlife.h"
#include "shim/exchange.h"
#include "shim/export.h"
#include "shim/finish.h"
#include "shim/fresh.h"
#include "shim/outgoing.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/transfer.h"

#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* The kernel will move bytes that we can't look at. A leased connection of which nothing was used yet is not risked. A stub
 * takes them like the connection that it stands for: see end_unseen(). */
static struct sock *enter_unseen(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (!sock || sock->state == SOCK_STUB)
		return sock;
	if (sock->state != SOCK_OPEN) {
		sock_leave(sock);
		return NULL;
	}
	if (sock->is_leased && !sock->has_sent && fresh_replace(sock, FRESH_FOR_UNFIT, -1) == 0 && !sock->conn) {
		sock_leave(sock);
		return NULL;
	}
	return sock;
}

static ssize_t end_unseen(struct inside_token token, int fd, bool is_request, ssize_t moved)
{
	int saved = errno;
	struct sock *sock;

	sock_come_out(token);
	sock = exchange_return(token, fd);

	if (sock && moved > 0 && is_request && sock->state == SOCK_STUB) {
		afterlife_send(sock, (size_t)moved);
		sock_leave(sock);
	} else if (sock && moved > 0 && sock->state == SOCK_OPEN) {
		exchange_account_unseen(sock, is_request, (size_t)moved);
	} else if (sock && !is_request && moved == 0 && sock->is_lost && sock->state == SOCK_OPEN) {
		finish_lost(sock);
		sock_leave(sock);
	} else if (sock) {
		sock_leave(sock);
	}
	errno = saved;
	return moved;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t length)
{
	struct sock *sock = fdtable_get(out) ? enter_unseen(out) : NULL;
	struct inside_token token;

	if (!sock)
		return fdtable_is_internal(out) ? errno = EBADF, -1 : REAL(sendfile)(out, in, offset, length);
	token = sock_go_inside(sock);
	sock_leave(sock);
	return end_unseen(token, out, true, REAL(sendfile)(out, in, offset, length));
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t length)
{
	return sendfile(out, in, offset, length);
}

/* Where the kernel itself would say no before it waits. */
static bool is_into_pipe(const off64_t *in_offset, int out, const off64_t *out_offset, unsigned flags)
{
	int saved = errno;
	bool is_pipe = !in_offset && !out_offset && !(flags & ~SPLICE_FLAGS) && REAL(fcntl)(out, F_GETPIPE_SZ) >= 0;

	errno = saved;
	return is_pipe;
}

static void let_go(struct outgoing *seen)
{
	outgoing_free(seen, false);
}

/* The bytes that tell where the answer ends are looked at before they are moved. False: nothing was done. */
static bool splice_looked_at(int in, int out, size_t length, unsigned flags, ssize_t *moved)
{
	struct transfer transfer = {.kind = TRANSFER_SPLICE, .fd = in, .pipe = out, .splice_flags = flags};
	__attribute__((cleanup(let_go))) struct outgoing seen = {0};

	if (length > OUTGOING_MAX)
		length = OUTGOING_MAX;
	if (!length || !outgoing_reserve(&seen, length))
		return false;
	transfer.single = (struct iovec){seen.bytes, length};
	*moved = exchange_receive(&transfer);
	return true;
}

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags)
{
	int fd = fdtable_get(out) ? out : in;
	struct inside_token token;
	struct sock *sock;
	uint64_t skippable;
	ssize_t moved;

	if (fdtable_get(fd))
		pthread_testcancel();
	sock = fdtable_get(fd) ? enter_unseen(fd) : NULL;
	if (!sock)
		return fdtable_is_internal(fd)	    ? errno = EBADF,
						 -1 : REAL(splice)(in, in_offset, out, out_offset, length, flags);
	skippable = framing_skippable_response(&sock->framing);
	if (fd == in && sock->state == SOCK_OPEN && !skippable && is_into_pipe(in_offset, out, out_offset, flags)) {
		sock_leave(sock);
		if (splice_looked_at(in, out, length, flags, &moved))
			return moved;
		sock = enter_unseen(fd);
		if (!sock)
			return REAL(splice)(in, in_offset, out, out_offset, length, flags);
	}
	/* Not past the end of the message, where the kernel would wait for a server that stays. */
	if (fd == in && sock->framing.edited && skippable && length > skippable)
		length = skippable;
	token = sock_go_inside(sock);
	sock_leave(sock);
	return end_unseen(token, fd, fd == out, REAL(splice)(in, in_offset, out, out_offset, length, flags));
}
