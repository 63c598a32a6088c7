/* sendfile and splice: bytes that the kernel moves past us. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/limit.h"
#include "shim/connect/redial.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/after_eof.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/park.h"
#include "shim/base/blocks.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* The other end of a call that moves bytes unseen. */
struct other_end {
	int fd;
	const void *offset; /* NULL: none was given */
	const void *own_offset;
	bool is_pipe;
	unsigned flags;
};

/* The kernel would refuse the call whatever the socket is. (What it would take is not told before.) */
static bool is_refused(const struct other_end *other)
{
	int saved = errno, flags = REAL(fcntl)(other->fd, F_GETFL);
	bool is_refused = flags < 0 || (flags & O_ACCMODE) == O_WRONLY || (other->flags & ~SPLICE_FLAGS) ||
			  other->own_offset || (other->offset && !guard_readable(other->offset, sizeof(off_t)));

	if (other->is_pipe)
		is_refused |= other->offset || REAL(fcntl)(other->fd, F_GETPIPE_SZ) < 0;
	errno = saved;
	return is_refused;
}

/* The kernel will move bytes that we can't look at. A leased connection of which nothing was used yet is not risked.
 * A stub takes them like the connection that it stands for: see end_unseen(). False: it is not its turn, as errno
 * says. Else *entered is the socket, NULL if the call goes on natively. */
static bool enter_unseen(int fd, int timeout_option, const struct other_end *other, struct sock **entered)
{
	struct sock *sock;

	*entered = NULL;
	/* Whether that blocks is the socket's own business, whatever the call's flags say of the pipe. */
	if (!exchange_enter_in_turn(fd, timeout_option, &sock))
		return false;
	if (!sock)
		return true;
	if (sock->state == SOCK_OPEN && sock->is_leased && !sock->has_sent && !is_refused(other) &&
	    redial(sock, REDIAL_FOR_UNFIT, -1) == 0 && !sock->conn) {
		sock_leave(sock);
		return true;
	}
	if (sock->state != SOCK_OPEN && sock->state != SOCK_STUB) {
		sock_leave(sock);
		return true;
	}
	*entered = sock;
	return true;
}

static ssize_t end_unseen(struct inside_token token, int fd, bool is_request, ssize_t moved)
{
	int saved = errno;
	struct sock *sock;

	sock_come_out(token);
	sock = exchange_return(token, fd);

	if (sock && moved > 0 && is_request && sock->state == SOCK_STUB)
		after_eof_send(sock, (size_t)moved);
	else if (sock && moved > 0 && sock->state == SOCK_OPEN)
		exchange_account_unseen(sock, is_request, (size_t)moved);
	else if (sock && !is_request && moved == 0 && sock->is_lost && sock->state == SOCK_OPEN)
		finish_lost(sock);
	if (sock)
		sock_leave(sock);
	errno = saved;
	return moved;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t length)
{
	const struct other_end from = {.fd = in, .offset = offset};
	struct inside_token token;
	struct sock *sock = NULL;

	if (fdtable_get(out) && length && !enter_unseen(out, SOCKET_OPTION_SNDTIMEO, &from, &sock))
		return -1;
	if (!sock)
		return NATIVE(out, REAL(sendfile)(out, in, offset, length));
	token = sock_go_inside(sock);
	sock_leave(sock);
	return end_unseen(token, out, true, REAL(sendfile)(out, in, offset, length));
}

/* Where the kernel itself would say no before it waits. */
static bool is_into_pipe(const off_t *in_offset, int out, const off_t *out_offset, unsigned flags)
{
	int saved = errno;
	bool is_pipe = !in_offset && !out_offset && !(flags & ~SPLICE_FLAGS) && REAL(fcntl)(out, F_GETPIPE_SZ) >= 0 &&
		       (REAL(fcntl)(out, F_GETFL) & O_ACCMODE) != O_RDONLY;

	errno = saved;
	return is_pipe;
}

