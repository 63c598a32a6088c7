/*
 * The option table, and the parsing of its values. No strtoul() or strtod(): they obey the host's locale and set its
 * errno. Nothing here allocates, so the shim may call it from its constructor.
 */
#include "pool/config/config.h"

#include <errno.h>
#include <string.h>

#include "pool/base/clock.h"
#include "pool/config/rules.h"

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD(name) offsetof(struct config, name)
#define POLICY(name) offsetof(struct config, policy.name)

static const char *const mode_choices[] = {"off", "observe", "full", NULL};
static const char *const profile_choices[] = {"none", "go", NULL};
static const char *const port_scan_choices[] = {"kernel", "range", NULL};
static const char *const callsites_choices[] = {"off", "address", "stack", NULL};
static const char *const pool_choices[] = {"local", "shared", NULL};
static const char *const relay_choices[] = {"off", "auto", "always", NULL};
static const char *const pipeline_choices[] = {"limit", "always", NULL};
static const char *const tls_share_choices[] = {"run", "user", NULL};
static const char *const protocols_choices[] = {"http", "redis", "memcached", "mysql", "all", NULL};
static const char *const tls_h2_choices[] = {"native", "refuse", NULL};
static const char *const mysql_share_choices[] = {"off", "run", "user", NULL};
static const char *const tls_choices[] = {"off", "reuse", NULL};
static const char *const unsafe_methods_choices[] = {"fresh", "young", "reuse", NULL};

