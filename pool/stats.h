/* Counters of one process. Written under the pool's lock or by relaxed atomic adds; read at any time. */
#pragma once

#include <stdint.h>

/* Why a connection was not kept or not given out. Order and names are those of reports: see stats_refusal_names. */
enum refusal {
	REFUSAL_NONE,
	REFUSAL_SERVER_CLOSE,  /* the server said or did so */
	REFUSAL_CLIENT_CLOSE,  /* the program closed inside an exchange, or shut its side down */
	REFUSAL_BODY_UNREAD,   /* the program left a part of the answer unread */
	REFUSAL_NOT_CANONICAL, /* framing that two parsers might read differently */
	REFUSAL_UPGRADE,
	REFUSAL_UNSAFE_METHOD, /* moved to a fresh connection rather than risked on a kept one */
	REFUSAL_IDLE_TIMEOUT,
	REFUSAL_STALE, /* the server had hung up on it meanwhile */
	REFUSAL_POOL_FULL,
	REFUSAL_SHARED, /* other descriptors, threads or processes may still use it */
	REFUSAL_AUTH_BOUND,
	REFUSAL_SOCKOPT, /* an option, flag or call that can't be undone */
	REFUSAL_LEDGER,	 /* the kernel counted other bytes than we */
	REFUSAL_ERROR,
	REFUSAL_UNKNOWN_PROTOCOL,
	REFUSAL_POLICY, /* max age, max requests, mode */
	REFUSAL_COUNT
};

extern const char *const stats_refusal_names[REFUSAL_COUNT];

struct stats {
	uint64_t dialed;
	uint64_t leased;
	uint64_t borrowed; /* of those: from other processes */
	uint64_t parked;
	uint64_t replayed;
	uint64_t ports_exhausted; /* dials that met EADDRNOTAVAIL */
	uint64_t reusable;	  /* observe mode: would have been parked */
	uint64_t refused[REFUSAL_COUNT];
};
