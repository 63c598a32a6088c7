/*
 * Which process has a socket: searches the descriptors of all processes whose /proc is readable (one's own; all for
 * root). A connection that the user's broker holds belongs to the process that parked it. A connection in TIME_WAIT
 * belongs to no process any more.
 */
#pragma once

#include "tools/ports/ports.h"

#define OWNERS_NAME_MAX 32

/* A process's part in a tuple. */
struct owners_share {
	pid_t pid;		    /* 0: a process that could not be found, of user `uid` */
	uint32_t uid;		    /* of that, else of the process's sockets */
	char ended[PORTS_NAME_MAX]; /* ended program that left them to the broker; empty: not the case */
	unsigned n;		    /* connections */
};

/* Sets `pid` or `ended` of everything in the sample that has an inode. Reads nothing if there is nothing to look for. 0
 * or -errno. */
int owners_find(struct ports_sample *sample) __attribute__((warn_unused_result));

/* The owners of the connections of a sealed sample's tuple, most connections first, at most `max`. Returns how many. */
size_t owners_share(const struct ports_tuple *tuple, struct owners_share *shares, size_t max);

/* The program's name from /proc/PID/comm; "?" if it has ended. */
void owners_name(pid_t pid, char name[OWNERS_NAME_MAX]);
