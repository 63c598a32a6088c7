/*
 * A destination: everything that must be equal for one connection to stand in for another. Connections are pooled per
 * destination, and what was learned about a server is kept here.
 */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "pool/conn/bypass.h"
#include "pool/conn/habits.h"
#include "pool/conn/login.h"

#define DESTINATION_OPTIONS_MAX 96

/* Hashed as bytes up to the end of the options in use: fill with zeroes first. Addresses and ports in network order. */
struct destination_key {
	uint64_t netns_cookie; /* SO_NETNS_COOKIE, 0 where the kernel has none (socket(7)) */
	uint32_t euid;
	uint16_t family; /* AF_INET or AF_INET6 */
	in_port_t port;
	uint8_t address[16];
	uint32_t scope_id; /* the IPv6 zone (RFC 4007) */
	uint32_t flow_info;
	uint8_t local_address[16]; /* as bound by the program; zeroes if it was not */
	uint32_t local_scope_id;
	uint16_t is_bound;
	uint16_t options_length;
	uint8_t options[DESTINATION_OPTIONS_MAX]; /* every other option set before connect, verbatim, in order */
};

struct conn;
struct policy;
struct stats_destination;

/* Does the server answer requests that are sent behind each other? */
enum destination_pipelining {
	PIPELINING_UNTRIED,
	PIPELINING_PROVEN,
	PIPELINING_REFUSED, /* it does not, and none are sent so */
};

struct destination {
	struct destination_key key;
	UT_hash_handle hh;
	struct destination *recent_prev, *recent_next; /* all destinations, least recently used first */

	struct conn *idle; /* newest first */
	uint32_t n_idle;
	uint32_t n_open;    /* in use by the program */
	uint32_t peak_open; /* most that were ever in use at once */

	const struct policy *policy;	 /* what counts here; borrowed, NULL: not looked up yet */
	struct stats_destination *stats; /* where it is counted, likewise */
	struct habit_streak unfit;	 /* exchanges that no kept connection may carry */
	struct habit_looks looks;	 /* by call site; to the broker, by program */

	struct bypass bypass; /* whether it is worth following connections there */

	enum destination_pipelining pipelining;

	struct login_habits logins; /* where the server speaks first */

	bool serves_one;	   /* its server takes the next connection when the last one has ended */
	_Atomic(bool) lacks_reset; /* its server can't undo what users leave on a connection. Needs no lock */
	uint8_t n_fences_failed;   /* in a row */

	uint64_t keep_alive_timeout_ns; /* said by the server, 0: nothing said */
	uint64_t seen_idle_close_ns;	/* shortest idle time after which it was seen to close, 0: none seen */
};

/* Bytes of the key that count. */
unsigned destination_key_length(const struct destination_key *key);

/* True if a connection for the one can stand in for a connection for the other. */
bool destination_key_equal(const struct destination_key *one, const struct destination_key *other);

/* True if both mean the same address, port and network: their connections compete for the same ports. */
bool destination_key_is_same_peer(const struct destination_key *one, const struct destination_key *other);

/* Takes address, port, zone. 0, or -EAFNOSUPPORT / -EINVAL for one that is not a usable IPv4 or IPv6 address. */
int destination_key_set_peer(struct destination_key *key, const struct sockaddr *address, socklen_t length)
	__attribute__((warn_unused_result));

/* The same for an explicit bind. -EADDRINUSE if the program chose the port itself: such a connection can't be
 * pooled. */
int destination_key_set_local(struct destination_key *key, const struct sockaddr *address, socklen_t length)
	__attribute__((warn_unused_result));

/* Adds an option. -ENOSPC if it doesn't fit: then the connection can't be pooled. */
int destination_key_add_option(struct destination_key *key, int level, int name, const void *value, socklen_t length)
	__attribute__((warn_unused_result));

/* True if that option was added. */
bool destination_key_has_option(const struct destination_key *key, int level, int name);

/* Calls `set` for each option of the key, in order, until it returns non-zero, which is returned. */
int destination_key_each_option(const struct destination_key *key,
				int (*set)(void *context, int level, int name, const void *value, socklen_t length),
				void *context);

/* The peer's or the bound address, as connect() and bind() take it. Returns its length. */
socklen_t destination_key_peer(const struct destination_key *key, struct sockaddr_in6 *address);
socklen_t destination_key_local(const struct destination_key *key, struct sockaddr_in6 *address);
