/* The port ranges in source NAT rules of nftables, and of iptables on top of nftables (not of the old
 * iptables-legacy). */
#pragma once

#include "tools/ports/nat.h"

/* Adds them to nat->ranges. 0 or -errno: -EPERM without CAP_NET_ADMIN. */
int nat_rules_read(struct nat *nat) __attribute__((warn_unused_result));