const struct config_option config_options[] = {
	{"HOLDLINE_PROFILE", "profile", "none|go", "none",
	 "go: the defaults of timeouts and limits become those that Go's http.Transport is commonly given.",
	 CONFIG_KIND_CHOICE, FIELD(profile), profile_choices},
	{"HOLDLINE_MODE", "mode", "off|observe|full", "full",
	 "full reuses connections; observe changes nothing and only counts; off leaves the program alone.",
	 CONFIG_KIND_CHOICE, POLICY(mode), mode_choices},
	{"HOLDLINE_POOL", "pool", "local|shared", "shared",
	 "shared lends idle connections to other programs of this user; local keeps them to the process.",
	 CONFIG_KIND_CHOICE, FIELD(pool), pool_choices},
	{"HOLDLINE_BROKER", "broker", "PATH", "",
	 "Socket of the broker that shares connections; if none is named, holdline run starts one.", CONFIG_KIND_PATH,
	 FIELD(broker_path), NULL},
	{"HOLDLINE_RELAY", "relay", "off|auto|always", "auto",
	 "Serve by a relay process the programs that no library can enter (Go, static, musl): "
	 "never, where needed, or all.",
	 CONFIG_KIND_CHOICE, FIELD(relay), relay_choices},
	{"HOLDLINE_REWRITE", "rewrite", "on|off", "on",
	 "Ask servers to keep connections that the program would close; off reuses only what it left open itself.",
	 CONFIG_KIND_SWITCH, POLICY(rewrite), NULL},
	{"HOLDLINE_UNSAFE_METHODS", "unsafe-methods", "fresh|young|reuse", "fresh",
	 "Where POST, PUT and the like go: to a fresh connection, a kept one whose server has just spoken, "
	 "or any kept one, which might die under them.",
	 CONFIG_KIND_CHOICE, POLICY(unsafe_methods), unsafe_methods_choices},
	{"HOLDLINE_PROTOCOLS", "protocols", "http|redis|memcached|mysql|all", "all",
	 "What is followed, so that its connections can be reused: HTTP/1, Redis (and Valkey), memcached, "
	 "MySQL (and MariaDB), or all.",
	 CONFIG_KIND_CHOICE, POLICY(protocols), protocols_choices},
	{"HOLDLINE_MYSQL_SHARE", "mysql-share", "off|run|user", "off",
	 "Who else may have connections to MySQL that a process keeps: nobody, programs of one kind in one "
	 "`holdline run`, or all such of the user's.",
	 CONFIG_KIND_CHOICE, POLICY(mysql_share), mysql_share_choices},
	{"HOLDLINE_TLS", "tls", "off|reuse", "off",
	 "Keep HTTPS connections of programs that use OpenSSL 3.0 or 3.5, GnuTLS 3.7 or 3.8.9: a later program repeats "
	 "the first one's "
	 "handshake, and judges the server's certificate itself.",
	 CONFIG_KIND_CHOICE, POLICY(tls), tls_choices},
	{"HOLDLINE_TLS_SHARE", "tls-share", "run|user", "run",
	 "Who shares HTTPS connections that are kept: the processes of one `holdline run`, or all of the user's.",
	 CONFIG_KIND_CHOICE, FIELD(tls_share), tls_share_choices},
	{"HOLDLINE_TLS_H2", "tls-h2", "native|refuse", "native",
	 "With --tls=reuse, programs that offer HTTP/2 beside HTTP/1.1 may agree on it, and then their connections are "
	 "not kept; or they offer HTTP/1.1 alone.",
	 CONFIG_KIND_CHOICE, FIELD(tls_h2), tls_h2_choices},
	{"HOLDLINE_CA_CACHE", "ca-cache", "on|off", "on",
	 "With --tls=reuse, certificate authorities are read from their file when they are asked for, and not all of "
	 "them each time.",
	 CONFIG_KIND_SWITCH, FIELD(ca_cache), NULL},
	{"HOLDLINE_DIAL_TIMEOUT", "dial-timeout", "DURATION", "0",
	 "Fail a blocking connect() after this long with ETIMEDOUT; 0: when the kernel does.", CONFIG_KIND_DURATION,
	 POLICY(dial_timeout_ns), NULL},
	{"HOLDLINE_KEEP_ALIVE", "keep-alive", "DURATION", "0",
	 "Have the kernel probe connections that were silent this long (TCP keep-alive); 0: as the program says.",
	 CONFIG_KIND_DURATION, POLICY(keep_alive_ns), NULL},
	{"HOLDLINE_RESPONSE_HEADER_TIMEOUT", "response-header-timeout", "DURATION", "0",
	 "Fail a blocking read of an answer that has not begun this long after the request; 0: never.",
	 CONFIG_KIND_DURATION, POLICY(response_header_timeout_ns), NULL},
	{"HOLDLINE_EXPECT_CONTINUE_TIMEOUT", "expect-continue-timeout", "DURATION", "0",
	 "The same for the first answer to `Expect: 100-continue`; 0: never.", CONFIG_KIND_DURATION,
	 POLICY(expect_continue_timeout_ns), NULL},
	{"HOLDLINE_IDLE_CONN_TIMEOUT", "idle-conn-timeout", "DURATION", "60s",
	 "Close a connection that was idle this long; 0: never.", CONFIG_KIND_DURATION, POLICY(idle_conn_timeout_ns),
	 NULL},
	{"HOLDLINE_MAX_IDLE_CONNS", "max-idle-conns", "COUNT", "500",
	 "Keep at most this many idle connections in all; 0: no limit.", CONFIG_KIND_COUNT, FIELD(max_idle_conns),
	 NULL},
	{"HOLDLINE_MAX_IDLE_CONNS_PER_HOST", "max-idle-conns-per-host", "COUNT", "100",
	 "Keep at most this many idle connections to one destination; 0: no limit.", CONFIG_KIND_COUNT,
	 POLICY(max_idle_conns_per_host), NULL},
	{"HOLDLINE_MAX_CONNS_PER_HOST", "max-conns-per-host", "COUNT", "0",
	 "Have at most this many connections to one destination, over all programs; others wait. 0: no limit.",
	 CONFIG_KIND_COUNT, POLICY(max_conns_per_host), NULL},
	{"HOLDLINE_PIPELINE", "pipeline", "COUNT", "0",
	 "The relay sends up to this many safe requests behind each other on one connection; 0 or 1: it does not.",
	 CONFIG_KIND_COUNT, POLICY(pipeline), NULL},
	{"HOLDLINE_PIPELINE_WHEN", "pipeline-when", "limit|always", "limit",
	 "It does so where max-conns-per-host is reached, or wherever a connection is in use.", CONFIG_KIND_CHOICE,
	 POLICY(pipeline_when), pipeline_choices},
	{"HOLDLINE_MAX_CONN_AGE", "max-conn-age", "DURATION", "90s",
	 "Reuse no connection older than this (+-20 %), so that balancers still spread the load; 0: any age.",
	 CONFIG_KIND_DURATION, POLICY(max_conn_age_ns), NULL},
	{"HOLDLINE_MAX_CONN_REQUESTS", "max-conn-requests", "COUNT", "10000",
	 "Send at most this many requests over one connection; 0: no limit.", CONFIG_KIND_COUNT,
	 POLICY(max_conn_requests), NULL},
	{"HOLDLINE_PORT_SCAN", "port-scan", "kernel|range", "range",
	 "range spares connect() its slow search for a port when more than half of them are in use.",
	 CONFIG_KIND_CHOICE, FIELD(port_scan), port_scan_choices},
	{"HOLDLINE_RULES", "rules", "RULES", "",
	 "Other settings for some destinations: 'HOST:PORT flag=value ...; ...'; the first that matches wins.",
	 CONFIG_KIND_RULES, FIELD(rules_text), NULL},
	{"HOLDLINE_LOG", "log", "FILE", "", "Append to FILE what was reused, and why other connections were not.",
	 CONFIG_KIND_PATH, FIELD(log_path), NULL},
	{"HOLDLINE_STATS", "stats", "auto|off|FOLDER", "auto",
	 "Where programs count for report, top, doctor and metrics: "
	 "a folder in memory of the user's, another, or nowhere.",
	 CONFIG_KIND_PATH, FIELD(stats_path), NULL},
	{"HOLDLINE_CALLSITES", "callsites", "off|address|stack", "address",
	 "What is recorded of the places that call connect(): "
	 "nothing, the place, or its callers too (microseconds each).",
	 CONFIG_KIND_CHOICE, FIELD(callsites), callsites_choices},
};

