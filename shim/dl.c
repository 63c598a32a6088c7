/* dlopen, and the system calls that some libraries make by number. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/export.h"
#include "shim/fdtable.h"
#include "shim/guard.h"
#include "shim/real.h"
#include "shim/sock.h"

/*
 * RTLD_DEEPBIND makes a library prefer its own dependencies' symbols, libc's read() before ours. The flag is dropped.
 * glibc takes the return address for the caller, whose RUNPATH and namespace count: so this must be a tail jump, which
 * the optimiser makes of it.
 */
EXPORT void *dlopen(const char *path, int flags)
{
	return REAL(dlopen)(path, flags & ~RTLD_DEEPBIND);
}

/* Calls on a tracked descriptor, by their wrappers. True if there is one; `*result` is its. */
static bool call_wrapper(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_close:
		*result = close((int)a[0]);
		return true;
	case SYS_read:
		*result = read((int)a[0], (void *)a[1], (size_t)a[2]);
		return true;
	case SYS_write:
		*result = write((int)a[0], (void *)a[1], (size_t)a[2]);
		return true;
	case SYS_recvfrom:
		*result = recvfrom((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (void *)a[5]);
		return true;
	case SYS_sendto:
		*result = sendto((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (socklen_t)a[5]);
		return true;
	case SYS_dup:
		*result = dup((int)a[0]);
		return true;
	case SYS_fcntl:
		*result = fcntl((int)a[0], (int)a[1], (void *)a[2]);
		return true;
	default:
		return false;
	}
}

/* The same for calls whose descriptors of interest come second, too. */
static bool call_wrapper_of_two(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_dup3:
		*result = dup3((int)a[0], (int)a[1], (int)a[2]);
		return true;
#ifdef SYS_dup2
	case SYS_dup2:
		*result = dup2((int)a[0], (int)a[1]);
		return true;
#endif
	case SYS_epoll_ctl:
		*result = epoll_ctl((int)a[0], (int)a[1], (int)a[2], (void *)a[3]);
		return true;
	case SYS_close_range:
		*result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		return true;
	default:
		return false;
	}
}

static void note_number(long number, const long a[6])
{
	if (number == SYS_vfork || number == SYS_clone || number == SYS_clone3)
		guard_distrust_memory();
	if ((number == SYS_seccomp || (number == SYS_prctl && a[0] == PR_SET_SECCOMP)) && guard_is_home())
		sock_retire_all();
}

/* Everything that is none of our business passes through with all six registers. */
EXPORT long syscall(long number, ...)
{
	long argument[6], result;
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	if (fdtable_get((int)argument[0]) && call_wrapper(number, argument, &result))
		return result;
	if (sock_n_tracked && call_wrapper_of_two(number, argument, &result))
		return result;
	note_number(number, argument);
	return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}
