/* See reach.h. */
#include "shim/kept/reach.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "pool/share/board.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"

enum reach { REACH_UNKNOWN, REACH_GRANTED, REACH_NONE };
static _Atomic(int) reach;

void reach_leave_alone(void)
{
	reach = REACH_NONE;
}

/* A filter that was there before the program is found here, one of its own is told to us. */
bool reach_is_granted(void)
{
	if (reach == REACH_UNKNOWN) {
		int saved = errno;
		bool is_filtered = libc.syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_DISABLED;

		reach = is_filtered ? REACH_NONE : REACH_GRANTED;
		errno = saved;
	}
	return reach == REACH_GRANTED;
}

/* The broker may have closed it meanwhile, or this process have no room: that says nothing of the next one. */
static int check(int fd)
{
	if (fd < 0 && errno != EBADF && errno != EMFILE && errno != ENFILE)
		reach = REACH_NONE;
	return fd;
}

int reach_broker(const struct broker_board *board)
{
	return check((int)libc.syscall(SYS_pidfd_open, (pid_t)board->pid, 0));
}

int reach_duplicate(int broker, int number)
{
	return check((int)libc.syscall(SYS_pidfd_getfd, broker, number, 0));
}

void reach_ring(const struct broker_board *board)
{
	int saved = errno, broker = board && reach_is_granted() ? reach_broker(board) : -1;
	int bell = broker >= 0 ? reach_duplicate(broker, board->bell) : -1;

	if (bell >= 0 && cookie_of(bell) == board->bell_cookie)
		(void)!real.send(bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (bell >= 0)
		real.close(bell);
	if (broker >= 0)
		real.close(broker);
	errno = saved;
}
