/* syscall: the system calls that some libraries and programs make by number. Those on a tracked descriptor go to the
 * wrapper of the same name, so that there is one truth about it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/libcs.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"
#include "shim/process/fork.h"
#include "shim/process/init.h"
#include "shim/sock/identity.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* Each of these is true if there is a wrapper; `*result` is its. */

static bool receive(long number, const long a[6], long *result)
{
	int fd = (int)a[0];

	switch (number) {
	case SYS_read:
		*result = read(fd, (void *)a[1], (size_t)a[2]);
		return true;
	case SYS_readv:
		*result = readv(fd, (void *)a[1], (int)a[2]);
		return true;
	case SYS_preadv2:
		*result = preadv2(fd, (void *)a[1], (int)a[2], a[3], (int)a[5]);
		return true;
	case SYS_recvfrom:
		*result = recvfrom(fd, (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (void *)a[5]);
		return true;
	case SYS_recvmsg:
		*result = recvmsg(fd, (void *)a[1], (int)a[2]);
		return true;
	case SYS_recvmmsg:
		*result = recvmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3], (void *)a[4]);
		return true;
	default:
		return false;
	}
}

static bool transmit(long number, const long a[6], long *result)
{
	int fd = (int)a[0];

	switch (number) {
	case SYS_write:
		*result = write(fd, (void *)a[1], (size_t)a[2]);
		return true;
	case SYS_writev:
		*result = writev(fd, (void *)a[1], (int)a[2]);
		return true;
	case SYS_pwritev2:
		*result = pwritev2(fd, (void *)a[1], (int)a[2], a[3], (int)a[5]);
		return true;
	case SYS_sendto:
		*result = sendto(fd, (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (socklen_t)a[5]);
		return true;
	case SYS_sendmsg:
		*result = sendmsg(fd, (void *)a[1], (int)a[2]);
		return true;
	case SYS_sendmmsg:
		*result = sendmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3]);
		return true;
	case SYS_sendfile:
		*result = sendfile(fd, (int)a[1], (void *)a[2], (size_t)a[3]);
		return true;
	default:
		return false;
	}
}

static bool ask(long number, const long a[6], long *result)
{
	int fd = (int)a[0];

	switch (number) {
	case SYS_connect:
		*result = connect(fd, (void *)a[1], (socklen_t)a[2]);
		return true;
	case SYS_bind:
		*result = bind(fd, (void *)a[1], (socklen_t)a[2]);
		return true;
	case SYS_listen:
		*result = listen(fd, (int)a[1]);
		return true;
	case SYS_shutdown:
		*result = shutdown(fd, (int)a[1]);
		return true;
	case SYS_getpeername:
		*result = getpeername(fd, (void *)a[1], (void *)a[2]);
		return true;
	case SYS_getsockname:
		*result = getsockname(fd, (void *)a[1], (void *)a[2]);
		return true;
	case SYS_getsockopt:
		*result = getsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (void *)a[4]);
		return true;
	case SYS_setsockopt:
		*result = setsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (socklen_t)a[4]);
		return true;
	case SYS_ioctl:
		*result = ioctl(fd, (unsigned long)a[1], (void *)a[2]);
		return true;
	default:
		return false;
	}
}

static bool handle_descriptor(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_close:
		*result = close((int)a[0]);
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

/* The same for calls whose descriptors of interest come second, too, or that are about all of them. */
static bool call_anyway(long number, const long a[6], long *result)
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
	case SYS_splice:
		*result = splice((int)a[0], (void *)a[1], (int)a[2], (void *)a[3], (size_t)a[4], (unsigned)a[5]);
		return true;
	case SYS_close_range:
		*result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		return true;
	case SYS_sendmsg: /* of another socket, with descriptors in it */
	case SYS_sendmmsg:
		return transmit(number, a, result);
	case SYS_execve:
		*result = execve((void *)a[0], (void *)a[1], (void *)a[2]);
		return true;
	case SYS_execveat:
		*result = execveat((int)a[0], (void *)a[1], (void *)a[2], (void *)a[3], (int)a[4]);
		return true;
	default:
		return false;
	}
}

/* The user and the network of the sockets that come. */
static bool change_identity(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_setfsuid:
		*result = setfsuid((uid_t)a[0]);
		return true;
	case SYS_setns:
		*result = setns((int)a[0], (int)a[1]);
		return true;
	case SYS_unshare:
		*result = unshare((int)a[0]);
		return true;
	/* Not as the functions of their names, which are about all threads (setuid(2), "C library/kernel
	 * differences"). */
	case SYS_setuid:
	case SYS_setreuid:
	case SYS_setresuid:
		if (guard_is_home())
			identity_end_steadiness();
		return false;
	default:
		return false;
	}
}

/* The flags with which it makes a process or a thread; false if it doesn't. */
static bool is_clone(long number, const long a[6], unsigned long *flags)
{
	switch (number) {
#ifdef SYS_fork
	case SYS_fork:
		*flags = 0;
		return true;
#endif
#ifdef SYS_vfork
	case SYS_vfork:
		*flags = CLONE_VM;
		return true;
#endif
	case SYS_clone:
		*flags = (unsigned long)a[0];
		return true;
	case SYS_clone3:
		*flags = guard_readable((void *)a[0], sizeof(uint64_t)) ? *(const uint64_t *)a[0] : 0;
		return true;
	default:
		return false;
	}
}

/* The result is for fork_after_exec(). */
static int note_number(long number, const long a[6])
{
	switch (number) {
	case SYS_prctl:
		fork_before_seccomp(a[0] == PR_SET_SECCOMP ? (long)a[1] : 0, (const void *)a[2]);
		break;
	case SYS_seccomp: /* its first two operations are the modes, the others only ask */
		fork_before_seccomp((unsigned long)a[0] <= 1 ? (long)a[0] + 1 : 0, (const void *)a[2]);
		break;
	case SYS_execve: /* of a process that follows nothing just now */
	case SYS_execveat:
		return fork_before_exec();
	case SYS_exit_group:
		init_end_at_once();
		break;
	case SYS_pidfd_getfd: /* perhaps of this process, which can't be told */
		handoff_to_stranger((int)a[1]);
		break;
	}
	return -1;
}

/* Everything that is none of our business passes through with all six registers. */
EXPORT long syscall(long number, ...)
{
	unsigned long flags;
	long a[6], result;
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (init_is_off())
		return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	eof_make();
	if (fdtable_get((int)a[0]) && (receive(number, a, &result) || transmit(number, a, &result) ||
				       ask(number, a, &result) || handle_descriptor(number, a, &result)))
		return result;
	if (change_identity(number, a, &result))
		return result;
	/* That one is about all descriptors, and about what comes later, too. */
	if ((sock_n_tracked || number == SYS_close_range) && call_anyway(number, a, &result))
		return result;
	if (!is_clone(number, a, &flags)) {
		int begun = note_number(number, a);

		result = REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
		fork_after_exec(begun);
		if (number == SYS_io_uring_setup && result >= 0 && guard_is_home_to_be())
			sock_retire_all();
		return result;
	}
	fork_before_clone(flags);
	result = REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	fork_after_clone(flags, result == 0);
	return result;
}
