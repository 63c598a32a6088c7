/*
 * Logins on connections whose server speaks first (MySQL, MariaDB): what it said, what its client is able to, and what
 * programs were seen to do, as far as it decides whether a kept connection can stand in for a fresh one.
 *
 * A program that gets a kept connection is shown the greeting that this very connection began with; its login is then
 * carried over (pool/proto/mysql/login.h). That works only if the program would have said the same of itself as the one
 * who logged in first: so it is foretold from what was said before from the same place of the program.
 *
 * Plain data, zeroes are a beginning. The owner holds its lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"

#define LOGIN_GREETING_MAX 192
#define LOGIN_GOODBYE_MAX 8

struct login {
	uint16_t greeting_length;
	uint8_t greeting[LOGIN_GREETING_MAX]; /* with its head */
	uint32_t capabilities;		      /* as the client said */
	uint32_t max_packet;
	uint32_t extended;  /* MariaDB's */
	bool offers_tls;    /* the server does */
	bool may_take_long; /* what its last user left is not undone in an instant */
	uint8_t goodbye_length;
	uint8_t goodbye[LOGIN_GOODBYE_MAX]; /* what the server is to hear before the connection ends */
};

/* The goodbye, as ending.h takes it. */
struct pool_farewell login_farewell(const struct login *login);

/* True if both clients are of one kind. Whether one names a database is not of it. */
bool login_is_alike(const struct login *one, const struct login *other);

#define LOGIN_SITES 4
#define LOGIN_USERS 8
/* A server that offers TLS: a client that has not asked for it so often will not. */
#define LOGIN_PLAIN_ENOUGH 3

struct login_site {
	uint64_t who; /* 0: none */
	uint32_t capabilities, max_packet, extended;
	uint32_t n;
	bool is_ambiguous; /* clients of several kinds log in from there */
};

struct login_habits {
	struct login_site sites[LOGIN_SITES];
	uint64_t users[LOGIN_USERS]; /* whose logins need no other answer than the first one; 0: none */
	uint32_t next_site, next_user;
};

/* A login by `who` (a place in the program) was good. How many there were before. */
unsigned login_habits_note(struct login_habits *habits, uint64_t who, const struct login *login);

/* True if the next one by `who` is expected to be like it. */
bool login_habits_expect(const struct login_habits *habits, uint64_t who, const struct login *login);

/* True if nothing speaks against it: he may not have been seen before. */
bool login_habits_allow(const struct login_habits *habits, uint64_t who, const struct login *login);

/* Nothing is expected of it any more. */
void login_habits_forbid(struct login_habits *habits, uint64_t who);

/* Of a user, by a number that stands for its name (not 0). */
void login_habits_note_user(struct login_habits *habits, uint64_t user);
bool login_habits_know_user(const struct login_habits *habits, uint64_t user);
