/* See rules.h. */
#include "pool/config/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "pool/conn/destination.h"

#define WORD_MAX 128

/* The rest of a rule's text. */
struct cursor {
	const char *at;
	const char *end;
};

static void skip_blanks(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' || *cursor->at == '\n'))
		cursor->at++;
}

/* The next word as a string of its own; false at the end, or if it is too long. */
static bool take_word(struct cursor *cursor, char word[WORD_MAX], const char **begin)
{
	size_t length = 0;

	skip_blanks(cursor);
	*begin = cursor->at;
	while (cursor->at < cursor->end && !strchr(" \t\n", *cursor->at)) {
		if (length == WORD_MAX - 1)
			return false;
		word[length++] = *cursor->at++;
	}
	word[length] = '\0';
	return length > 0;
}

static bool take_number(const char **text, unsigned max, unsigned *number)
{
	const char *begin = *text;

	for (*number = 0; **text >= '0' && **text <= '9'; (*text)++) {
		*number = *number * 10 + (unsigned)(**text - '0');
		if (*number > max)
			return false;
	}
	return *text != begin;
}

static bool parse_ports(const char *text, struct rule *rule)
{
	unsigned first, last;

	if (strcmp(text, "*") == 0) {
		rule->first_port = 0;
		rule->last_port = UINT16_MAX;
		return true;
	}
	if (!take_number(&text, UINT16_MAX, &first))
		return false;
	last = first;
	if (*text == '-' && (text++, !take_number(&text, UINT16_MAX, &last)))
		return false;
	rule->first_port = (uint16_t)first;
	rule->last_port = (uint16_t)last;
	return *text == '\0' && first <= last;
}

static bool parse_prefix(const char *text, unsigned max, struct rule *rule)
{
	rule->prefix_length = max;
	if (*text == '\0')
		return true;
	return *text == '/' && (text++, take_number(&text, max, &rule->prefix_length)) && *text == '\0';
}

/* "[2001:db8::]/32": the closing bracket ends the address. */
static bool parse_ipv6(char *text, struct rule *rule)
{
	char *bracket = strchr(text, ']');

	if (!bracket)
		return false;
	*bracket = '\0';
	rule->family = AF_INET6;
	return inet_pton(AF_INET6, text + 1, rule->address) == 1 && parse_prefix(bracket + 1, 128, rule);
}

static bool parse_ipv4(char *text, struct rule *rule)
{
	char address[INET_ADDRSTRLEN];
	size_t length = strcspn(text, "/");

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	rule->family = AF_INET;
	return inet_pton(AF_INET, address, rule->address) == 1 && parse_prefix(text + length, 32, rule);
}

static bool parse_pattern(char *word, struct rule *rule)
{
	char *colon = strrchr(word, ':');

	if (!colon || !parse_ports(colon + 1, rule))
		return false;
	*colon = '\0';
	if (strcmp(word, "*") == 0)
		return true;
	return *word == '[' ? parse_ipv6(word, rule) : parse_ipv4(word, rule);
}

static const struct config_option *find_flag(const char *flag, size_t length)
{
	for (size_t i = 0; i < config_n_options; i++)
		if (strncmp(config_options[i].flag, flag, length) == 0 && config_options[i].flag[length] == '\0')
			return config_is_policy(&config_options[i]) ? &config_options[i] : NULL;
	return NULL;
}

/* Sets one flag of the rule. A config begins with its policy, so that an option's offset is the same in both. */
static bool parse_setting(const char *word, struct policy *policy)
{
	_Static_assert(offsetof(struct config, policy) == 0, "an option's offset is taken for that in the policy");
	size_t length = strcspn(word, "=");
	const struct config_option *option;

	if (strcmp(word, "proto=off") == 0)
		word = "off";
	if (strncmp(word, "proto=", 6) == 0)
		return config_set((struct config *)(void *)policy, find_flag("protocols", 9), word + 6) == 0;
	if (strcmp(word, "off") == 0 || strcmp(word, "observe") == 0)
		return config_set((struct config *)(void *)policy, find_flag("mode", 4), word) == 0;
	option = word[length] == '=' ? find_flag(word, length) : NULL;
	return option && config_set((struct config *)(void *)policy, option, word + length + 1) == 0;
}

/* Parses one rule. NULL, or the position of the error. */
static const char *parse_rule(struct cursor *cursor, struct rule *rule)
{
	char word[WORD_MAX];
	const char *begin;

	if (!take_word(cursor, word, &begin) || !parse_pattern(word, rule))
		return begin;
	skip_blanks(cursor);
	if (cursor->at == cursor->end)
		return begin;
	while (cursor->at < cursor->end) {
		if (!take_word(cursor, word, &begin) || !parse_setting(word, &rule->policy))
			return begin;
		skip_blanks(cursor);
	}
	return NULL;
}

int rules_parse(struct config *config, size_t *place)
{
	struct cursor cursor = {.at = config->rules_text};

	config->n_rules = 0;
	for (; *cursor.at; cursor.at = cursor.end + (*cursor.end == ';')) {
		const char *wrong;

		cursor.end = cursor.at + strcspn(cursor.at, ";");
		skip_blanks(&cursor);
		if (cursor.at == cursor.end)
			continue;
		wrong = cursor.at;
		if (config->n_rules < CONFIG_RULES_MAX) {
			struct rule *rule = &config->rules[config->n_rules];

			*rule = (struct rule){.policy = config->policy};
			wrong = parse_rule(&cursor, rule);
		}
		if (wrong) {
			if (place)
				*place = (size_t)(wrong - config->rules_text);
			return -EINVAL;
		}
		config->n_rules++;
	}
	return 0;
}

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned n_bits)
{
	unsigned n_bytes = n_bits / 8, rest = n_bits % 8;

	return memcmp(address, prefix, n_bytes) == 0 &&
	       (!rest || (address[n_bytes] ^ prefix[n_bytes]) >> (8 - rest) == 0);
}

static bool matches(const struct rule *rule, const struct destination_key *key)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint16_t port = ntohs(key->port);

	if (port < rule->first_port || port > rule->last_port)
		return false;
	if (!rule->family)
		return true;
	/* IPv4 over an IPv6 socket is IPv4 (RFC 4291 2.5.5.2). */
	if (rule->family == AF_INET && key->family == AF_INET6)
		return memcmp(key->address, mapped, sizeof(mapped)) == 0 &&
		       has_prefix(key->address + sizeof(mapped), rule->address, rule->prefix_length);
	return rule->family == key->family && has_prefix(key->address, rule->address, rule->prefix_length);
}

const struct policy *rules_find(const struct config *config, const struct destination_key *key)
{
	for (unsigned i = 0; i < config->n_rules; i++)
		if (matches(&config->rules[i], key))
			return &config->rules[i].policy;
	return &config->policy;
}
