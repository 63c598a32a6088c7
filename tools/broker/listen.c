/* See listen.h. sd_listen_fds(3) and sd_notify(3) are a variable and a datagram: no need for their library. */
#include "tools/broker/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "tools/broker/path.h"
#include "tools/broker/sandbox.h"

#define FIRST_PASSED_FD 3
#define BACKLOG 128
#define READY_FD 3
/* A broker that is ending has removed its socket, but holds its lock for a moment longer. */
#define LOCK_TRIES 100
#define LOCK_WAIT_NS (10 * MILLISECOND_NS)

static bool is_listening_here(int fd)
{
	int value = 0;
	socklen_t length = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length) < 0 || value != AF_UNIX)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) < 0 || value != SOCK_SEQPACKET)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}

/* The socket on which a service manager listens already; -1: none. */
static int take_passed(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

	if (!pid || !n || atol(pid) != (long)getpid() || atoi(n) < 1 || !is_listening_here(FIRST_PASSED_FD))
		return -1;
	fcntl(FIRST_PASSED_FD, F_SETFD, FD_CLOEXEC);
	fcntl(FIRST_PASSED_FD, F_SETFL, O_NONBLOCK);
	return FIRST_PASSED_FD;
}

static int take_lock(const char *path)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		struct timespec wait = {0, LOCK_WAIT_NS};
		int other = broker_path_connect(path);

		if (other >= 0 || i == LOCK_TRIES - 1) {
			if (other >= 0)
				close(other);
			close(fd);
			return -EADDRINUSE;
		}
		nanosleep(&wait, NULL);
	}
	return fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(077);
	int error = fd < 0 ? -errno : broker_path_address(path, &address);

	/* The socket's former owner has ended: we have the lock. */
	if (!error && unlink(path) < 0 && errno != ENOENT)
		error = -errno;
	if (!error && (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0))
		error = -errno;
	umask(mask);
	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

int broker_listen_begin(struct broker_listen *place, const char *path)
{
	place->lock = -1;
	place->fd = take_passed();
	if (place->fd >= 0)
		return 0;
	if (strlen(path) >= sizeof(place->path))
		return -ENAMETOOLONG;
	strcpy(place->path, path);
	place->lock = take_lock(path);
	if (place->lock < 0)
		return place->lock;
	place->fd = listen_at(path);
	return place->fd < 0 ? place->fd : 0;
}

static void notify_manager(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = name ? strlen(name) : 0;
	int fd;

	if (!length || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, name, length);
	/* A name in the abstract namespace (unix(7)). */
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

void broker_listen_tell_ready(bool is_detached)
{
	if (is_detached)
		close(READY_FD);
	else
		notify_manager();
}

void broker_listen_end(struct broker_listen *place)
{
	/* Remove the socket only if it is ours. */
	broker_sandbox_remove();
	if (place->lock < 0)
		return;
	close(place->fd);
	close(place->lock);
}
