/*
 * The login of MySQL and MariaDB ("Connection Phase" in the servers' documents): read, and written anew so that a
 * connection on which somebody has logged in before carries another login (COM_CHANGE_USER), or a fresh connection one
 * that was made for another greeting.
 *
 * Only `mysql_native_password` is answered here: its scramble is of the greeting's salt, which the server asks for
 * again at a COM_CHANGE_USER. Everything else is the program's to answer.
 *
 * Packets are given and written with their heads. All is plain data; no allocation, no locks, no system calls;
 * async-signal-safe. What was read points into the packet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/fence.h"
#include "pool/proto/mysql/framing.h"

#define MYSQL_SALT 20
#define MYSQL_SCRAMBLE 20

struct mysql_bytes {
	const uint8_t *at;
	size_t length;
};

struct mysql_greeting {
	uint8_t salt[MYSQL_SALT];
	uint32_t capabilities, extended; /* the server's */
	bool has_reset;			 /* it is new enough for COM_RESET_CONNECTION */
	bool offers_tls;
	bool is_native; /* its accounts log in by mysql_native_password, unless it asks for something else */
};

struct mysql_response {
	struct login login; /* but for the greeting */
	uint8_t character_set;
	uint8_t fixed[32]; /* how its payload begins: capabilities, packet's limit, character set, extended ones */
	struct mysql_bytes user, scramble, database, plugin, attributes;
};

/* The whole length of the packet that begins so; 0: it is not all there. */
size_t mysql_packet_length(const uint8_t *bytes, size_t length);

/* False: it is none, or of a kind that is not known. */
bool mysql_read_greeting(const uint8_t *packet, size_t length, struct mysql_greeting *greeting)
	__attribute__((warn_unused_result));
bool mysql_read_response(const uint8_t *packet, size_t length, struct mysql_response *response)
	__attribute__((warn_unused_result));

/* True if a client with these capabilities can be asked for another scramble (an AuthSwitchRequest), as servers may ask
 * those who know of authentication plugins. node-mysql knows what it is asked, though it says nothing of it. */
bool mysql_can_be_asked(uint32_t capabilities);

/* True if it can be carried over: by a native scramble, or without a password. */
bool mysql_response_is_native(const struct mysql_response *response);

/* A number that stands for its user, never 0. */
uint64_t mysql_user_number(const struct mysql_response *response);

/* True if this packet of the server asks for a native scramble of that salt. */
bool mysql_asks_for_same(const uint8_t *packet, size_t length, const struct mysql_greeting *greeting);

/* Each writes one packet of this number. Its length; 0: there is no room. */
size_t mysql_write_change_user(const struct mysql_response *response, uint8_t *to, size_t room);
size_t mysql_write_answer(struct mysql_bytes scramble, uint8_t number, uint8_t *to, size_t room);
size_t mysql_write_switch(const struct mysql_greeting *greeting, uint8_t number, uint8_t *to, size_t room);
size_t mysql_write_response(const struct mysql_response *response, struct mysql_bytes scramble, uint8_t *to,
			    size_t room);

/* A fence's answer, from its first byte on. */
enum mysql_answer {
	MYSQL_ANSWER_PARTIAL,
	MYSQL_ANSWER_GOOD,
	MYSQL_ANSWER_WRONG,
	MYSQL_ANSWER_NEVER, /* this server has no reset, or runs statements at each login that a reset leaves out */
};

/* *whole: how long it is, where it is good; something may follow. */
enum mysql_answer mysql_read_answer(const struct fence *fence, const uint8_t *bytes, size_t length, size_t *whole);
