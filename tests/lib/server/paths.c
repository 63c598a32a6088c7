/*
 * The test server's behaviours, chosen by the path of the request. See server.h.
 */
#include "server.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct behaviour {
	const char *prefix;
	void (*answer)(struct client *client, const char *argument);
};

static void answer_bytes(struct client *client, const char *argument)
{
	server_respond_pattern(client, 200, "", strtoul(argument, NULL, 10));
}

static void answer_status(struct client *client, const char *argument)
{
	int status = atoi(argument);

	if (status == 408)
		client->keep = false;
	server_respond_pattern(client, status, "", 12);
}

static void answer_no_body(struct client *client, int status, const char *fields)
{
	char head[512];
	int n = snprintf(head, sizeof head, "HTTP/1.%d %d %s\r\n%s%s\r\n", client->minor, status, server_reason(status),
			 server_connection_field(client), fields);

	server_send(client, head, (size_t)n);
}

static void answer_204(struct client *client, const char *argument)
{
	(void)argument;
	answer_no_body(client, 204, "");
}

static void answer_304(struct client *client, const char *argument)
{
	(void)argument;
	answer_no_body(client, 304, "Content-Length: 1234\r\nETag: \"x\"\r\n");
}

static void answer_chunked(struct client *client, const char *argument)
{
	size_t left = strtoul(argument, NULL, 10), at = 0, capacity = left * 2 + 1024;
	char *body = malloc(left + 1), *bytes = malloc(capacity);
	size_t n = (size_t)snprintf(bytes, capacity,
				    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n%s\r\n",
				    server_connection_field(client));
	size_t head_length = n;

	server_fill_body(body, left);
	while (left > 0) {
		size_t size = left > 1000 ? 1000 : left;

		n += (size_t)sprintf(bytes + n, "%zx\r\n", size);
		memcpy(bytes + n, body + at, size);
		n += size;
		n += (size_t)sprintf(bytes + n, "\r\n");
		at += size;
		left -= size;
	}
	n += (size_t)sprintf(bytes + n, "0\r\nX-Sum: 42\r\n\r\n");
	server_send(client, bytes, strcmp(client->method, "HEAD") ? n : head_length);
	free(bytes);
	free(body);
}

/* Two writes without a pause: the second waits for an acknowledgement of the first (Nagle), 40 ms with delayed ACKs. */
static void answer_pieces(struct client *client, unsigned pause_us)
{
	char head[256], body[100];

	server_fill_body(body, sizeof body);
	server_send(client, head,
		    (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", sizeof body,
				     server_connection_field(client)));
	if (strcmp(client->method, "HEAD") == 0)
		return;
	if (pause_us)
		usleep(pause_us);
	server_send(client, body, sizeof body);
}

static void answer_two_pieces(struct client *client, const char *argument)
{
	(void)argument;
	answer_pieces(client, 0);
}

static void answer_slow_pieces(struct client *client, const char *argument)
{
	answer_pieces(client, *argument ? (unsigned)atoi(argument) * 1000 : 10000);
}

static void answer_drip(struct client *client, const char *argument)
{
	size_t length = strtoul(argument, NULL, 10);
	char head[256], *body = malloc(length + 1);

	server_fill_body(body, length);
	server_send(client, head,
		    (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", length,
				     server_connection_field(client)));
	for (size_t i = 0; i < length; i++) {
		usleep(1000);
		if (!server_send(client, body + i, 1))
			break;
	}
	free(body);
}

static void answer_sleep(struct client *client, const char *argument)
{
	usleep((unsigned)atoi(argument) * 1000);
	server_respond_pattern(client, 200, "", 100);
}

static void answer_close_header(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	server_respond_pattern(client, 200, "", 100);
}

