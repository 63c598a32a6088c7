/* See watchdog.h. */
#include "tools/relay/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "tools/relay/notice.h"

static void wait_for(pid_t relay)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(relay, &status, WUNTRACED)) == relay || (pid < 0 && errno == EINTR)) {
		if (pid == relay && WIFSTOPPED(status))
			kill(relay, SIGCONT);
		else if (pid == relay)
			break;
	}
}

static bool let_one_pass(int listener)
{
	struct pollfd entry = {.fd = listener, .events = POLLIN};
	struct seccomp_notif notice;

	if (poll(&entry, 1, -1) < 0)
		return errno == EINTR;
	if (entry.revents & POLLIN && notice_take(&notice))
		notice_let_pass(notice.id);
	return !(entry.revents & (POLLHUP | POLLERR | POLLNVAL));
}

void watchdog_run(pid_t relay, int listener)
{
	if (relay > 0)
		wait_for(relay);
	if (listener < 0 || notice_begin(listener) < 0)
		return;
	notice_let_taken_pass();
	while (let_one_pass(listener))
		;
}