const size_t config_n_options = ARRAY_LENGTH(config_options);

static const struct duration_unit {
	const char *name;
	uint64_t ns;
} duration_units[] = {
	{"ns", 1},
	{"us", MICROSECOND_NS},
	{"\xc2\xb5s", MICROSECOND_NS}, /* U+00B5, micro sign */
	{"\xce\xbcs", MICROSECOND_NS}, /* U+03BC, Greek mu */
	{"ms", MILLISECOND_NS},
	{"s", SECOND_NS},
	{"m", 60 * SECOND_NS},
	{"h", 3600 * SECOND_NS},
};

static bool is_digit(char character)
{
	return character >= '0' && character <= '9';
}

/* The unit that the text begins with, followed by the end or by the next number; moves *text behind it. */
static const struct duration_unit *take_unit(const char **text)
{
	for (size_t i = 0; i < ARRAY_LENGTH(duration_units); i++) {
		size_t length = strlen(duration_units[i].name);
		char after;

		if (strncmp(*text, duration_units[i].name, length) != 0)
			continue;
		after = (*text)[length];
		if (after != '\0' && after != '.' && !is_digit(after))
			continue;
		*text += length;
		return &duration_units[i];
	}
	return NULL;
}

/* Takes digits into *value; 1 if there were any, 0 if not, -ERANGE if they don't fit in INT64_MAX. */
static int take_digits(const char **text, uint64_t *value)
{
	const char *begin = *text;

	for (*value = 0; is_digit(**text); (*text)++) {
		if (*value > INT64_MAX / 10)
			return -ERANGE;
		*value = *value * 10 + (uint64_t)(**text - '0');
		if (*value > INT64_MAX)
			return -ERANGE;
	}
	return *text != begin;
}

/* Takes the digits after a point as numerator / scale; 1 if there were any. Digits below 10^-18 are dropped. */
static int take_fraction(const char **text, uint64_t *numerator, uint64_t *scale)
{
	const char *begin = *text;

	for (*numerator = 0, *scale = 1; is_digit(**text); (*text)++) {
		if (*text - begin < 18) {
			*numerator = *numerator * 10 + (uint64_t)(**text - '0');
			*scale *= 10;
		}
	}
	return *text != begin;
}

