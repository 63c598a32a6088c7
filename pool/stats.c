/* Names of the counters. See stats.h. */
#include "pool/stats.h"

const char *const stats_refusal_names[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = "none",
	[REFUSAL_SERVER_CLOSE] = "server_close",
	[REFUSAL_CLIENT_CLOSE] = "client_close",
	[REFUSAL_BODY_UNREAD] = "body_unread",
	[REFUSAL_NOT_CANONICAL] = "not_canonical",
	[REFUSAL_UPGRADE] = "upgrade",
	[REFUSAL_UNSAFE_METHOD] = "unsafe_method",
	[REFUSAL_IDLE_TIMEOUT] = "idle_timeout",
	[REFUSAL_STALE] = "stale",
	[REFUSAL_POOL_FULL] = "pool_full",
	[REFUSAL_SHARED] = "shared",
	[REFUSAL_AUTH_BOUND] = "auth_bound",
	[REFUSAL_SOCKOPT] = "sockopt",
	[REFUSAL_LEDGER] = "ledger",
	[REFUSAL_ERROR] = "error",
	[REFUSAL_UNKNOWN_PROTOCOL] = "unknown_protocol",
	[REFUSAL_POLICY] = "policy",
};
