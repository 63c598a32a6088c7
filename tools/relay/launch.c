/* See launch.h. */
#include "tools/relay/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "tools/relay/filter.h"
#include "tools/relay/handshake.h"
#include "tools/relay/watchdog.h"

#define HANDSHAKE_MS 3000

static const struct pool_sys sys = {.sendmsg = sendmsg, .recvmsg = recvmsg};

/* The relay keeps nothing of the caller's: a pipe that it held open would keep a `$(...)` waiting. */
static void become_relay(int run, const char *program)
{
	struct sigaction default_action = {.sa_handler = SIG_DFL};
	int null;
	sigset_t none;

	run = fcntl(run, F_DUPFD, HANDSHAKE_FD + 1);
	null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, HANDSHAKE_FD + 1);
	if (run < 0 || null < 0)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	dup2(run, HANDSHAKE_FD);
	close_range(HANDSHAKE_FD + 1, ~0u, 0);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		sigaction(signal_number, &default_action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unsetenv("LD_PRELOAD");
	if (chdir("/") == 0)
		execl("/proc/self/exe", "holdline", "relay", program, NULL);
	_exit(127);
}

/* A grandchild, so that the program that we become never finds the relay among its children. */
static int start_process(int run, const char *program)
{
	pid_t middle = fork();

	if (middle == 0) {
		setsid();
		if (fork() == 0)
			become_relay(run, program);
		_exit(0);
	}
	if (middle < 0)
		return -errno;
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* The relay's next word. 0, or -errno: its error, or that it said nothing. */
static int hear(int relay, enum handshake_kind kind, struct handshake *packet)
{
	struct pollfd entry = {.fd = relay, .events = POLLIN};
	unsigned n_passed;
	ssize_t length;
	int passed, n;

	while ((n = poll(&entry, 1, HANDSHAKE_MS)) < 0 && errno == EINTR)
		;
	if (n <= 0)
		return -ETIMEDOUT;
	length = fdpass_receive(&sys, relay, packet, sizeof(*packet), &passed, &n_passed);
	if (passed >= 0)
		close(passed);
	if (length != sizeof(*packet) || packet->kind != kind)
		return -EPROTO;
	return -packet->error;
}

static int say(int relay, enum handshake_kind kind, int fd, int passed)
{
	static const volatile uint64_t trial = UINT64_C(0x686f6c646c696e65);
	struct handshake packet = {.kind = kind, .pid = getpid(), .fd = fd};

	packet.address = (uint64_t)(uintptr_t)&trial;
	packet.value = trial;
	return fdpass_send(&sys, relay, &packet, sizeof(packet), passed);
}

/* Until here nothing has changed for the program. 0 or -errno with *step. */
static int find_out(int relay, const char **step)
{
	static struct handshake packet;
	int error;

	*step = "holdline relay";
	error = hear(relay, HANDSHAKE_HERE, &packet);
	if (error)
		return error;
	/* Where only ancestors may look at a process (Yama's ptrace_scope). Children of it are not included. */
	prctl(PR_SET_PTRACER, packet.pid, 0, 0, 0);
	error = say(relay, HANDSHAKE_TRY, relay, -1);
	if (!error)
		error = hear(relay, HANDSHAKE_READY, &packet);
	if (error && packet.kind == HANDSHAKE_READY)
		*step = packet.step;
	return error;
}

/* The filter can't be taken back: somebody has to answer. It is us, before we become the program. */
static void answer_ourselves(int listener)
{
	pid_t middle = fork();

	if (middle == 0) {
		setsid();
		if (fork() == 0)
			watchdog_run(-1, listener);
		_exit(0);
	}
	while (middle > 0 && waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
}

static int install(int relay, const char **step)
{
	struct handshake packet = {0};
	int listener, error;

	*step = "seccomp";
	listener = relay_filter_install();
	if (listener == -EACCES) {
		*step = "no_new_privs";
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			return -errno;
		*step = "seccomp";
		listener = relay_filter_install();
	}
	if (listener < 0)
		return listener;
	error = say(relay, HANDSHAKE_LISTENER, -1, listener);
	if (!error)
		error = hear(relay, HANDSHAKE_WATCHING, &packet);
	if (error)
		answer_ourselves(listener);
	close(listener);
	return error;
}

int relay_launch(const char *program, const char **step)
{
	int pair[2], error;

	*step = "socketpair";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*step = "fork";
	error = start_process(pair[1], program);
	close(pair[1]);
	if (!error)
		error = find_out(pair[0], step);
	if (!error)
		error = install(pair[0], step);
	close(pair[0]);
	return error;
}
