/*
 * The test server: an HTTP/1.x server on 127.0.0.1 and ::1 that keeps connections, counts everything and misbehaves on
 * request.
 *
 * One thread per connection, except with --single-threaded. Paths choose behaviours (paths.c), options choose those of
 * the whole server (server.c). A control port answers /stats and /reset and is never counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server_options {
	int port;
	bool any_address; /* listen beyond the loopback interface: for private namespaces only */
	int drop_percent; /* of the second and later requests of a connection */
	bool drop_by_rst;
	unsigned seed;
	int idle_timeout_ms; /* 0: none */
	bool single_threaded;
	bool client_closes_first; /* after `Connection: close`, wait for the client's end */
	bool no_keep_alive;	  /* every answer says close */
	bool silent_keep;	  /* no Connection field if the connection is kept (most servers) */
};

/* `connections` are those with a request, `accepted` all. */
struct server_stats {
	long connections, accepted, requests, gets, posts, duplicates, dropped, bytes, reused, resets, open, peak;
};

/* A connection and the request that is being answered on it. */
struct client {
	int fd;
	long number; /* connections counted from 1 */
	long n_requests;
	char *buffer; /* head, body, then any later bytes */
	size_t length, capacity;
	size_t head_length;
	size_t body_length; /* decoded bytes, right behind the head */
	size_t consumed;    /* head and body as received */
	char method[16];
	char path[512];
	int minor;
	bool keep;
	bool finished; /* the connection has already been ended */
};

extern struct server_options server_options;
extern struct server_stats server_stats;

/* Adds to a counter of server_stats, atomically. */
void server_count(long *counter, long by);

/* Records that the POST of this id was executed; counts a duplicate if it had been before. */
void server_execute(long id);

/* True with the probability of --drop. */
bool server_draws_drop(void);

/* Serves one accepted connection to its end, and closes it. */
void server_serve(int fd, bool control);

/* Answers the request in `client` according to its path. */
void server_answer(struct client *client);

/* Sends all bytes, or false if the peer is gone. */
bool server_send(struct client *client, const void *bytes, size_t length);

/* Sends a string. */
void server_send_text(struct client *client, const char *text);

/* The Connection line of the answer, or "". */
const char *server_connection_field(const struct client *client);

/* The words of a status. */
const char *server_reason(int status);

/* Fills `length` bytes with the text of all bodies. */
void server_fill_body(char *body, size_t length);

/* Sends a head with more fields, and a body of a known length: the given one, or the usual text. */
void server_respond(struct client *client, int status, const char *fields, const char *body, size_t length);
void server_respond_pattern(struct client *client, int status, const char *fields, size_t length);

/* Ends the connection at once: by FIN, or by RST. */
void server_end(struct client *client, bool by_rst);

/* Value of a header field of the request, or NULL; *length is its length without surrounding spaces. */
const char *server_header(const struct client *client, const char *name, size_t *length);

/* True if the field holds the token. */
bool server_header_has(const struct client *client, const char *name, const char *token);
