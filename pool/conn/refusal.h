/* Why a connection was not kept or not given out. Order and names are those of reports: see stats_refusal_names
 * (pool/stats/stats.h). Another list or order is another STATS_VERSION. */
#pragma once

enum refusal {
	REFUSAL_NONE,
	REFUSAL_SERVER_CLOSE,  /* the server said or did so */
	REFUSAL_HTTP10,	       /* an HTTP/1.0 answer without keep-alive */
	REFUSAL_NO_FRAMING,    /* an answer that only ends with the connection */
	REFUSAL_CLIENT_CLOSE,  /* the program closed inside an exchange, or shut its side down */
	REFUSAL_BODY_UNREAD,   /* the program left a part of the answer unread */
	REFUSAL_NOT_CANONICAL, /* framing that two parsers might read differently */
	REFUSAL_UPGRADE,
	REFUSAL_UNSAFE_METHOD,	   /* moved to a fresh connection rather than risked on a kept one */
	REFUSAL_IDLE_TIMEOUT,	   /* ours */
	REFUSAL_SERVER_IDLE_CLOSE, /* the server had hung up on it while it was idle: found before it was used */
	REFUSAL_STALE,		   /* ... found when it was used */
	REFUSAL_POOL_FULL,
	REFUSAL_SHARED, /* other descriptors, threads or processes may still use it */
	REFUSAL_AUTH_BOUND,
	REFUSAL_SOCKOPT, /* an option, flag or call that can't be undone */
	REFUSAL_LEDGER,	 /* the kernel counted other bytes than we */
	REFUSAL_ERROR,
	REFUSAL_TLS_OPAQUE,
	REFUSAL_UNKNOWN_PROTOCOL,
	REFUSAL_POLICY,		    /* max age, max requests, mode */
	REFUSAL_PROBED,		    /* not given to a prober (habits.h): its server was not heard lately */
	REFUSAL_BYPASSED,	    /* left alone: reuse has failed there several times in a row (bypass.h) */
	REFUSAL_HTTP2,		    /* ALPN chose another protocol than HTTP/1.1 */
	REFUSAL_CLIENT_CERTIFICATE, /* the server asked for one, and the program has one */
	REFUSAL_TLS_VERSION,	    /* or cipher suite, that is not followed */
	REFUSAL_TLS_RESUMED,	    /* a session was resumed, which can't be repeated */
	REFUSAL_SESSION_STATE,	    /* its session can't be reset */
	REFUSAL_UNFINISHED_REPLY,   /* the program closed before all its commands were answered */
	REFUSAL_AUTHENTICATED,	    /* its session can't be logged out */
	REFUSAL_FENCE_FAILED,	    /* what the server answered to the reset is no proof */
	REFUSAL_REFUSED_COMMAND,    /* a command that can't be undone, or after which replies can't be counted */
	REFUSAL_FIRST_LOGIN,	    /* the first one from its place in the program: whether more come is not known */
	REFUSAL_COUNT
};
