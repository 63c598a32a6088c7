/* See missed.h. */
#include "shim/kept/missed.h"

const char missed_names[MISSED_COUNT][MISSED_NAME_SIZE] = {
	[MISSED_NONE_IDLE] = "none_idle",
	[MISSED_BROKER_NONE] = "broker_none",
	[MISSED_BROKER_SILENT] = "broker_silent",
	[MISSED_PROBED] = "probed",
	[MISSED_UNSAFE_METHOD] = "unsafe_method",
	[MISSED_IDLE_TIMEOUT] = "idle_timeout",
	[MISSED_SERVER_IDLE_CLOSE] = "server_idle_close",
	[MISSED_STALE] = "stale",
	[MISSED_LEDGER] = "ledger",
	[MISSED_LIMIT] = "limit",
	[MISSED_POLICY] = "policy",
	[MISSED_OWN_PORT] = "own_port",
	[MISSED_SHARED] = "shared",
	[MISSED_SOCKOPT] = "sockopt",
	[MISSED_UNKNOWN_PROTOCOL] = "unknown_protocol",
	[MISSED_OTHER_HELLO] = "other_hello",
	[MISSED_FENCE_FAILED] = "fence_failed",
	[MISSED_COLD] = "cold",
	[MISSED_WANTS_FRESH] = "wants_fresh",
	[MISSED_OTHER_LOGIN] = "other_login",
	[MISSED_ERROR] = "error",
};