static void let_go(void *seen)
{
	blocks_put(seen);
}

/* The bytes that tell where the answer ends are looked at before they are moved. Consumes the lock. */
static ssize_t splice_looked_at(struct sock *sock, int in, int out, size_t length, unsigned flags, struct block *seen)
{
	bool pipe_refused = false;
	struct transfer transfer = {.kind = TRANSFER_SPLICE,
				    .fd = in,
				    .pipe = out,
				    .splice_flags = flags,
				    .pipe_refused = &pipe_refused,
				    .single = {seen->bytes, length}};

	sock_leave(sock);
	return exchange_receive(&transfer);
}

/* Likewise. The thread may be cancelled in it. */
static ssize_t splice_and_let_go(struct sock *sock, int in, int out, size_t length, unsigned flags, struct block *seen)
{
	ssize_t result;

	pthread_cleanup_push(let_go, seen);
	result = splice_looked_at(sock, in, out, length, flags, seen);
	pthread_cleanup_pop(true);
	return result;
}

/* Consumes the lock. */
static ssize_t splice_unseen(struct sock *sock, int in, off_t *in_offset, int out, off_t *out_offset, size_t length,
			     unsigned flags)
{
	bool is_request = fdtable_get(out) == sock;
	struct protocol_status status = protocol_status(&sock->protocol);
	struct inside_token token = sock_go_inside(sock);

	/* Not past the end of the message, where the kernel would wait for a server that stays. */
	if (!is_request && protocol_withholds_end(&sock->protocol) && status.skippable_answer &&
	    length > status.skippable_answer)
		length = status.skippable_answer;
	sock_leave(sock);
	return end_unseen(token, is_request ? out : in, is_request,
			  REAL(splice)(in, in_offset, out, out_offset, length, flags));
}

/* musl's is no cancellation point, glibc's is one. */
static void begin_splice(int *cancel_state)
{
#ifdef __GLIBC__
	(void)cancel_state;
	pthread_testcancel();
#else
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
#endif
}

static void end_splice(int cancel_state)
{
#ifdef __GLIBC__
	(void)cancel_state;
#else
	pthread_setcancelstate(cancel_state, NULL);
#endif
}

static ssize_t splice_tracked(int in, off_t *in_offset, int out, off_t *out_offset, size_t length, unsigned flags)
{
	bool is_request = fdtable_get(out);
	int option = is_request ? SOCKET_OPTION_SNDTIMEO : SOCKET_OPTION_RCVTIMEO;
	size_t looked = length < BLOCK_MAX ? length : BLOCK_MAX;
	struct block seen = {0};
	const struct other_end from = {in, in_offset, out_offset, true, flags},
			       into = {out, out_offset, in_offset, true, flags};
	struct sock *sock = NULL;

	if (length && !enter_unseen(is_request ? out : in, option, is_request ? &from : &into, &sock))
		return -1;
	if (!sock)
		return REAL(splice)(in, in_offset, out, out_offset, length, flags);
	if (!is_request && sock->state == SOCK_OPEN && !protocol_status(&sock->protocol).skippable_answer &&
	    is_into_pipe(in_offset, out, out_offset, flags) && blocks_grow(&seen, 0, looked)) {
		return splice_and_let_go(sock, in, out, looked, flags, &seen);
	}
	return splice_unseen(sock, in, in_offset, out, out_offset, length, flags);
}

EXPORT ssize_t splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t length, unsigned flags)
{
	int cancel_state = 0;
	ssize_t result;

	if (fdtable_is_internal(in) || fdtable_is_internal(out))
		return FAIL(EBADF);
	if (!fdtable_get(in) && !fdtable_get(out))
		return REAL(splice)(in, in_offset, out, out_offset, length, flags);
	begin_splice(&cancel_state);
	result = splice_tracked(in, in_offset, out, out_offset, length, flags);
	end_splice(cancel_state);
	return result;
}
