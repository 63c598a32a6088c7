/*
 * The test server's connections: reads requests, decides who ends the connection, and ends it. See server.h.
 */
#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

bool server_send(struct client *client, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t sent = send(client->fd, at, length, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		at += sent;
		length -= (size_t)sent;
		server_count(&server_stats.bytes, sent);
	}
	return true;
}

void server_end(struct client *client, bool by_rst)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (by_rst)
		setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(client->fd);
	client->fd = -1;
	client->finished = true;
}

const char *server_header(const struct client *client, const char *name, size_t *length)
{
	const char *line = client->buffer, *end = client->buffer + client->head_length;
	size_t name_length = strlen(name);

	while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL && ++line < end) {
		const char *value, *stop;

		if ((size_t)(end - line) <= name_length || strncasecmp(line, name, name_length) ||
		    line[name_length] != ':')
			continue;
		stop = memchr(line, '\r', (size_t)(end - line));
		for (value = line + name_length + 1; value < stop && *value == ' '; value++)
			;
		while (stop > value && stop[-1] == ' ')
			stop--;
		*length = (size_t)(stop - value);
		return value;
	}
	return NULL;
}

bool server_header_has(const struct client *client, const char *name, const char *token)
{
	size_t length, token_length = strlen(token);
	const char *value = server_header(client, name, &length);

	for (size_t i = 0; value && i + token_length <= length; i++)
		if (strncasecmp(value + i, token, token_length) == 0)
			return true;
	return false;
}

/* Reads more into the buffer: 1, 0 at the end, -1 at an error. */
static int read_more(struct client *client)
{
	ssize_t n;

	if (client->length + 65536 > client->capacity) {
		client->capacity = client->capacity * 2 + 65536;
		client->buffer = realloc(client->buffer, client->capacity);
	}
	n = recv(client->fd, client->buffer + client->length, client->capacity - client->length - 1, 0);
	if (n < 0 && errno == ECONNRESET)
		server_count(&server_stats.resets, 1);
	if (n <= 0)
		return (int)n;
	client->length += (size_t)n;
	client->buffer[client->length] = 0;
	return 1;
}

static bool read_head(struct client *client)
{
	for (;;) {
		char *end = client->length ? memmem(client->buffer, client->length, "\r\n\r\n", 4) : NULL;

		if (end) {
			client->head_length = (size_t)(end + 4 - client->buffer);
			return sscanf(client->buffer, "%15s %511s HTTP/1.%d", client->method, client->path,
				      &client->minor) == 3;
		}
		if (read_more(client) <= 0)
			return false;
	}
}

/* Decodes a chunked body in place; *raw is its length as it came. False: more bytes are needed. */
static bool decode_chunks(char *body, size_t length, size_t *decoded, size_t *raw)
{
	size_t at = 0, out = 0;

	for (;;) {
		char *line_end = memmem(body + at, length - at, "\r\n", 2);
		size_t size;

		if (!line_end)
			return false;
		size = strtoul(body + at, NULL, 16);
		at = (size_t)(line_end + 2 - body);
		if (length < at + size + 2)
			return false;
		if (size == 0) {
			*decoded = out;
			*raw = at + 2;
			return true;
		}
		memmove(body + out, body + at, size);
		out += size;
		at += size + 2;
	}
}

static bool read_chunked_body(struct client *client)
{
	for (;;) {
		size_t length = client->length - client->head_length, decoded, raw;
		char *copy = malloc(length + 1);
		bool whole;

		memcpy(copy, client->buffer + client->head_length, length);
		copy[length] = 0;
		whole = decode_chunks(copy, length, &decoded, &raw);
		if (whole) {
			memcpy(client->buffer + client->head_length, copy, decoded);
			client->body_length = decoded;
			client->consumed = client->head_length + raw;
		}
		free(copy);
		if (whole)
			return true;
		if (read_more(client) <= 0)
			return false;
	}
}

