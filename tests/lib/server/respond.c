/*
 * How the test server writes answers. See server.h.
 *
 * The Connection field of an answer is `keep-alive`, or `close` padded to the same length. So a same-length edit of
 * "keep-alive" to "close" gives the client exactly the bytes that the server sends when it does close.
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *server_connection_field(const struct client *client)
{
	if (!client->keep)
		return "Connection: close     \r\n";
	return server_options.silent_keep ? "" : "Connection: keep-alive\r\n";
}

void server_send_text(struct client *client, const char *text)
{
	server_send(client, text, strlen(text));
}

void server_fill_body(char *body, size_t length)
{
	for (size_t i = 0; i < length; i++)
		body[i] = i % 64 == 63 ? '\n' : (char)('a' + (i * 7 + i / 64) % 26);
}

const char *server_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 401:
		return "Unauthorized";
	case 408:
		return "Request Timeout";
	default:
		return "Whatever";
	}
}

/* Sends a head and a body of a known length in one piece. */
void server_respond(struct client *client, int status, const char *fields, const char *body, size_t length)
{
	bool head_only = strcmp(client->method, "HEAD") == 0;
	size_t capacity = length + strlen(fields) + 512;
	char *bytes = malloc(capacity);
	int n = snprintf(bytes, capacity,
			 "HTTP/1.%d %d %s\r\nContent-Length: %zu\r\nContent-Type: text/plain\r\n%s%s\r\n",
			 client->minor, status, server_reason(status), length, server_connection_field(client), fields);

	if (!head_only)
		memcpy(bytes + n, body, length);
	server_send(client, bytes, (size_t)n + (head_only ? 0 : length));
	free(bytes);
}

void server_respond_pattern(struct client *client, int status, const char *fields, size_t length)
{
	char *body = malloc(length + 1);

	server_fill_body(body, length);
	server_respond(client, status, fields, body, length);
	free(body);
}
