/* The talk between `holdline run` and the relay that it starts, over an AF_UNIX SOCK_SEQPACKET socket. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum handshake_kind {
	HANDSHAKE_HERE,	    /* relay: this is my process */
	HANDSHAKE_TRY,	    /* run: I allow you to look at mine: try */
	HANDSHAKE_READY,    /* relay: that works, and I listen; or `error` in what `step` names; `value`: 1 if I am to
			       make the sockets (made_sockets.h), else 0 */
	HANDSHAKE_LISTENER, /* run: the notifications (with a descriptor) */
	HANDSHAKE_WATCHING, /* relay: I take them */
};

#define HANDSHAKE_STEP_MAX 32

struct handshake {
	uint32_t kind;
	int32_t error; /* 0 or errno */
	pid_t pid;
	int32_t fd;	  /* HANDSHAKE_TRY: a descriptor of run's to take as a trial, */
	uint64_t address; /* ... and a number in its memory, */
	uint64_t value;	  /* ... this one */
	char step[HANDSHAKE_STEP_MAX];
};

/* Sends a packet of this kind, with a descriptor unless `passed` is -1. 0 or -errno. */
int handshake_say(int fd, enum handshake_kind kind, struct handshake *packet, int passed)
	__attribute__((warn_unused_result));

/* The other side's next word. 0, or -errno: the error in it, -ETIMEDOUT, or -EPROTO where it is of another kind or
 * none. *passed is the descriptor with it, the caller's to close, or -1. */
int handshake_hear(int fd, enum handshake_kind kind, struct handshake *packet, int *passed)
	__attribute__((warn_unused_result));
