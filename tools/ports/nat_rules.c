/* See nat_rules.h. A rule is a list of expressions that pass values in registers; ports are such values
 * (linux/netfilter/nf_tables.h). A rule of iptables has one expression with iptables' own structure in it. */
#include "tools/ports/nat_rules.h"

#include <errno.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "tools/ports/netlink.h"

#define N_REGISTERS 32

struct rule {
	uint8_t family;
	uint16_t registers[N_REGISTERS]; /* ports that were loaded into them; 0: another value */
	bool has_range;
	uint16_t first, last;
};

static uint32_t get_number(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t) ? ntohl(mnl_attr_get_u32(attribute))
										    : 0;
}

static void load_register(struct rule *rule, const struct nlattr *data)
{
	struct netlink_attributes immediate, value;
	const struct nlattr *bytes;
	uint32_t number;

	netlink_open_nested(data, &immediate);
	netlink_open_nested(immediate.table[NFTA_IMMEDIATE_DATA], &value);
	number = get_number(immediate.table[NFTA_IMMEDIATE_DREG]);
	bytes = value.table[NFTA_DATA_VALUE];
	if (number < N_REGISTERS)
		rule->registers[number] = bytes && mnl_attr_get_payload_len(bytes) == sizeof(uint16_t)
						  ? ntohs(mnl_attr_get_u16(bytes))
						  : 0;
}

static void set_range(struct rule *rule, uint16_t first, uint16_t last)
{
	if (first == 0 || last < first)
		return;
	rule->has_range = true;
	rule->first = first;
	rule->last = last;
}

static void use_registers(struct rule *rule, const struct nlattr *minimum, const struct nlattr *maximum)
{
	uint32_t first = get_number(minimum), last = maximum ? get_number(maximum) : first;

	if (minimum && first < N_REGISTERS && last < N_REGISTERS)
		set_range(rule, rule->registers[first], rule->registers[last]);
}

/* iptables' MASQUERADE and SNAT. */
static void read_target(struct rule *rule, const struct nlattr *data)
{
	struct nf_nat_ipv4_multi_range_compat old;
	struct netlink_attributes target;
	const struct nlattr *name, *bytes;
	struct nf_nat_range range;

	netlink_open_nested(data, &target);
	name = target.table[NFTA_TARGET_NAME];
	bytes = target.table[NFTA_TARGET_INFO];
	if (!name || !bytes || (strcmp(mnl_attr_get_str(name), "MASQUERADE") && strcmp(mnl_attr_get_str(name), "SNAT")))
		return;
	if (rule->family == NFPROTO_IPV4 && get_number(target.table[NFTA_TARGET_REV]) == 0) {
		if (mnl_attr_get_payload_len(bytes) < sizeof(old))
			return;
		memcpy(&old, mnl_attr_get_payload(bytes), sizeof(old));
		if (old.range[0].flags & NF_NAT_RANGE_PROTO_SPECIFIED)
			set_range(rule, ntohs(old.range[0].min.all), ntohs(old.range[0].max.all));
	} else if (mnl_attr_get_payload_len(bytes) >= sizeof(range)) {
		memcpy(&range, mnl_attr_get_payload(bytes), sizeof(range));
		if (range.flags & NF_NAT_RANGE_PROTO_SPECIFIED)
			set_range(rule, ntohs(range.min_proto.all), ntohs(range.max_proto.all));
	}
}

static int take_expression(const struct nlattr *expression, void *context)
{
	struct netlink_attributes parts, nat;
	struct rule *rule = context;
	const char *name;

	netlink_open_nested(expression, &parts);
	if (!parts.table[NFTA_EXPR_NAME])
		return MNL_CB_OK;
	name = mnl_attr_get_str(parts.table[NFTA_EXPR_NAME]);
	netlink_open_nested(parts.table[NFTA_EXPR_DATA], &nat);
	if (strcmp(name, "immediate") == 0)
		load_register(rule, parts.table[NFTA_EXPR_DATA]);
	else if (strcmp(name, "masq") == 0)
		use_registers(rule, nat.table[NFTA_MASQ_REG_PROTO_MIN], nat.table[NFTA_MASQ_REG_PROTO_MAX]);
	else if (strcmp(name, "nat") == 0 && get_number(nat.table[NFTA_NAT_TYPE]) == NFT_NAT_SNAT)
		use_registers(rule, nat.table[NFTA_NAT_REG_PROTO_MIN], nat.table[NFTA_NAT_REG_PROTO_MAX]);
	else if (strcmp(name, "target") == 0)
		read_target(rule, parts.table[NFTA_EXPR_DATA]);
	return MNL_CB_OK;
}

static const char *name_family(uint8_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
}

static int take_rule(const struct nlmsghdr *header, void *context)
{
	const struct nfgenmsg *family = mnl_nlmsg_get_payload(header);
	struct rule rule = {.family = family->nfgen_family};
	struct netlink_attributes parts;
	struct nat *nat = context;
	struct nat_range *range;

	netlink_open(header, sizeof(*family), &parts);
	if (parts.table[NFTA_RULE_EXPRESSIONS])
		mnl_attr_parse_nested(parts.table[NFTA_RULE_EXPRESSIONS], take_expression, &rule);
	if (!rule.has_range || nat->n_ranges == NAT_MAX_RANGES || !parts.table[NFTA_RULE_TABLE] ||
	    !parts.table[NFTA_RULE_CHAIN])
		return MNL_CB_OK;
	range = &nat->ranges[nat->n_ranges++];
	*range = (struct nat_range){.first = rule.first, .last = rule.last};
	snprintf(range->rule, sizeof(range->rule), "%s %s %s", name_family(rule.family),
		 mnl_attr_get_str(parts.table[NFTA_RULE_TABLE]), mnl_attr_get_str(parts.table[NFTA_RULE_CHAIN]));
	return MNL_CB_OK;
}

int nat_rules_read(struct nat *nat)
{
	uint8_t room[256] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(room);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof(*family));
	int error;

	header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	family->nfgen_family = AF_UNSPEC;
	family->version = NFNETLINK_V0;
	error = netlink_dump(NETLINK_NETFILTER, header, take_rule, nat);
	/* This kernel has no nftables, so none of its rules. */
	return error == -EINVAL || error == -EOPNOTSUPP ? 0 : error;
}
