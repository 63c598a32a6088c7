/*
 * Framing of MySQL and MariaDB (dev.mysql.com/doc/dev/mysql-server, "Client/Server Protocol"; mariadb.com/kb, "Clients
 * & Utilities, Client/Server Protocol"): where packets begin and end in the two byte streams of one connection, which
 * commands await a reply, and where that ends.
 *
 * The server speaks first: a greeting, then the client's login, then commands, one after the other. What only part of
 * the clients do (TLS, compression, commands behind each other) is not followed.
 *
 * A struct mysql is plain data, as HTTP/1's struct framing is: it may be copied by assignment. No allocation, no locks,
 * no system calls; async-signal-safe; one thread at a time per object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/login.h"
#include "pool/conn/refusal.h"

#define MYSQL_HEAD 4
#define MYSQL_START 64		/* bytes of a packet that may decide something */
#define MYSQL_LOGIN_MAX 3800u	/* of a client's answer to a greeting */
#define MYSQL_KEPT_S 15		/* so long the server is to keep a connection that nobody uses */
#define MYSQL_LONGEST 0xffffffu /* of one packet's payload; so long a one goes on in the next */

/* Capabilities that a client says to have (the documents' CLIENT_ names). */
enum {
	MYSQL_LONG_PASSWORD = 0x1, /* to MariaDB: CLIENT_MYSQL, and no extended ones follow */
	MYSQL_CONNECT_WITH_DB = 0x8,
	MYSQL_COMPRESS = 0x20,
	MYSQL_ODBC = 0x40,
	MYSQL_IGNORE_SPACE = 0x100,
	MYSQL_PROTOCOL_41 = 0x200,
	MYSQL_SSL = 0x800,
	MYSQL_IGNORE_SIGPIPE = 0x1000,
	MYSQL_SECURE_CONNECTION = 0x8000,
	MYSQL_MULTI_STATEMENTS = 0x10000,
	MYSQL_PLUGIN_AUTH = 0x80000,
	MYSQL_CONNECT_ATTRS = 0x100000,
	MYSQL_LENENC_AUTH = 0x200000,
	MYSQL_DEPRECATE_EOF = 0x1000000,
	MYSQL_ZSTD = 0x4000000,
};

/* Of MariaDB's extended ones: column definitions may be left out. */
#define MYSQL_EXTENDED_CACHE_METADATA 0x10u

enum mysql_stage {
	MYSQL_GREETING, /* the server's first packet is to come, or on its way */
	MYSQL_LOGIN,
	MYSQL_COMMANDS,
};

/* The kind of packet that a reply goes on with. */
enum mysql_expect {
	MYSQL_NOTHING, /* no reply is due */
	MYSQL_FIRST,   /* of a query: OK, an error, a file's name, or how many columns */
	MYSQL_COLUMN,
	MYSQL_COLUMNS_END,
	MYSQL_ROW,
	MYSQL_PREPARED,
	MYSQL_PARAMETER,
	MYSQL_PARAMETERS_END,
	MYSQL_PREPARED_COLUMN,
	MYSQL_PREPARED_END,
	MYSQL_ONE,    /* whatever it is */
	MYSQL_FIELDS, /* column definitions up to an end */
	MYSQL_FILE,   /* the client sends one: nothing is due until its end */
};

/* One direction's place in its packets. */
struct mysql_packet {
	uint32_t length, left; /* of the payload */
	uint8_t head[MYSQL_HEAD];
	uint8_t n_head;
	bool goes_on;  /* the last one was of the longest kind: this one is its rest */
	bool was_long; /* ... the whole of which is of several packets */
	uint8_t n_start;
	uint8_t start[MYSQL_START]; /* of what may be several packets */
};

struct mysql {
	enum mysql_stage stage;
	struct mysql_packet out, in;
	struct login login;
	bool has_answered_greeting;
	bool in_transaction; /* as the server said last */

	enum mysql_expect expect;
	bool in_reply; /* a packet of it has come */
	uint64_t columns, parameters;

	uint64_t n_sent; /* commands that have a reply; the login is the first */
	uint64_t n_answered;

	enum refusal doubt; /* why it never may be kept; the first one stays */
	bool is_lost;
	bool has_surplus;
	bool has_ended;	     /* by the server */
	bool allows_several; /* COM_SET_OPTION: several statements at once, which no reset takes back */
};

/* True for what may be the beginning of a server's greeting. */
bool mysql_is_greeting(const char *bytes, size_t length);

void mysql_init(struct mysql *mysql);
void mysql_feed_request(struct mysql *mysql, const char *bytes, size_t length);

/* Up to the end of the reply that is due, if `only_one`. Returns how many were fed. */
size_t mysql_feed_reply(struct mysql *mysql, const char *bytes, size_t length, bool only_one);
void mysql_feed_end(struct mysql *mysql);

/* Bytes of a row that nobody looked at: at most mysql_known_reply(). */
void mysql_pass_reply(struct mysql *mysql, uint64_t length);
uint64_t mysql_known_reply(const struct mysql *mysql);

/* Nothing is on its way, in either direction. */
bool mysql_is_settled(const struct mysql *mysql);

/* True if these bytes are COM_QUIT and nothing else, where nothing is on its way. */
bool mysql_is_goodbye(const struct mysql *mysql, const char *bytes, size_t length);
