/*
 * The demo's server: one thread, epoll, a fixed buffer per connection. It understands the requests of its clients, some
 * of Redis among them, and closes on any other.
 */
#include "tools/demo/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 1024
#define HEAD_MAX 8192
#define BODY_SIZE 1024

enum client_state {
	CLIENT_READING,	 /* a head, or a body to be skipped */
	CLIENT_WRITING,	 /* the socket did not take the whole response at once */
	CLIENT_DRAINING, /* the last response is out: reads until the client's end */
};

struct client {
	int fd;
	enum client_state state;
	bool keep; /* keep the connection after the response being written */
	size_t length, body_remaining, response_length, response_sent;
	char head[HEAD_MAX];
	char response[BODY_SIZE + 256];
};

struct loop {
	int epoll_fd, listen_fd;
	bool client_closes_first;
	struct demo_counts *counts;
	struct client *clients[MAX_CLIENTS];
};

static void end_client(struct loop *loop, struct client *client)
{
	loop->clients[client->fd] = NULL;
	close(client->fd);
	free(client);
}

/* The value of a field, up to its line's end, or NULL. `head` is a string that ends after the empty line. */
static const char *find_field(const char *head, const char *name)
{
	for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n'))
		if (strncasecmp(line + 1, name, strlen(name)) == 0 && line[1 + strlen(name)] == ':')
			return line + 2 + strlen(name);
	return NULL;
}

static bool has_token(const char *value, const char *token)
{
	size_t line_length = value ? strcspn(value, "\r\n") : 0;

	for (size_t i = 0; i + strlen(token) <= line_length; i++)
		if (strncasecmp(value + i, token, strlen(token)) == 0)
			return true;
	return false;
}

static void make_response(struct client *client, const char *head)
{
	const char *connection = find_field(head, "Connection"), *length = find_field(head, "Content-Length");
	bool is_http_10 = strcspn(head, "\r") >= 8 && memcmp(head + strcspn(head, "\r") - 8, "HTTP/1.0", 8) == 0;
	int n;

	client->keep = is_http_10 ? has_token(connection, "keep-alive") : !has_token(connection, "close");
	client->body_remaining = length ? strtoul(length, NULL, 10) : 0;
	n = snprintf(client->response, sizeof(client->response),
		     "HTTP/1.1 200 OK\r\nServer: holdline-demo\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %d\r\nConnection: %s\r\n\r\n",
		     BODY_SIZE, client->keep ? "keep-alive" : "close");
	if (strncmp(head, "HEAD ", 5) != 0) {
		memset(client->response + n, 'x', BODY_SIZE - 1);
		client->response[n + BODY_SIZE - 1] = '\n';
		n += BODY_SIZE;
	}
	client->response_length = (size_t)n;
	client->response_sent = 0;
}

static void drop_head(struct client *client, size_t length)
{
	client->length -= length;
	memmove(client->head, client->head + length, client->length);
}

/* Redis's commands, as far as the demo has them: its client's, and what Holdline asks. */
static const struct {
	const char *command, *reply;
} redis_commands[] = {{"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"}, {"*1\r\n$5\r\nRESET\r\n", "+RESET\r\n"}};

/* 0: it is incomplete; negative: it is none of them. */
static int take_redis_command(struct loop *loop, struct client *client)
{
	for (size_t i = 0; i < sizeof(redis_commands) / sizeof(redis_commands[0]); i++) {
		size_t length = strlen(redis_commands[i].command);
		size_t n = client->length < length ? client->length : length;

		if (strncasecmp(client->head, redis_commands[i].command, n) != 0)
			continue;
		if (n < length)
			return 0;
		atomic_fetch_add(&loop->counts->n_requests, 1);
		client->keep = true;
		client->body_remaining = 0;
		client->response_length =
			(size_t)snprintf(client->response, sizeof(client->response), "%s", redis_commands[i].reply);
		client->response_sent = 0;
		drop_head(client, length);
		return 1;
	}
	return -ENOTSUP;
}

/* Takes a head off the buffer and prepares its response. 0: the head is incomplete; negative: not HTTP. */
static int take_request(struct loop *loop, struct client *client)
{
	char *end = memmem(client->head, client->length, "\r\n\r\n", 4);
	size_t length;

	if (client->length && *client->head == '*')
		return take_redis_command(loop, client);
	if (!end)
		return client->length < HEAD_MAX ? 0 : -EMSGSIZE;
	length = (size_t)(end + 4 - client->head);
	end[2] = '\0';
	if (find_field(client->head, "Transfer-Encoding"))
		return -ENOTSUP;
	atomic_fetch_add(&loop->counts->n_requests, 1);
	make_response(client, client->head);
	drop_head(client, length);
	return 1;
}

