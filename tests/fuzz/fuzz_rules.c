/*
 * Any text as rules, for any destination. Input: a key's family, port and address (19 bytes), then the text.
 *   - Text is accepted or refused, never read or written beyond; an error's position lies within the text;
 *   - a destination's policy is the config's, or that of one of its rules;
 *   - additional rules that match none of its members change nothing.
 */
#include "pool/config/rules.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "pool/conn/destination.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;

/* The rule's number; -1: the config's own policy. */
static int find(const struct destination_key *key)
{
	const struct policy *policy = rules_find(&config, key);

	for (unsigned i = 0; i < config.n_rules; i++)
		if (policy == &config.rules[i].policy)
			return (int)i;
	MUST(policy == &config.policy);
	return -1;
}

static void set_text(const char *prefix, const uint8_t *text, size_t size)
{
	size_t length = strlen(prefix);

	if (size >= sizeof(config.rules_text) - length)
		size = sizeof(config.rules_text) - length - 1;
	memcpy(config.rules_text, prefix, length);
	memcpy(config.rules_text + length, text, size);
	config.rules_text[length + size] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct destination_key key = {0};
	size_t place = SIZE_MAX;
	int found;

	if (size < 19)
		return 0;
	key.family = data[0] % 2 ? AF_INET6 : AF_INET;
	memcpy(&key.port, data + 1, sizeof(key.port));
	memcpy(key.address, data + 3, sizeof(key.address));
	config_init(&config);
	set_text("", data + 19, size - 19);
	if (rules_parse(&config, &place)) {
		MUST(place <= strlen(config.rules_text));
		return 0;
	}
	MUST(place == SIZE_MAX && config.n_rules <= CONFIG_RULES_MAX);
	for (unsigned i = 0; i < config.n_rules; i++) {
		const struct rule *rule = &config.rules[i];

		MUST(rule->first_port <= rule->last_port);
		MUST(rule->prefix_length <= (rule->family == AF_INET ? 32 : 128));
		MUST(rule->policy.mode <= CONFIG_MODE_FULL && rule->policy.unsafe_methods <= CONFIG_UNSAFE_REUSE);
		MUST(rule->policy.protocols <= CONFIG_PROTOCOLS_ALL);
	}
	found = find(&key);
	set_text("*:0 off;", data + 19, size - 19);
	if (key.port && rules_parse(&config, NULL) == 0)
		MUST(find(&key) == (found < 0 ? -1 : found + 1));
	return 0;
}
