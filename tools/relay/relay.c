/*
 * holdline relay: not for people. `holdline run` starts it, for a program that no library can enter. This process
 * becomes the watchdog, and its child the relay.
 */
#include "tools/commands.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "tools/base/detach.h"
#include "tools/relay/notice.h"
#include "tools/relay/serve.h"
#include "tools/relay/watchdog.h"

/* The relay tells its watchdog on which descriptor programs are heard of. -1: it has ended without. */
static int hear_of_listener(int relay)
{
	static const struct pool_sys sys = {.recvmsg = recvmsg};
	unsigned n_passed;
	char byte;
	int listener = -1;

	/* fdpass_receive() does not wait. */
	if (recv(relay, &byte, 1, MSG_PEEK) <= 0 || fdpass_receive(&sys, relay, &byte, 1, &listener, &n_passed) != 1)
		return -1;
	return listener;
}

int command_relay(int argc, char **argv)
{
	int pair[2];
	pid_t relay;

	if (argc != 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		fputs("holdline relay: `holdline run` starts it\n", stderr);
		return EXIT_USAGE;
	}
	prctl(PR_SET_NAME, "holdline-relay");
	/* Without it a call that is under way when the relay dies never ends. */
	(void)!notice_share();
	relay = fork();
	if (relay == 0) {
		close(pair[0]);
		relay_serve(DETACH_FD, pair[1], argv[1]);
		return 0;
	}
	close(pair[1]);
	close(DETACH_FD);
	watchdog_run(relay, hear_of_listener(pair[0]));
	return 0;
}