/* Takes "1.5h" off the text and adds it to *total_ns. */
static int take_duration_term(const char **text, uint64_t *total_ns)
{
	const struct duration_unit *unit;
	uint64_t whole, numerator = 0, scale = 1;
	unsigned __int128 term_ns;
	int has_digits = take_digits(text, &whole);

	if (has_digits < 0)
		return has_digits;
	if (**text == '.') {
		(*text)++;
		has_digits += take_fraction(text, &numerator, &scale);
	}
	if (has_digits == 0)
		return -EINVAL;
	unit = take_unit(text);
	if (!unit)
		return -EINVAL;
	term_ns = (unsigned __int128)whole * unit->ns + (unsigned __int128)numerator * unit->ns / scale;
	if (term_ns > INT64_MAX - *total_ns)
		return -ERANGE;
	*total_ns += (uint64_t)term_ns;
	return 0;
}

int config_parse_duration(const char *text, uint64_t *duration_ns)
{
	uint64_t total_ns = 0;

	if (strcmp(text, "0") == 0) {
		*duration_ns = 0;
		return 0;
	}
	do {
		int result = take_duration_term(&text, &total_ns);

		if (result < 0)
			return result;
	} while (*text);
	*duration_ns = total_ns;
	return 0;
}

static int parse_count(const char *text, uint32_t *count)
{
	uint64_t value;
	int has_digits = take_digits(&text, &value);

	if (has_digits <= 0 || *text || value > UINT32_MAX)
		return -EINVAL;
	*count = (uint32_t)value;
	return 0;
}

static int parse_choice(const char *text, const char *const *choices, unsigned *index)
{
	for (*index = 0; choices[*index]; (*index)++)
		if (strcmp(text, choices[*index]) == 0)
			return 0;
	return -EINVAL;
}

static int parse_switch(const char *text, bool *value)
{
	static const char *const choices[] = {"off", "on", NULL};
	unsigned index;

	if (parse_choice(text, choices, &index) < 0)
		return -EINVAL;
	*value = index == 1;
	return 0;
}

static int parse_text(const char *text, char *field, size_t room)
{
	size_t length = strnlen(text, room);

	if (length == room)
		return -EINVAL;
	/* A field that is empty already is not written to, which would cost a page. */
	if (length || *field)
		memcpy(field, text, length + 1);
	return 0;
}

static int set_path(struct config *config, const char *text, char *field)
{
	if (parse_text(text, field, PATH_MAX) < 0)
		return -EINVAL;
	if (field == config->log_path)
		config->has_log = *text;
	return 0;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	config_set_defaults(config);
}

void config_set_defaults(struct config *config)
{
	/* An empty text is there already: looking would cost a page. */
	for (size_t i = 0; i < config_n_options; i++)
		if (*config_options[i].default_value)
			(void)!config_set(config, &config_options[i], config_options[i].default_value);
}

int config_set(struct config *config, const struct config_option *option, const char *text)
{
	char *field = (char *)config + option->offset;
	uint64_t duration_ns;
	unsigned index;

	switch (option->kind) {
	case CONFIG_KIND_CHOICE:
		if (parse_choice(text, option->choices, &index) < 0)
			return -EINVAL;
		memcpy(field, &index, sizeof(index)); /* every enum of ours is an unsigned int: see below */
		return 0;
	case CONFIG_KIND_SWITCH:
		return parse_switch(text, (bool *)field);
	case CONFIG_KIND_DURATION:
		if (config_parse_duration(text, &duration_ns) < 0)
			return -EINVAL;
		memcpy(field, &duration_ns, sizeof(duration_ns));
		return 0;
	case CONFIG_KIND_COUNT:
		return parse_count(text, (uint32_t *)(void *)field);
	case CONFIG_KIND_PATH:
		return set_path(config, text, field);
	case CONFIG_KIND_RULES:
		if (parse_text(text, field, CONFIG_RULES_TEXT_MAX) < 0)
			return -EINVAL;
		config->has_rules = *text;
		return 0;
	}
	return -EINVAL;
}

