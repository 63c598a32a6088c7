/* The broker's listening socket: made, or taken from a service manager; and who is told of it. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

struct broker_listen {
	int fd;
	int lock; /* held while a broker is there; -1: the socket is not ours to remove */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Listens at `path`, alone: -EADDRINUSE if another broker does, or another -errno. */
int broker_listen_begin(struct broker_listen *place, const char *path) __attribute__((warn_unused_result));

/* Tells whoever started it: the service manager, or (detached) broker_start(). */
void broker_listen_tell_ready(bool is_detached);

/* Takes the socket away, so that the next `holdline run` starts another broker. */
void broker_listen_end(struct broker_listen *place);
