/*
 * Configuration: one table of options that the shim (HOLDLINE_* variables), `holdline run` (flags) and the
 * documentation are all made from.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_mode { CONFIG_MODE_OFF, CONFIG_MODE_OBSERVE, CONFIG_MODE_FULL };
enum config_profile { CONFIG_PROFILE_NONE, CONFIG_PROFILE_GO };
enum config_port_scan { CONFIG_PORT_SCAN_KERNEL, CONFIG_PORT_SCAN_RANGE };
enum config_pool { CONFIG_POOL_LOCAL, CONFIG_POOL_SHARED };
enum config_callsites { CONFIG_CALLSITES_OFF, CONFIG_CALLSITES_ADDRESS, CONFIG_CALLSITES_STACK };
enum config_relay { CONFIG_RELAY_OFF, CONFIG_RELAY_AUTO, CONFIG_RELAY_ALWAYS };
enum config_pipeline { CONFIG_PIPELINE_AT_LIMIT, CONFIG_PIPELINE_ALWAYS };
enum config_tls_share { CONFIG_TLS_SHARE_RUN, CONFIG_TLS_SHARE_USER };
enum config_protocols {
	CONFIG_PROTOCOLS_HTTP,
	CONFIG_PROTOCOLS_REDIS,
	CONFIG_PROTOCOLS_MEMCACHED,
	CONFIG_PROTOCOLS_MYSQL,
	CONFIG_PROTOCOLS_ALL
};
enum config_mysql_share { CONFIG_MYSQL_SHARE_OFF, CONFIG_MYSQL_SHARE_RUN, CONFIG_MYSQL_SHARE_USER };
enum config_tls_h2 { CONFIG_TLS_H2_NATIVE, CONFIG_TLS_H2_REFUSE };
enum config_tls { CONFIG_TLS_OFF, CONFIG_TLS_REUSE };
enum config_unsafe_methods { CONFIG_UNSAFE_FRESH, CONFIG_UNSAFE_YOUNG, CONFIG_UNSAFE_REUSE };

/* Settings that may differ between destinations: see rules.h. Durations and counts: 0 is no limit. */
struct policy {
	enum config_mode mode;			   /* HOLDLINE_MODE, default full */
	bool rewrite;				   /* HOLDLINE_REWRITE=on|off, default on */
	enum config_unsafe_methods unsafe_methods; /* HOLDLINE_UNSAFE_METHODS=fresh|young|reuse, default fresh */
	enum config_protocols protocols;	   /* HOLDLINE_PROTOCOLS=http|redis|memcached|mysql|all, default all */
	enum config_mysql_share mysql_share;	   /* HOLDLINE_MYSQL_SHARE=off|run|user, default off */
	enum config_tls tls;			   /* HOLDLINE_TLS=off|reuse, default off */
	uint64_t dial_timeout_ns;		   /* HOLDLINE_DIAL_TIMEOUT, default 0 */
	uint64_t keep_alive_ns;			   /* HOLDLINE_KEEP_ALIVE, default 0 */
	uint64_t response_header_timeout_ns;	   /* HOLDLINE_RESPONSE_HEADER_TIMEOUT, default 0 */
	uint64_t expect_continue_timeout_ns;	   /* HOLDLINE_EXPECT_CONTINUE_TIMEOUT, default 0 */
	uint64_t idle_conn_timeout_ns;		   /* HOLDLINE_IDLE_CONN_TIMEOUT, default 60s */
	uint32_t max_idle_conns_per_host;	   /* HOLDLINE_MAX_IDLE_CONNS_PER_HOST, default 100 */
	uint32_t max_conns_per_host;		   /* HOLDLINE_MAX_CONNS_PER_HOST, default 0 */
	uint32_t pipeline;			   /* HOLDLINE_PIPELINE, default 0 */
	enum config_pipeline pipeline_when;	   /* HOLDLINE_PIPELINE_WHEN=limit|always, default limit */
	uint64_t max_conn_age_ns;		   /* HOLDLINE_MAX_CONN_AGE, default 90s */
	uint32_t max_conn_requests;		   /* HOLDLINE_MAX_CONN_REQUESTS, default 10000 */
};

/* The switch of a whole machine: while this file exists, programs that start have nothing done to them. */
#define CONFIG_OFF_SWITCH "/etc/holdline/off"

#define CONFIG_RULES_MAX 32
#define CONFIG_RULES_TEXT_MAX 4096

