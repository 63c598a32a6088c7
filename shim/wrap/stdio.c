/*
 * fdopen, fclose, dprintf: streams whose reading and writing happens inside the C library, where no wrapper sees it. A
 * socket that becomes one goes native.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "shim/base/real.h"
#include "shim/connect/limit.h"
#include "shim/exchange/close.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/handoff.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

EXPORT FILE *fdopen(int fd, const char *mode)
{
	FILE *stream;

	if (fdtable_is_internal(fd)) {
		errno = EBADF;
		return NULL;
	}
	stream = REAL(fdopen)(fd, mode);
	if (stream)
		handoff_to_stranger(fd);
	return stream;
}

EXPORT int fclose(FILE *stream)
{
	int fd = sock_n_tracked && stream ? fileno_unlocked(stream) : -1;

	if (fd >= 0 && fdtable_get(fd) && !fdtable_is_internal(fd))
		close_begin(fd);
	return REAL(fclose)(stream);
}

/* For a call that sends something, and comes back: where it is not the socket's turn yet, it waits or fails as a
 * send() does. */
static bool pass_in_turn(int fd)
{
	struct sock *sock = NULL;

	if (fdtable_get(fd) && !exchange_enter_in_turn(fd, SOCKET_OPTION_SNDTIMEO, &sock))
		return false;
	if (sock)
		sock_leave(sock);
	handoff_to_stranger(fd);
	return true;
}

EXPORT int vdprintf(int fd, const char *format, va_list arguments)
{
	return pass_in_turn(fd) ? REAL(vdprintf)(fd, format, arguments) : -1;
}

EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = vdprintf(fd, format, arguments);
	va_end(arguments);
	return result;
}

int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments);
EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments)
{
	return pass_in_turn(fd) ? REAL(__vdprintf_chk)(fd, flag, format, arguments) : -1;
}

int __dprintf_chk(int fd, int flag, const char *format, ...);
EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = __vdprintf_chk(fd, flag, format, arguments);
	va_end(arguments);
	return result;
}