static bool read_body(struct client *client)
{
	size_t length;
	const char *value = server_header(client, "Content-Length", &length);

	client->body_length = 0;
	client->consumed = client->head_length;
	if (strncmp(client->path, "/early", 6) == 0)
		return true;
	if (server_header_has(client, "Expect", "100-continue") && strncmp(client->path, "/status/417", 11) != 0)
		server_send(client, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (server_header_has(client, "Transfer-Encoding", "chunked"))
		return read_chunked_body(client);
	if (!value || strncmp(client->path, "/status/417", 11) == 0)
		return true;
	client->body_length = strtoul(value, NULL, 10);
	client->consumed = client->head_length + client->body_length;
	while (client->length < client->consumed)
		if (read_more(client) <= 0)
			return false;
	return true;
}

static void decide_keep(struct client *client)
{
	if (server_header_has(client, "Connection", "close") || server_options.no_keep_alive)
		client->keep = false;
	else
		client->keep = client->minor >= 1 || server_header_has(client, "Connection", "keep-alive");
}

/* The id of a POST is in its query (?id=7), or in its body (id=7). */
static long request_id(const struct client *client)
{
	const char *id = strstr(client->path, "id="), *body = client->buffer + client->head_length;

	if (!id && client->body_length > 3 && strncmp(body, "id=", 3) == 0)
		id = body;
	return id ? atol(id + 3) : -1;
}

static void count_request(struct client *client)
{
	bool post = strcmp(client->method, "POST") == 0;

	if (client->n_requests++ == 0) {
		server_count(&server_stats.connections, 1);
		client->number = __atomic_load_n(&server_stats.connections, __ATOMIC_SEQ_CST);
	} else {
		server_count(&server_stats.reused, 1);
	}
	server_count(&server_stats.requests, 1);
	server_count(post ? &server_stats.posts : &server_stats.gets, 1);
	if (post)
		server_execute(request_id(client));
}

static void answer_control(struct client *client)
{
	struct server_stats *s = &server_stats;
	char body[512], head[128];
	int length;

	if (strcmp(client->path, "/reset") == 0) {
		memset(s, 0, offsetof(struct server_stats, open));
		s->peak = s->open;
	}
	length = snprintf(
		body, sizeof body,
		"connections=%ld accepted=%ld requests=%ld gets=%ld posts=%ld duplicates=%ld dropped=%ld bytes=%ld reused=%ld "
		"resets=%ld open=%ld peak=%ld\n",
		s->connections, s->accepted, s->requests, s->gets, s->posts, s->duplicates, s->dropped, s->bytes,
		s->reused, s->resets, s->open, s->peak);
	server_send(client, head,
		    (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length));
	server_send(client, body, (size_t)length);
	client->keep = false;
}

/* Waits for more bytes; false: the server gives up on the idle connection. */
static bool wait_for_request(struct client *client)
{
	struct pollfd pollfd = {.fd = client->fd, .events = POLLIN};

	if (client->length > 0 || client->n_requests == 0 || server_options.idle_timeout_ms == 0)
		return true;
	return poll(&pollfd, 1, server_options.idle_timeout_ms) > 0;
}

/* Serves one request: false when the connection must end. */
static bool serve_request(struct client *client, bool control)
{
	if (!wait_for_request(client) || !read_head(client) || !read_body(client))
		return false;
	decide_keep(client);
	if (control) {
		answer_control(client);
		return false;
	}
	count_request(client);
	if (client->n_requests > 1 && server_options.drop_percent > 0 && server_draws_drop()) {
		server_count(&server_stats.dropped, 1);
		server_end(client, server_options.drop_by_rst);
		return false;
	}
	server_answer(client);
	if (client->finished)
		return false;
	memmove(client->buffer, client->buffer + client->consumed, client->length - client->consumed);
	client->length -= client->consumed;
	client->buffer[client->length] = 0;
	return client->keep;
}

static void wait_for_end(struct client *client)
{
	char rest[4096];

	while (recv(client->fd, rest, sizeof rest, 0) > 0)
		;
}

void server_serve(int fd, bool control)
{
	struct client client = {.fd = fd};
	long open = control ? 0 : __atomic_add_fetch(&server_stats.open, 1, __ATOMIC_SEQ_CST);

	if (!control)
		server_count(&server_stats.accepted, 1);
	if (open > server_stats.peak)
		server_stats.peak = open;
	while (serve_request(&client, control))
		;
	if (client.fd >= 0 && server_options.client_closes_first)
		wait_for_end(&client);
	if (client.fd >= 0)
		close(client.fd);
	if (!control)
		server_count(&server_stats.open, -1);
	free(client.buffer);
}