static void answer_http10(struct client *client, const char *argument)
{
	(void)argument;
	server_send_text(client, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	client->keep = false;
}

static void answer_no_length(struct client *client, const char *argument)
{
	char body[1000];

	(void)argument;
	client->keep = false;
	server_fill_body(body, sizeof body);
	server_send_text(client, "HTTP/1.1 200 OK\r\n\r\n");
	server_send(client, body, sizeof body);
}

/* A careless server that keeps connections: nothing says where the answer ends. */
static void answer_no_length_kept(struct client *client, const char *argument)
{
	(void)argument;
	server_send_text(client, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
	server_send_text(client, "its end is that of the connection");
}

static void answer_garbage(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	server_send_text(client, "\001\002 this is no HTTP at all\r\n\r\nreally");
}

/* Wrong framings. The bytes go out in one piece, and the server keeps the connection if it was asked to. */
static void respond_raw(struct client *client, const char *fields, const char *body)
{
	char bytes[1024];

	server_send(client, bytes,
		    (size_t)snprintf(bytes, sizeof bytes, "HTTP/1.1 200 OK\r\n%s%s\r\n%s", fields,
				     server_connection_field(client), body));
}

static void answer_surplus(struct client *client, const char *argument)
{
	(void)argument;
	respond_raw(client, "Content-Length: 5\r\n", "helloSURPLUS");
}

/* Like a script that counts characters: much more than announced, for as long as it takes. */
static void answer_long_surplus(struct client *client, const char *argument)
{
	static const char more[10000];

	answer_surplus(client, argument);
	for (unsigned long i = strtoul(argument, NULL, 10); i; i--)
		server_send(client, more, sizeof more);
}

static void answer_both_lengths(struct client *client, const char *argument)
{
	(void)argument;
	respond_raw(client, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
}

static void answer_two_lengths(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	respond_raw(client, "Content-Length: 5\r\nContent-Length: 7\r\n", "hello, ");
}

static void answer_bad_chunk(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	respond_raw(client, "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\nzz\r\nnonsense\r\n");
}

static void answer_bare_lf(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	server_send_text(client, "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close     \n\nhello");
}

static void answer_204_with_body(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	server_send_text(client, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nConnection: close     \r\n\r\nhello");
}

static void answer_big_header(struct client *client, const char *argument)
{
	size_t length = strtoul(argument, NULL, 10);
	char *fields = malloc(length + 16);
	int n = sprintf(fields, "X-Big: ");

	server_fill_body(fields + n, length);
	for (size_t i = 0; i < length; i++)
		if (fields[(size_t)n + i] == '\n')
			fields[(size_t)n + i] = '_';
	strcpy(fields + n + length, "\r\n");
	server_respond_pattern(client, 200, fields, 100);
	free(fields);
}

static void answer_interim(struct client *client, const char *argument)
{
	for (int i = atoi(argument); i > 0; i--)
		server_send_text(client, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	server_respond_pattern(client, 200, "", 100);
}

static void answer_early(struct client *client, const char *argument)
{
	(void)argument;
	client->keep = false;
	server_respond_pattern(client, 413, "", 20);
	shutdown(client->fd, SHUT_WR);
	usleep(50000);
}

static void answer_upgrade(struct client *client, const char *argument)
{
	char bytes[4096];
	ssize_t n;

	(void)argument;
	server_send_text(client, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
	while ((n = recv(client->fd, bytes, sizeof bytes, 0)) > 0)
		server_send(client, bytes, (size_t)n);
	server_end(client, false);
}

static void answer_ntlm(struct client *client, const char *argument)
{
	(void)argument;
	server_respond_pattern(client, 401, "WWW-Authenticate: NTLM\r\n", 12);
}

static void answer_keep_alive(struct client *client, const char *argument)
{
	char field[128];

	snprintf(field, sizeof field, "Keep-Alive: timeout=%d\r\n", atoi(argument));
	server_respond_pattern(client, 200, field, 100);
}

/* The request as it came: the body shows all of the shim's changes. */
static void answer_echo(struct client *client, const char *argument)
{
	(void)argument;
	server_respond(client, 200, "", client->buffer, client->head_length + client->body_length);
}

static void answer_body(struct client *client, const char *argument)
{
	(void)argument;
	server_respond(client, 200, "", client->buffer + client->head_length, client->body_length);
}

/* To the path behind it. */
static void answer_redirect(struct client *client, const char *argument)
{
	char fields[600];

	snprintf(fields, sizeof fields, "Location: /%s\r\n", argument);
	server_respond_pattern(client, 302, fields, 12);
}

/* "hello, compressed world" */
static void answer_gzip(struct client *client, const char *argument)
{
	static const char body[] =
		"\037\213\010\000\000\000\000\000\002\377\313\110\315\311\311\327\121\110\316\317\055"
		"\050\112\055\056\116\115\121\050\317\057\312\111\001\000\010\236\064\065\027\000\000\000";

	(void)argument;
	server_respond(client, 200, "Content-Encoding: gzip\r\n", body, sizeof body - 1);
}

static void answer_who(struct client *client, const char *argument)
{
	char body[64];

	(void)argument;
	server_respond(client, 200, "", body,
		       (size_t)sprintf(body, "connection %03ld request %03ld\n", client->number, client->n_requests));
}

/* /cut/K/fin and /cut/K/rst: the first K bytes of a short answer, then the end; the pause lets the client read the
 * bytes first. */
static void answer_cut(struct client *client, const char *argument)
{
	static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
	size_t length = strtoul(argument, NULL, 10);
	const char *kind = strchr(argument, '/');

	if (length > sizeof whole - 1)
		length = sizeof whole - 1;
	server_send(client, whole, length);
	usleep(4000);
	server_end(client, kind && strncmp(kind, "/rst", 4) == 0);
}

/* Like a proxy that takes a client's FIN for its end: it sends the second half only to clients that still seem to be
 * there. */
static void answer_attended(struct client *client, const char *fields, const char *body, size_t length)
{
	struct pollfd end = {.fd = client->fd, .events = POLLRDHUP};
	char head[256];

	server_send(client, head,
		    (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s\r\n", fields,
				     server_connection_field(client)));
	server_send(client, body, length / 2);
	if (poll(&end, 1, 150) > 0)
		server_end(client, false);
	else
		server_send(client, body + length / 2, length - length / 2);
}

static void answer_attended_bytes(struct client *client, const char *argument)
{
	size_t length = strtoul(argument, NULL, 10);
	char *body = malloc(length + 1), field[64];

	server_fill_body(body, length);
	snprintf(field, sizeof field, "Content-Length: %zu\r\n", length);
	answer_attended(client, field, body, length);
	free(body);
}

static void answer_attended_chunk(struct client *client, const char *argument)
{
	size_t length = strtoul(argument, NULL, 10), n;
	char *body = malloc(length + 64);

	n = (size_t)sprintf(body, "%zx\r\n", length);
	server_fill_body(body + n, length);
	n += length;
	n += (size_t)sprintf(body + n, "\r\n0\r\n\r\n");
	answer_attended(client, "Transfer-Encoding: chunked\r\n", body, n);
	free(body);
}

static const struct behaviour behaviours[] = {
	{"/bytes/", answer_bytes},
	{"/chunked/", answer_chunked},
	{"/204", answer_204},
	{"/304", answer_304},
	{"/status/", answer_status},
	{"/two-pieces", answer_two_pieces},
	{"/slow-two-pieces/", answer_slow_pieces},
	{"/drip/", answer_drip},
	{"/sleep/", answer_sleep},
	{"/close-header", answer_close_header},
	{"/http10", answer_http10},
	{"/no-length-kept", answer_no_length_kept},
	{"/no-length", answer_no_length},
	{"/garbage", answer_garbage},
	{"/surplus", answer_surplus},
	{"/surplus/", answer_long_surplus},
	{"/both-lengths", answer_both_lengths},
	{"/two-lengths", answer_two_lengths},
	{"/bad-chunk", answer_bad_chunk},
	{"/bare-lf", answer_bare_lf},
	{"/204-with-body", answer_204_with_body},
	{"/big-header/", answer_big_header},
	{"/interim/", answer_interim},
	{"/early", answer_early},
	{"/upgrade", answer_upgrade},
	{"/ntlm", answer_ntlm},
	{"/keep-alive/", answer_keep_alive},
	{"/echo", answer_echo},
	{"/body", answer_body},
	{"/redirect/", answer_redirect},
	{"/gzip", answer_gzip},
	{"/who", answer_who},
	{"/cut/", answer_cut},
	{"/attended/", answer_attended_bytes},
	{"/attended-chunk/", answer_attended_chunk},
};

void server_answer(struct client *client)
{
	const struct behaviour *best = NULL;

	for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++) {
		const struct behaviour *b = &behaviours[i];

		if (strncmp(client->path, b->prefix, strlen(b->prefix)) == 0 &&
		    (!best || strlen(b->prefix) > strlen(best->prefix)))
			best = b;
	}
	if (best)
		best->answer(client, client->path + strlen(best->prefix));
	else
		server_respond_pattern(client, strcmp(client->path, "/") == 0 ? 200 : 404, "", 100);
}
