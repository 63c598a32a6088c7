/*
 * The socket options that a kept connection can take over from one user to the next: those whose effect can be undone
 * by setting them again (socket(7), tcp(7)). Any other option set before connect() belongs to the destination's key;
 * set afterwards it makes the connection unfit to be kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"

enum socket_option_index {
	SOCKET_OPTION_KEEPALIVE,
	SOCKET_OPTION_LINGER,
	SOCKET_OPTION_RCVTIMEO,
	SOCKET_OPTION_SNDTIMEO,
	SOCKET_OPTION_OOBINLINE,
	SOCKET_OPTION_RCVLOWAT,
	SOCKET_OPTION_NODELAY,
	SOCKET_OPTION_CORK,
	SOCKET_OPTION_KEEPIDLE,
	SOCKET_OPTION_KEEPINTVL,
	SOCKET_OPTION_KEEPCNT,
	SOCKET_OPTION_USER_TIMEOUT,
	SOCKET_OPTION_LINGER2,
	SOCKET_OPTION_TOS, /* where it was set on a connection: before, it may decide on the route to it */
	SOCKET_OPTION_COUNT
};

#define SOCKET_OPTION_SIZE 16

struct socket_options {
	uint32_t set; /* bit per index: differs from a fresh socket's */
	uint8_t value[SOCKET_OPTION_COUNT][SOCKET_OPTION_SIZE];
};

/* The index of an option that can be undone, or -1. */
int socket_options_index(int level, int name);

/* Remembers that an option was set; of a value that is longer than the option's the kernel takes the beginning, too.
 * 0, or -EINVAL for a shorter one (a form that we can't restore exactly). */
int socket_options_record(struct socket_options *options, int index, const void *value, socklen_t length)
	__attribute__((warn_unused_result));

/* Sets one option on fd unless `applied` says that it is so already. 0 or -errno. */
int socket_options_apply(const struct pool_sys *sys, int fd, struct socket_options *applied, int index,
			 const void *value) __attribute__((warn_unused_result));

/* Reads some of what a fresh socket has (bits by index), for later undoing: fd is one. 0 or -errno; the others stay
 * as they are. */
int socket_options_read(const struct pool_sys *sys, int fd, uint32_t asked, struct socket_options *defaults)
	__attribute__((warn_unused_result));

/* Turns a connection that has `applied` into one that has `wanted`, the rest as in `defaults`. System calls are made
 * only for differences. 0 or -errno (then `applied` is what it got to). */
int socket_options_switch(const struct pool_sys *sys, int fd, struct socket_options *applied,
			  const struct socket_options *wanted, const struct socket_options *defaults)
	__attribute__((warn_unused_result));

/* The value length that the kernel takes for an index. */
socklen_t socket_options_length(int index);
