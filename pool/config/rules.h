/*
 * Rules: other settings for some destinations.
 *
 *     10.0.0.0/8:8080 max-conn-age=10s; *:9200 unsafe-methods=reuse; [2001:db8::]/32:* off
 *
 * HOST is an IPv4 address, an IPv6 address in brackets, either with a prefix length, or `*`; PORT a number, two with a
 * `-` between, or `*`. Flags follow: those of `holdline run` that apply to single destinations, without their dashes;
 * `off` and `observe` stand for mode=off and mode=observe, `proto=` for `protocols=`, `proto=off` for `off`. All other
 * settings are as without the rule. The first rule that matches wins.
 */
#pragma once

#include <stddef.h>

#include "pool/config/config.h"

struct destination_key;

/* Parses config->rules_text, on top of the other settings of the config, which must be complete. 0, or -EINVAL with
 * *place (may be NULL) the offset of the error in the text. No allocation; async-signal-safe. */
int rules_parse(struct config *config, size_t *place) __attribute__((warn_unused_result));

/* The policy of a destination. Borrowed from the config. */
const struct policy *rules_find(const struct config *config, const struct destination_key *key);
