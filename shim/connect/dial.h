/*
 * Dialling: the program's connect() where no kept connection serves, with a timeout where one is set, and with
 * what can be done when ports run out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct destination_key;
struct policy;
struct stats_destination;

struct dial {
	int fd;
	const struct sockaddr *address;
	socklen_t length;
	const struct destination_key *key;
	const struct policy *policy;
	bool is_blocking;
	struct stats_destination *stats; /* where waiting for ports is counted */
	uint64_t send_timeout_ns;	 /* the program's own SO_SNDTIMEO, 0: none */
	uint64_t started_ns;		 /* set by dial_try() */
	unsigned n_waits;		 /* how often it waited for a port */
};

/*
 * The towards-one-destination search for a port: once more than half of the range is in use, connect() looks at every
 * port of the other parity first, which costs hundreds of times more. A socket with a range of its own (ip(7),
 * IP_LOCAL_PORT_RANGE, Linux 6.3) is spared that; one beyond the system's means all of the system's. True if it was
 * set: getsockopt() must hide it (dial_mask_option).
 */
bool dial_widen_ports(int fd, const struct destination_key *key);

/* Hides that range from a program that asks with getsockopt(). */
void dial_mask_option(int level, int name, void *value, const socklen_t *length);

/* A dial of our own: bind() to what the program's socket was bound to, then connect(). 0, -EINPROGRESS (also after a
 * signal), or the kernel's negative errno. errno is lost. */
int dial_begin(int fd, const struct destination_key *key);

/* connect(2) once. 0 or -1 and errno: as the kernel's, or ETIMEDOUT after the dial timeout of the policy (blocking
 * ones). */
int dial_try(struct dial *dial);

/* After dial_try() failed: true if it is worth another try, because ports had run out and time is left; idle
 * connections to the same peer have been ended, and some time has passed (blocking ones). Preserves errno. Unlocked. */
bool dial_waits_for_port(struct dial *dial);
