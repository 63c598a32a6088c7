/* What `holdline run` and the relay that it starts tell each other, over an AF_UNIX SOCK_SEQPACKET socket. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Where the relay's end of it is. */
#define HANDSHAKE_FD 3

enum handshake_kind {
	HANDSHAKE_HERE,	    /* relay: this is my process */
	HANDSHAKE_TRY,	    /* run: I allow you to look at mine: try */
	HANDSHAKE_READY,    /* relay: that works, and I listen; or `error` in what `step` names */
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
