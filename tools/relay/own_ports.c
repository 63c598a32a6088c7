/* See own_ports.h. */
#include "tools/relay/own_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/relay/made_sockets.h"
#include "tools/relay/notice.h"
#include "tools/relay/target.h"

/* The newest so many. */
#define LISTENERS_MAX 1024
/* A call of another thread that was let pass may not have come to its socket yet. */
#define LOOKS_MAX 8

#define STATE_LISTEN 0x0a /* linux/tcp_states.h */

/* One that listens, or will at once: its port is asked for when the program connects. A listener that was closed stays:
 * another may follow. */
static struct listener {
	pid_t process;
	ino_t inode;	/* of its socket, as long as the port is not known */
	in_port_t port; /* network order; 0: not known */
	unsigned n_looks;
} listeners[LISTENERS_MAX];
static unsigned n_listeners;
static bool has_unknown;

void own_ports_take_listen(const struct seccomp_notif *notice)
{
	pid_t thread = (pid_t)notice->pid;
	struct listener new = {.process = target_process(thread),
			       .inode = made_sockets_inode(thread, (int)notice->data.args[0])};

	if (new.process > 0 && new.inode && notice_is_valid(notice->id)) {
		listeners[n_listeners++ % LISTENERS_MAX] = new;
		has_unknown = true;
	}
	notice_let_pass(notice->id);
}

static unsigned n_kept(void)
{
	return n_listeners < LISTENERS_MAX ? n_listeners : LISTENERS_MAX;
}

static void learn_port(ino_t inode, unsigned port)
{
	for (unsigned i = 0; i < n_kept(); i++)
		if (listeners[i].inode == inode)
			listeners[i].port = htons((uint16_t)port);
}

/* Those that listen come first (proc(5)). A program in another network namespace is none of ours. */
static void read_table(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		return;
	(void)!fgets(line, sizeof(line), file);
	while (fgets(line, sizeof(line), file)) {
		unsigned port, state;
		unsigned long inode;

		if (sscanf(line, "%*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*d %lu", &port, &state,
			   &inode) != 3 ||
		    state != STATE_LISTEN)
			break;
		learn_port(inode, port);
	}
	fclose(file);
}

/* Asks for the ports that are not known. Those of a call that has failed are forgotten. */
static void look(void)
{
	read_table("/proc/self/net/tcp");
	read_table("/proc/self/net/tcp6");
	has_unknown = false;
	for (unsigned i = 0; i < n_kept(); i++) {
		struct listener *listener = &listeners[i];

		if (listener->port || ++listener->n_looks >= LOOKS_MAX)
			listener->inode = 0;
		has_unknown |= listener->inode != 0;
	}
}

/* An address of another machine: to no such can be bound (bind(2)). Without a look it may be this one's. */
static bool is_elsewhere(const struct destination_key *key)
{
	struct sockaddr_in6 peer;
	socklen_t length = destination_key_peer(key, &peer);
	int fd = socket(peer.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_elsewhere;

	peer.sin6_port = 0;
	is_elsewhere = fd >= 0 && bind(fd, (struct sockaddr *)&peer, length) < 0 && errno == EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return is_elsewhere;
}

bool own_ports_has(pid_t thread, const struct destination_key *key)
{
	pid_t process = 0;

	if (has_unknown)
		look();
	for (unsigned i = 0; i < n_kept(); i++) {
		if (listeners[i].port != key->port)
			continue;
		process = process ? process : target_process(thread);
		if (listeners[i].process == process)
			return !is_elsewhere(key);
	}
	return false;
}