_Static_assert(sizeof(enum config_mode) == sizeof(unsigned), "config_set() stores choices as unsigned");
_Static_assert(sizeof(enum config_tls_share) == sizeof(unsigned), "config_set() stores choices as unsigned");
_Static_assert(sizeof(enum config_mysql_share) == sizeof(unsigned), "config_set() stores choices as unsigned");
_Static_assert(sizeof(enum config_tls_h2) == sizeof(unsigned), "config_set() stores choices as unsigned");
_Static_assert(sizeof(enum config_tls) == sizeof(unsigned), "config_set() stores choices as unsigned");
_Static_assert(sizeof(enum config_unsafe_methods) == sizeof(unsigned), "config_set() stores choices as unsigned");

static bool is_ours(const char *entry)
{
	static const char prefix[] = "HOLDLINE_";

	return entry[0] == prefix[0] && strncmp(entry, prefix, sizeof(prefix) - 1) == 0;
}

/* So many settings are looked for among themselves, and not among all variables for each option. */
#define OURS_MAX 64

/* Fills in the entries that are ours, in their order. Returns them, or all where there are too many. */
static char *const *find_ours(char *const environment[], char *ours[])
{
	size_t n = 0;

	for (char *const *at = environment; at && *at; at++) {
		if (!is_ours(*at))
			continue;
		if (n == OURS_MAX)
			return environment;
		ours[n++] = *at;
	}
	ours[n] = NULL;
	return ours;
}

/* The value of `name` in the environment, as getenv() finds it, or NULL. */
static const char *find_variable(char *const environment[], const char *name)
{
	size_t length = strlen(name);

	for (; *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

/* Values that a profile gives to variables that are not set. */
static const struct profile_default {
	enum config_profile profile;
	const char *variable;
	const char *value;
} profile_defaults[] = {
	{CONFIG_PROFILE_GO, "HOLDLINE_DIAL_TIMEOUT", "30s"},
	{CONFIG_PROFILE_GO, "HOLDLINE_KEEP_ALIVE", "60s"},
	{CONFIG_PROFILE_GO, "HOLDLINE_MAX_IDLE_CONNS", "500"},
	{CONFIG_PROFILE_GO, "HOLDLINE_IDLE_CONN_TIMEOUT", "60s"},
	{CONFIG_PROFILE_GO, "HOLDLINE_EXPECT_CONTINUE_TIMEOUT", "30s"},
	{CONFIG_PROFILE_GO, "HOLDLINE_MAX_IDLE_CONNS_PER_HOST", "100"},
};

static const char *default_of(const struct config *config, const struct config_option *option)
{
	for (size_t i = 0; i < ARRAY_LENGTH(profile_defaults); i++)
		if (profile_defaults[i].profile == config->profile &&
		    strcmp(profile_defaults[i].variable, option->variable) == 0)
			return profile_defaults[i].value;
	return NULL;
}

int config_read_environment(struct config *config, char *const environment[], const struct config_option **bad)
{
	char *found[OURS_MAX + 1];
	char *const *ours = find_ours(environment, found);

	/* The table begins with the profile; the rules are based on all the other options. */
	for (size_t i = 0; i < config_n_options; i++) {
		const char *value = find_variable(ours, config_options[i].variable);

		if (!value || !*value)
			value = default_of(config, &config_options[i]);
		if (!value || config_set(config, &config_options[i], value) == 0)
			continue;
		if (bad)
			*bad = &config_options[i];
		return -EINVAL;
	}
	if (!config->has_rules || rules_parse(config, NULL) == 0)
		return 0;
	if (bad)
		*bad = config_find("HOLDLINE_RULES");
	return -EINVAL;
}

const struct config_option *config_find(const char *variable)
{
	for (size_t i = 0; i < config_n_options; i++)
		if (strcmp(config_options[i].variable, variable) == 0)
			return &config_options[i];
	return NULL;
}
