/* See launch.h. */
#include "tools/relay/launch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/base/detach.h"
#include "tools/relay/filter.h"
#include "tools/relay/handshake.h"
#include "tools/relay/watchdog.h"

/* A word without a descriptor. */
static int hear(int relay, enum handshake_kind kind, struct handshake *packet)
{
	int passed, error = handshake_hear(relay, kind, packet, &passed);

	if (passed >= 0)
		close(passed);
	return error;
}

/* Lets the relay try whether it may look at us. */
static int let_try(int relay)
{
	static const volatile uint64_t trial = UINT64_C(0x686f6c646c696e65);
	struct handshake packet = {.fd = relay, .address = (uint64_t)(uintptr_t)&trial, .value = trial};

	return handshake_say(relay, HANDSHAKE_TRY, &packet, -1);
}

/* Until here nothing has changed for the program. *makes_sockets: so the relay wants it. 0 or -errno with *step. */
static int find_out(int relay, bool *makes_sockets, const char **step)
{
	static struct handshake packet;
	int error;

	*step = "holdline relay";
	error = hear(relay, HANDSHAKE_HERE, &packet);
	if (error)
		return error;
	/* Where only ancestors may look at a process (Yama's ptrace_scope). Children of it are not included. */
	prctl(PR_SET_PTRACER, packet.pid, 0, 0, 0);
	error = let_try(relay);
	if (!error)
		error = hear(relay, HANDSHAKE_READY, &packet);
	if (error && packet.kind == HANDSHAKE_READY)
		*step = packet.step;
	*makes_sockets = packet.value == 1;
	return error;
}

static void let_all_pass(int listener)
{
	watchdog_run(-1, listener);
}

static int install(int relay, bool makes_sockets, const char **step)
{
	struct handshake packet = {0};
	int listener, error;

	*step = "seccomp";
	listener = relay_filter_install(makes_sockets);
	if (listener == -EACCES) {
		*step = "no_new_privs";
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			return -errno;
		*step = "seccomp";
		listener = relay_filter_install(makes_sockets);
	}
	if (listener < 0)
		return listener;
	error = handshake_say(relay, HANDSHAKE_LISTENER, &packet, listener);
	if (!error)
		error = hear(relay, HANDSHAKE_WATCHING, &packet);
	/* The filter can't be taken back: somebody has to answer. */
	if (error)
		detach_call(let_all_pass, listener);
	close(listener);
	return error;
}

int relay_launch(const char *program, const char **step)
{
	bool makes_sockets = false;
	int pair[2], error;

	*step = "socketpair";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*step = "fork";
	error = detach_start(pair[1], (const char *const[]){"relay", program, NULL});
	close(pair[1]);
	if (!error)
		error = find_out(pair[0], &makes_sockets, step);
	if (!error)
		error = install(pair[0], makes_sockets, step);
	close(pair[0]);
	return error;
}
