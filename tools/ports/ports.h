/*
 * The ephemeral ports of a network namespace: how many connect() can choose from, and what holds them. Computation
 * only, fed socket by socket, so that a test can make up any situation; kernel.h feeds it from the kernel, forecast.h
 * looks ahead.
 *
 * The rules are those of connect() in Linux (net/ipv4/inet_hashtables.c, __inet_hash_connect): a port of
 * ip_local_port_range that is not reserved (ip_local_reserved_ports) and not held by any bind() or listen() can be used
 * once for each (source, destination, destination port).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "tools/ports/sock_diag.h"

#define PORTS_TIME_WAIT_S 60 /* TCP_TIMEWAIT_LEN: no setting changes it */
#define PORTS_BINS_A_SECOND 4
#define PORTS_N_BINS (PORTS_TIME_WAIT_S * PORTS_BINS_A_SECOND)
#define PORTS_NAME_MAX 17	    /* bytes kept of a program's name */
#define PORTS_SET_BYTES (65536 / 8) /* a set of ports, a bit each */

/* The administrator's settings. Ports are in host byte order throughout. */
struct ports_settings {
	uint16_t first, last;		   /* ip_local_port_range */
	uint8_t reserved[PORTS_SET_BYTES]; /* ip_local_reserved_ports */
	int reuse;			   /* tcp_tw_reuse: 0 never, 1 always, 2 from or to loopback addresses */
	unsigned reuse_delay_ms;	   /* tcp_tw_reuse_delay: younger TIME_WAITs are not reused */
	bool has_timestamps;		   /* tcp_timestamps, without which there is no reuse */
};

/* A port of the range that bind() or listen() holds: connect() can't use it for any destination. */
struct ports_holder {
	struct in6_addr address;
	uint16_t port;
	bool listens;
	uint32_t inode, uid;
	pid_t pid; /* of a process that has it; 0: not looked for, or not found (owners.h) */
};

/* A budget of ports: connections from one address to one destination. */
struct ports_key {
	struct in6_addr source, destination;
	uint32_t interface; /* of link-local addresses; else 0 */
	uint32_t port;	    /* of the destination */
};

struct ports_tuple {
	struct ports_key key;
	uint16_t source_port; /* of the connection that was added last */
	bool is_servers;      /* while servers_drop() runs */
	unsigned n_established, n_time_wait;
	unsigned n_other;	 /* opening or closing */
	unsigned n_unanswered;	 /* of those: with a retransmitted SYN */
	unsigned n_young;	 /* TIME_WAITs that connect() can't reuse: all, but where tcp_tw_reuse applies */
	unsigned n_recent;	 /* TIME_WAITs that began within the window */
	unsigned n_born, n_gone; /* connections that were made and given up within the window: ports_sample_compare() */
	unsigned n_before;	 /* outside TIME_WAIT at the window's beginning: likewise */
	struct ports_live *live; /* once sealed: its connections, by inode */
	uint16_t *closed;	 /* PORTS_N_BINS: TIME_WAITs by age, the youngest first; NULL: none */
	UT_hash_handle hh;
};

/* A connection that a process still has. */
struct ports_live {
	uint32_t inode, uid;
	pid_t pid; /* as above */
	uint64_t cookie;
	char ended[PORTS_NAME_MAX]; /* ended program that left it to the broker; empty: `pid` is the owner */
	struct ports_tuple *tuple;
	struct ports_live *next; /* once sealed: of the same tuple */
};

/* The ports that one source address uses to all destinations together: bind(address, 0) can't have them. */
struct ports_source {
	struct in6_addr address;
	unsigned n_connections, n_ports, n_tuples;
	uint8_t *in_use; /* a set of ports */
	UT_hash_handle hh;
};

/* A connection whose program chose the local port itself; connect() would not have taken that port. */
struct ports_fixed {
	struct ports_key key;
	uint16_t source_port;
	uint8_t state;
	uint32_t expires_ms, inode, uid;
	pid_t pid;	/* as above */
	bool is_wanted; /* another unconnected socket is bound to the port: its connect() failed, or is yet to come */
};

struct ports_sample {
	struct ports_settings settings;
	uint64_t taken_ns;  /* CLOCK_MONOTONIC */
	uint64_t n_dials;   /* of the namespace since it exists: ports_kernel_dials() */
	unsigned window_ms; /* what counts as recent */
	unsigned n_range, n_reserved, n_held, n_usable;
	unsigned n_sockets, n_time_wait; /* of all kinds, including servers' */
	struct ports_tuple *tuples;	 /* hash table; once sealed, the most used first */
	struct ports_source *sources;	 /* hash table; likewise */
	struct ports_holder *holders;
	struct ports_live *live; /* once sealed, by inode */
	struct ports_fixed *fixed;
	size_t n_holders, n_live, n_fixed;
	uint8_t listening[PORTS_SET_BYTES], bound[PORTS_SET_BYTES], serving[PORTS_SET_BYTES];
	bool is_incomplete; /* memory ran out: some sockets are missing */
};

/* Makes an empty sample. `window_ms`: 0 if nothing counts as recent. */
void ports_sample_init(struct ports_sample *sample, const struct ports_settings *settings, unsigned window_ms);
void ports_sample_fini(struct ports_sample *sample);

/* Adds a socket. Those in SOCK_DIAG_HOLDERS come first, the others in any order: connections of bound sockets that come
 * too late are taken for connect()'s choice. `sample` is a struct ports_sample; untyped for sock_diag_dump(). */
void ports_sample_add(void *sample, const struct sock_diag_socket *socket);

/* True if so many are in use that a few ports more or less matter. */
bool ports_sample_is_tight(const struct ports_sample *sample);

/* Call it when all sockets are added: counts and sorts. */
void ports_sample_seal(struct ports_sample *sample);

/* Sets the changes of sealed `sample` since `before`, which is sealed and was taken window_ms earlier. */
void ports_sample_compare(struct ports_sample *sample, const struct ports_sample *before);

/* The tuple of that key, borrowed; NULL if there is none. */
struct ports_tuple *ports_sample_find(const struct ports_sample *sample, const struct ports_key *key);

/* Connections that are not in TIME_WAIT. */
static inline unsigned ports_tuple_alive(const struct ports_tuple *tuple)
{
	return tuple->n_established + tuple->n_other;
}

static inline unsigned ports_tuple_used(const struct ports_tuple *tuple)
{
	return ports_tuple_alive(tuple) + tuple->n_time_wait;
}

/* True if tcp_tw_reuse gives connect() the ports of TIME_WAITs from that source to that destination. Both ends must use
 * TCP timestamps; only our own setting is visible. */
bool ports_settings_reuse(const struct ports_settings *settings, const struct ports_key *key);

/* Adds ports to the reserved ones, in the format of ip_local_reserved_ports ("8080,9148-9150"). 0 or -EINVAL. */
int ports_settings_reserve(struct ports_settings *settings, const char *text) __attribute__((warn_unused_result));

static inline bool ports_set_has(const uint8_t set[PORTS_SET_BYTES], unsigned port)
{
	return set[port / 8] >> port % 8 & 1;
}

static inline void ports_set_add(uint8_t set[PORTS_SET_BYTES], unsigned port)
{
	set[port / 8] |= (uint8_t)(1u << port % 8);
}
