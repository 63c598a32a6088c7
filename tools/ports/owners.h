/*
 * Which process has a socket: the descriptors of all processes whose /proc is readable, that is one's own, or all for
 * root. What the user's broker holds belongs to whoever parked it. A connection in TIME_WAIT belongs to no process any more.
 */
#pragma once

#include "tools/ports/ports.h"

#define OWNERS_NAME_MAX 32

/* A process's part in a tuple. */
struct owners_share {
	pid_t pid;		    /* 0: of a process that could not be found, of user `uid` */
	uint32_t uid;		    /* of that, else of the process's sockets */
	char ended[PORTS_NAME_MAX]; /* the program that left them to the broker and has ended; empty: it is not that */
	unsigned n;		    /* connections */
};

/* Sets `pid` of everything in the sample that has an inode, or `ended`. Nothing is read if there is nothing to look for. 0 or -errno. */
int owners_find(struct ports_sample *sample) __attribute__((warn_unused_result));

/* Who has the tuple's connections, most first: at most `max`, the rest is left out. Returns how many. */
size_t owners_share(const struct ports_sample *sample, const struct ports_tuple *tuple, struct owners_share *shares,
		    size_t max);

/* The program's name as /proc/PID/comm has it; "?" if it has ended. */
void owners_name(pid_t pid, char name[OWNERS_NAME_MAX]);
