/* dup, dup2, dup3, fcntl: further numbers for a socket, and numbers that are taken over. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/exchange/close.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/wrap/wrap.h"

/* `to` has become another number of `from`. In a vfork child it is the child's only, which may then hand it on. */
static int note_alias(int from, int to, bool close_on_exec)
{
	struct sock *sock;
	int saved = errno;

	if (to < 0)
		return to;
	if (!guard_is_home()) {
		sock_share_with_vfork_child(from);
		return to;
	}
	sock = exchange_enter(from);
	if (sock) {
		sock_add_fd(sock, to, close_on_exec);
		/* The standard streams write inside the C library, where no wrapper sees it (bash's printf >&3). */
		if (to <= STDERR_FILENO && !sock->has_sent)
			handoff_make_honest(sock);
		sock_leave(sock);
	}
	errno = saved;
	return to;
}

/* Where there is no room above the soft limit, our descriptors are among the program's; it comes first. */
static bool is_out_of_numbers(int result)
{
	return result < 0 && errno == EMFILE && guard_is_home() && reclaim_idle();
}

EXPORT int dup(int fd)
{
	int result;

	if (fdtable_is_internal(fd))
		return FAIL(EBADF);
	eof_make();
	result = REAL(dup)(fd);
	if (is_out_of_numbers(result))
		result = REAL(dup)(fd);
	return fdtable_get(fd) ? note_alias(fd, result, false) : result;
}

/* The kernel closes `to` in the same instant; what close() would have had to do happens before. */
static bool prepare_target(int from, int to)
{
	eof_make();
	if (from == to || !fdtable_get(to))
		return true;
	if (REAL(fcntl)(from, F_GETFD) < 0)
		return false;
	reclaim_number(to);
	close_begin(to);
	return true;
}

/* As often as another thread takes the number for us in between. */
#define TRIES 100

/* No number of ours is at `to` when the kernel is asked. */
static int take_over(int from, int to, int flags)
{
	bool is_held = fdtable_hold_number(to);
	int result;

	for (int i = 0; i < TRIES && is_held && fdtable_is_internal(to); i++) {
		fdtable_release_number();
		reclaim_number(to);
		is_held = fdtable_hold_number(to);
	}
	result = flags < 0 ? REAL(dup2)(from, to) : REAL(dup3)(from, to, flags);
	if (is_held)
		fdtable_release_number();
	return result;
}

EXPORT int dup2(int from, int to)
{
	if (fdtable_is_internal(from))
		return FAIL(EBADF);
	if (from == to || !prepare_target(from, to))
		return REAL(dup2)(from, to);
	return fdtable_get(from) ? note_alias(from, take_over(from, to, -1), false) : take_over(from, to, -1);
}

EXPORT int dup3(int from, int to, int flags)
{
	if (fdtable_is_internal(from))
		return FAIL(EBADF);
	if (from == to || (flags & ~O_CLOEXEC) || !prepare_target(from, to))
		return REAL(dup3)(from, to, flags);
	return fdtable_get(from) ? note_alias(from, take_over(from, to, flags), flags & O_CLOEXEC)
				 : take_over(from, to, flags);
}

#define SETTABLE_FLAGS (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)

/* Signals for readiness can't be moved from one socket to another. */
static bool is_about_signals(int command, int argument)
{
	return command == F_SETOWN || command == F_SETOWN_EX || command == F_SETSIG ||
	       (command == F_SETFL && (argument & O_ASYNC));
}

static void note_command(int fd, int command, long argument)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return;
	if (command == F_SETFL)
		sock->status_flags = sock->file_flags =
			(sock->status_flags & ~SETTABLE_FLAGS) | ((int)argument & SETTABLE_FLAGS);
	if (command == F_SETFD)
		sock_note_close_on_exec(sock, fd, argument & FD_CLOEXEC ? SOCK_CLOSES_ON_EXEC : SOCK_STAYS_OPEN);
	if (is_about_signals(command, sock->status_flags)) {
		spare_drop(sock);
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	}
	sock_leave(sock);
}

static bool is_noteworthy(int command)
{
	return command == F_SETFL || command == F_SETFD || command == F_SETOWN || command == F_SETOWN_EX ||
	       command == F_SETSIG;
}

static bool is_answered(int fd, int command, int argument, int *result)
{
	struct sock *sock = exchange_enter(fd);
	bool answered = sock && spare_answer(sock, command, argument, result);

	if (sock)
		sock_leave(sock);
	else
		sock_share_with_vfork_child(fd);
	return answered;
}

static int control(int (*next)(int, int, ...), int fd, int command, void *argument)
{
	int result;

	if (fdtable_is_internal(fd))
		return FAIL(EBADF);
	/* Flags are asked of this socket only, as event loops do of each new one. */
	if (fdtable_get(fd) && command != F_GETFL && command != F_SETFL)
		eof_make();
	else if (fdtable_get(fd) && is_answered(fd, command, (int)(long)argument, &result))
		return result;
	result = next(fd, command, argument);
	/* Any file would refuse the commands that a placeholder refuses; all others are for the socket. */
	if (result >= 0 && fdtable_get(fd) && is_about_signals(command, (int)(long)argument) && handoff_waiting_one(fd))
		result = next(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
		if (is_out_of_numbers(result))
			result = next(fd, command, argument);
		return fdtable_get(fd) ? note_alias(fd, result, command == F_DUPFD_CLOEXEC) : result;
	}
	if (__builtin_expect(!fdtable_get(fd), 1))
		return result;
	if (result >= 0 && is_noteworthy(command))
		note_command(fd, command, (long)argument);
	return result;
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(REAL(fcntl), fd, command, argument);
}

int fcntl64(int fd, int command, ...);
EXPORT int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(REAL(fcntl64), fd, command, argument);
}
