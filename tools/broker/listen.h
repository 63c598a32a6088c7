/* The broker's listening socket: made here or passed by a service manager; and the message that it is ready. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

struct broker_listen {
	int fd;
	int lock; /* held while a broker listens; -1: the service manager owns the socket */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Listens at `path`, alone: -EADDRINUSE if another broker does, or another -errno. */
int broker_listen_begin(struct broker_listen *place, const char *path) __attribute__((warn_unused_result));

/* Tells the starter that we are ready: the service manager, or (detached) broker_start(). */
void broker_listen_tell_ready(bool is_detached);

/* Removes the socket, so that the next `holdline run` starts another broker. */
void broker_listen_end(struct broker_listen *place);
