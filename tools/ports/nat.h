/*
 * Netfilter's part in outgoing connections of this network namespace: how full its table is, and the ports that source
 * NAT has given to them. A dial beyond these limits gets no error but a timeout. Reading the table and the rules needs
 * CAP_NET_ADMIN; the counters don't.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define NAT_MAX_RANGES 64
#define NAT_RULE_MAX 160

/* Ports from which a rule lets source NAT choose. */
struct nat_range {
	uint16_t first, last;
	char rule[NAT_RULE_MAX]; /* where the rule is: "ip nat POSTROUTING" (family, table, chain) */
};

struct nat_key {
	struct in6_addr address, destination; /* translated source, and destination; IPv4 as ::ffff:a.b.c.d */
	uint32_t port;			      /* of the destination */
};

struct nat_tuple {
	struct nat_key key;
	unsigned n_held;    /* ports that are taken */
	unsigned n_closing; /* in TIME_WAIT or closed: netfilter reuses their ports for a new connection if it must */
	uint16_t lowest, highest;
	UT_hash_handle hh;
};

struct nat_counters {
	bool is_tracking; /* conntrack exists here; if not, all members are 0 */
	uint64_t n_entries, n_max;
	uint64_t n_insert_failed, n_dropped; /* since the namespace exists */
};

struct nat {
	struct nat_counters counters;
	bool is_readable;	  /* table and rules could be read */
	struct nat_tuple *tuples; /* hash table, the fullest first */
	struct nat_range ranges[NAT_MAX_RANGES];
	size_t n_ranges;
};

/* Reads everything. 0 or -errno; without the privilege 0, and is_readable is not set. */
int nat_read(struct nat *nat) __attribute__((warn_unused_result));
void nat_fini(struct nat *nat);

/* Reads the counters alone; all 0 without conntrack. */
void nat_read_counters(struct nat_counters *counters);

/* The range of the tuple's ports: the narrowest of a rule that contains them all, or netfilter's default if no rule
 * does (`rule` empty). */
void nat_find_range(const struct nat *nat, const struct nat_tuple *tuple, struct nat_range *range);

/* Adds an entry of the table to a tuple; `is_closing`: see nat_tuple.n_closing. For nat_read() and tests. 0 or
 * -ENOMEM. */
int nat_add(struct nat *nat, const struct nat_key *key, uint16_t port, bool is_closing)
	__attribute__((warn_unused_result));

/* Call it when all entries are added. */
void nat_sort(struct nat *nat);
