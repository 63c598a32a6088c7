/* See nat.h. The table is read via ctnetlink (linux/netfilter/nfnetlink_conntrack.h). */
#include "tools/ports/nat.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ports/nat_rules.h"
#include "tools/ports/netlink.h"

#define CLASS_END 1024 /* netfilter translates privileged ports to privileged ports */
#define SMALL_CLASS_END 512
#define N_STATISTICS 17
#define INSERT_FAILED 9 /* columns of /proc/net/stat/nf_conntrack */
#define DROPPED 10
#define TRIES 3

static uint64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long number = 0;

	if (file && fscanf(file, "%llu", &number) != 1)
		number = 0;
	if (file)
		fclose(file);
	return number;
}

void nat_read_counters(struct nat_counters *counters)
{
	FILE *file = fopen("/proc/net/stat/nf_conntrack", "re");
	char line[1024];

	memset(counters, 0, sizeof(*counters));
	counters->n_max = read_number("/proc/sys/net/netfilter/nf_conntrack_max");
	counters->n_entries = read_number("/proc/sys/net/netfilter/nf_conntrack_count");
	counters->is_tracking = counters->n_max > 0;
	/* One line per processor, in hexadecimal, below a line of names. */
	while (file && fgets(line, sizeof(line), file)) {
		unsigned long values[N_STATISTICS] = {0};
		char *at = line;

		for (size_t i = 0; i < N_STATISTICS && *at; i++)
			values[i] = strtoul(at, &at, 16);
		counters->n_insert_failed += values[INSERT_FAILED];
		counters->n_dropped += values[DROPPED];
	}
	if (file)
		fclose(file);
}

int nat_add(struct nat *nat, const struct nat_key *key, uint16_t port, bool is_closing)
{
	struct nat_tuple *tuple;

	HASH_FIND(hh, nat->tuples, key, sizeof(*key), tuple);
	if (!tuple) {
		tuple = calloc(1, sizeof(*tuple));
		if (!tuple)
			return -ENOMEM;
		tuple->key = *key;
		tuple->lowest = tuple->highest = port;
		HASH_ADD(hh, nat->tuples, key, sizeof(tuple->key), tuple);
		if (!tuple->hh.tbl) {
			free(tuple);
			return -ENOMEM;
		}
	}
	tuple->n_held += !is_closing;
	tuple->n_closing += is_closing;
	tuple->lowest = port < tuple->lowest ? port : tuple->lowest;
	tuple->highest = port > tuple->highest ? port : tuple->highest;
	return 0;
}

static int compare_tuples(const struct nat_tuple *a, const struct nat_tuple *b)
{
	return (a->n_held < b->n_held) - (a->n_held > b->n_held);
}

void nat_sort(struct nat *nat)
{
	HASH_SORT(nat->tuples, compare_tuples);
}

void nat_find_range(const struct nat *nat, const struct nat_tuple *tuple, struct nat_range *range)
{
	const struct nat_range *found = NULL;

	for (size_t i = 0; i < nat->n_ranges; i++) {
		const struct nat_range *candidate = &nat->ranges[i];

		if (tuple->lowest >= candidate->first && tuple->highest <= candidate->last &&
		    (!found || candidate->last - candidate->first < found->last - found->first))
			found = candidate;
	}
	if (found)
		*range = *found;
	else if (tuple->lowest < SMALL_CLASS_END)
		*range = (struct nat_range){.first = 1, .last = SMALL_CLASS_END - 1};
	else if (tuple->lowest < CLASS_END)
		*range = (struct nat_range){.first = 600, .last = CLASS_END - 1};
	else
		*range = (struct nat_range){.first = CLASS_END, .last = UINT16_MAX};
}

static bool copy_address(struct in6_addr *address, const struct nlattr *ipv4, const struct nlattr *ipv6)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (ipv4 && mnl_attr_get_payload_len(ipv4) >= 4) {
		memcpy(address, mapped, sizeof(mapped));
		memcpy(address->s6_addr + sizeof(mapped), mnl_attr_get_payload(ipv4), 4);
		return true;
	}
	if (!ipv6 || mnl_attr_get_payload_len(ipv6) < sizeof(*address))
		return false;
	memcpy(address, mnl_attr_get_payload(ipv6), sizeof(*address));
	return true;
}