/* Drops the bytes of a request's body. */
static void skip_body(struct client *client)
{
	size_t n = client->length < client->body_remaining ? client->length : client->body_remaining;

	client->length -= n;
	client->body_remaining -= n;
	memmove(client->head, client->head + n, client->length);
}

static void watch(struct loop *loop, struct client *client, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = client->fd};

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

/* Writes on; 1 when the response is out, 0 when it has to wait, negative when the client is gone. */
static int write_response(struct loop *loop, struct client *client)
{
	while (client->response_sent < client->response_length) {
		ssize_t n = send(client->fd, client->response + client->response_sent,
				 client->response_length - client->response_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			client->state = CLIENT_WRITING;
			watch(loop, client, EPOLLOUT);
			return 0;
		}
		if (n < 0)
			return -errno;
		client->response_sent += (size_t)n;
	}
	if (client->state == CLIENT_WRITING)
		watch(loop, client, EPOLLIN);
	client->state = client->keep ? CLIENT_READING : CLIENT_DRAINING;
	if (!client->keep && !loop->client_closes_first)
		shutdown(client->fd, SHUT_WR);
	return 1;
}

/* Reads what has arrived. 1; 0 when nothing has; negative at the end. */
static int fill_buffer(struct client *client)
{
	ssize_t n;

	if (client->state == CLIENT_DRAINING)
		client->length = 0;
	n = recv(client->fd, client->head + client->length, HEAD_MAX - client->length, 0);
	if (n > 0)
		client->length += (size_t)n;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n > 0 ? 1 : -EPIPE;
}

/* Answers every request that is in the buffer. Negative ends the client. */
static int serve_buffered(struct loop *loop, struct client *client)
{
	int result = 1;

	while (result > 0 && client->state == CLIENT_READING) {
		skip_body(client);
		if (client->body_remaining > 0)
			return 1;
		result = take_request(loop, client);
		if (result > 0)
			result = write_response(loop, client);
	}
	return result;
}

static void serve_client(struct loop *loop, struct client *client)
{
	int result = 1;

	if (client->state == CLIENT_WRITING)
		result = write_response(loop, client);
	while (result > 0) {
		result = serve_buffered(loop, client);
		if (result >= 0 && client->state != CLIENT_WRITING)
			result = fill_buffer(client);
	}
	if (result < 0)
		end_client(loop, client);
}

static void accept_clients(struct loop *loop)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd;

	while ((fd = accept4(loop->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *client = fd < MAX_CLIENTS ? calloc(1, sizeof(*client)) : NULL;

		if (!client) {
			close(fd);
			continue;
		}
		atomic_fetch_add(&loop->counts->n_connections, 1);
		client->fd = event.data.fd = fd;
		loop->clients[fd] = client;
		if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
			end_client(loop, client);
	}
}

__attribute__((noreturn)) static void serve(int listen_fd, struct demo_counts *counts, bool client_closes_first)
{
	static struct loop loop;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_fd}, events[64];

	loop.listen_fd = listen_fd;
	loop.counts = counts;
	loop.client_closes_first = client_closes_first;
	loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop.epoll_fd < 0 || epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0)
		_exit(1);
	for (;;) {
		int n = epoll_wait(loop.epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listen_fd)
				accept_clients(&loop);
			else if (loop.clients[fd])
				serve_client(&loop, loop.clients[fd]);
		}
	}
}

static int listen_on(uint16_t wanted_port, uint16_t *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(wanted_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 512) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

int demo_server_start(struct demo_server *server, uint16_t port, bool client_closes_first)
{
	int listen_fd = listen_on(port, &server->port);

	if (listen_fd < 0)
		return listen_fd;
	server->counts = mmap(NULL, sizeof(*server->counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server->counts == MAP_FAILED) {
		close(listen_fd);
		return -ENOMEM;
	}
	fflush(NULL);
	server->pid = fork();
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listen_fd, server->counts, client_closes_first);
	}
	close(listen_fd);
	if (server->pid < 0)
		munmap(server->counts, sizeof(*server->counts));
	return server->pid < 0 ? -EAGAIN : 0;
}

void demo_server_stop(struct demo_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	munmap(server->counts, sizeof(*server->counts));
}
