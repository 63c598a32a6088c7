/*
 * Why a connect was not given a kept connection, or the one that it was given had to be replaced: the last word of
 * the log's lines `dial` and `redial`.
 */
#pragma once

enum missed {
	MISSED_NONE,		  /* it was given one */
	MISSED_NONE_IDLE,	  /* this process had none, and there is no broker */
	MISSED_BROKER_NONE,	  /* nor had the broker */
	MISSED_BROKER_SILENT,	  /* nor could the broker be asked, or it gave no answer */
	MISSED_PROBED,		  /* it would not have told the truth to who looks: see pool/conn/habits.h */
	MISSED_UNSAFE_METHOD,	  /* a POST or the like; or what is asked there is never for a kept one */
	MISSED_IDLE_TIMEOUT,	  /* it had been idle for too long */
	MISSED_SERVER_IDLE_CLOSE, /* the server had hung up on it */
	MISSED_STALE,		  /* the same, found when it was used */
	MISSED_LEDGER,		  /* somebody had used it past us */
	MISSED_LIMIT,		  /* leave to dial came first: MAX_CONNS_PER_HOST */
	MISSED_POLICY,		  /* mode observe */
	MISSED_OWN_PORT,	  /* this process listens there */
	MISSED_SHARED,		  /* another process may use the socket too */
	MISSED_SOCKOPT,		  /* an option, flag or call that can't be undone */
	MISSED_OTHER_HELLO,	  /* its TLS handshake is not the one that a kept one has */
	MISSED_UNKNOWN_PROTOCOL,  /* what was sent first was not HTTP, or not what is spoken on it */
	MISSED_FENCE_FAILED,	  /* its server's answer to the reset is no proof, or has not come in time */
	MISSED_COLD,		  /* its server was not heard lately, and the program does not wait for it */
	MISSED_WANTS_FRESH,	  /* a Redis command that a connection with a past would answer otherwise */
	MISSED_OTHER_LOGIN,	  /* no kept one fits what its place in the program says at a login to MySQL */
	MISSED_ERROR,
	MISSED_COUNT
};

#define MISSED_NAME_SIZE sizeof("server_idle_close")
extern const char missed_names[MISSED_COUNT][MISSED_NAME_SIZE];