/* The addresses of the reply show what the source became, and where it connected to. */
static bool read_reply(const struct nlattr *reply, struct nat_key *key, uint16_t *port)
{
	struct netlink_attributes tuple, ip, protocol;

	netlink_open_nested(reply, &tuple);
	netlink_open_nested(tuple.table[CTA_TUPLE_IP], &ip);
	netlink_open_nested(tuple.table[CTA_TUPLE_PROTO], &protocol);
	if (!protocol.table[CTA_PROTO_NUM] || mnl_attr_get_u8(protocol.table[CTA_PROTO_NUM]) != IPPROTO_TCP ||
	    !protocol.table[CTA_PROTO_SRC_PORT] || !protocol.table[CTA_PROTO_DST_PORT])
		return false;
	memset(key, 0, sizeof(*key));
	key->port = ntohs(mnl_attr_get_u16(protocol.table[CTA_PROTO_SRC_PORT]));
	*port = ntohs(mnl_attr_get_u16(protocol.table[CTA_PROTO_DST_PORT]));
	return copy_address(&key->destination, ip.table[CTA_IP_V4_SRC], ip.table[CTA_IP_V6_SRC]) &&
	       copy_address(&key->address, ip.table[CTA_IP_V4_DST], ip.table[CTA_IP_V6_DST]);
}

static bool is_closing(const struct nlattr *protocol_information)
{
	struct netlink_attributes information, tcp;
	uint8_t state;

	netlink_open_nested(protocol_information, &information);
	netlink_open_nested(information.table[CTA_PROTOINFO_TCP], &tcp);
	if (!tcp.table[CTA_PROTOINFO_TCP_STATE])
		return false;
	state = mnl_attr_get_u8(tcp.table[CTA_PROTOINFO_TCP_STATE]);
	return state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE;
}

static int take_entry(const struct nlmsghdr *header, void *context)
{
	struct netlink_attributes entry;
	struct nat_key key;
	uint16_t port;

	netlink_open(header, sizeof(struct nfgenmsg), &entry);
	if (!entry.table[CTA_STATUS] || !(ntohl(mnl_attr_get_u32(entry.table[CTA_STATUS])) & IPS_SRC_NAT) ||
	    !read_reply(entry.table[CTA_TUPLE_REPLY], &key, &port))
		return MNL_CB_OK;
	if (nat_add(context, &key, port, is_closing(entry.table[CTA_PROTOINFO])) == 0)
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

/* CTA_STATUS_MASK, which older headers lack. */
#define STATUS_MASK 26

static int read_table(struct nat *nat)
{
	uint8_t room[256] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(room);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof(*family));

	header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	family->nfgen_family = AF_UNSPEC;
	family->version = NFNETLINK_V0;
	/* Kernels that don't know this filter send all entries. */
	mnl_attr_put_u32(header, CTA_STATUS, htonl(IPS_SRC_NAT));
	mnl_attr_put_u32(header, STATUS_MASK, htonl(IPS_SRC_NAT));
	return netlink_dump(NETLINK_NETFILTER, header, take_entry, nat);
}

int nat_read(struct nat *nat)
{
	int error;

	memset(nat, 0, sizeof(*nat));
	nat_read_counters(&nat->counters);
	/* An empty table has nothing to ask for, and asking might load modules. */
	if (!nat->counters.is_tracking || nat->counters.n_entries == 0) {
		nat->is_readable = true;
		return 0;
	}
	error = read_table(nat);
	for (int i = 0; i < TRIES && !error; i++) {
		nat->n_ranges = 0;
		error = nat_rules_read(nat);
		if (error != -EINTR)
			break;
		error = 0;
	}
	nat->is_readable = !error;
	nat_sort(nat);
	return error == -EPERM ? 0 : error;
}

void nat_fini(struct nat *nat)
{
	struct nat_tuple *tuple, *next;

	HASH_ITER(hh, nat->tuples, tuple, next)
	{
		HASH_DEL(nat->tuples, tuple);
		free(tuple);
	}
}