struct rule {
	uint16_t family; /* 0: any */
	uint8_t address[16];
	unsigned prefix_length;		/* bits of the address that count */
	uint16_t first_port, last_port; /* in the host's order */
	struct policy policy;
};

struct config {
	struct policy policy;
	enum config_profile profile;	 /* HOLDLINE_PROFILE=none|go, default none */
	enum config_pool pool;		 /* HOLDLINE_POOL=local|shared, default shared */
	enum config_tls_share tls_share; /* HOLDLINE_TLS_SHARE=run|user, default run */
	enum config_tls_h2 tls_h2;	 /* HOLDLINE_TLS_H2=native|refuse, default native */
	bool ca_cache;			 /* HOLDLINE_CA_CACHE=on|off, default on */
	enum config_relay relay;	 /* HOLDLINE_RELAY=off|auto|always, default auto */
	enum config_port_scan port_scan; /* HOLDLINE_PORT_SCAN=range|kernel, default range */
	uint32_t max_idle_conns;	 /* HOLDLINE_MAX_IDLE_CONNS, default 500, 0: no limit */
	enum config_callsites callsites; /* HOLDLINE_CALLSITES=off|address|stack, default address */
	unsigned n_rules;		 /* first match wins */
	bool has_log, has_rules;	 /* there is such a text: it costs a page to look */
	/* Behind the fields that each process reads, so that these cost it no page. */
	char stats_path[PATH_MAX];		/* HOLDLINE_STATS=auto|off|FOLDER, default auto: see stats/file.h */
	char broker_path[PATH_MAX];		/* HOLDLINE_BROKER, default "": none; `holdline run` starts one */
	char log_path[PATH_MAX];		/* HOLDLINE_LOG, default "": no log */
	char rules_text[CONFIG_RULES_TEXT_MAX]; /* HOLDLINE_RULES, default "" */
	struct rule rules[CONFIG_RULES_MAX];
};

/* How an option's value is written, and the type of its field: an enum, a bool, uint64_t nanoseconds, uint32_t,
 * char[PATH_MAX], char[CONFIG_RULES_TEXT_MAX]. */
enum config_kind {
	CONFIG_KIND_CHOICE,
	CONFIG_KIND_SWITCH,
	CONFIG_KIND_DURATION,
	CONFIG_KIND_COUNT,
	CONFIG_KIND_PATH,
	CONFIG_KIND_RULES,
};

struct config_option {
	const char *variable;	   /* "HOLDLINE_IDLE_CONN_TIMEOUT" */
	const char *flag;	   /* "idle-conn-timeout", for --idle-conn-timeout=VALUE */
	const char *value_name;	   /* "DURATION", "off|observe|full" */
	const char *default_value; /* in the same notation: "60s" */
	const char *help;	   /* one sentence */
	enum config_kind kind;
	size_t offset;		    /* of the field in struct config */
	const char *const *choices; /* NULL-terminated, in the order of the enum; CONFIG_KIND_CHOICE only */
};

extern const struct config_option config_options[];
extern const size_t config_n_options;

/* Fills in the defaults. */
void config_init(struct config *config);

/* The same for a struct that is all zero. */
void config_set_defaults(struct config *config);

/* The option of a variable; NULL: there is none. */
const struct config_option *config_find(const char *variable);

/* Sets one option from text. 0, or -EINVAL for a value that the option doesn't take (`config` is then unchanged). No
 * allocation, no locale, async-signal-safe: the shim calls it in its constructor. */
int config_set(struct config *config, const struct config_option *option, const char *text)
	__attribute__((warn_unused_result));

/* True for options that a rule may set for its destinations. */
static inline bool config_is_policy(const struct config_option *option)
{
	return option->offset < sizeof(struct policy);
}

/* Reads every HOLDLINE_* variable of the table from `environment` (NULL-terminated "NAME=value" strings); an empty
 * value counts as unset, and the first of two settings wins, as in getenv(). 0, or -EINVAL with *bad pointing to the
 * first option of the table whose value is wrong (bad may be NULL); `config` is then half-filled: stay native. */
int config_read_environment(struct config *config, char *const environment[], const struct config_option **bad)
	__attribute__((warn_unused_result));

/* Parses a duration as Go's time.ParseDuration does for non-negative values: "0", "500ms", "1m30s", "1.5h", units ns us
 * (also µs) ms s m h. 0, -EINVAL for bad syntax, -ERANGE above INT64_MAX: a time plus a duration never overflows. */
int config_parse_duration(const char *text, uint64_t *duration_ns) __attribute__((warn_unused_result));
