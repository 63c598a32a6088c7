/*
 * Metrics over HTTP, via libmicrohttpd in a thread of its own; the main thread waits for the end. The text is made anew
 * at most once a second, however many clients ask. See metrics.h.
 */
#include "tools/metrics/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/base/clock.h"
#include "tools/base/library.h"

#define MAX_CONNECTIONS 16
#define TIMEOUT_S 10
#define FRESH_NS ((int64_t)SECOND_NS)

static struct {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_get_daemon_info) *get_daemon_info;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
	__typeof__(MHD_lookup_connection_value) *lookup_connection_value;
} mhd;

static const struct library_symbol symbols[] = {
	{"MHD_start_daemon", &mhd.start_daemon},
	{"MHD_stop_daemon", &mhd.stop_daemon},
	{"MHD_get_daemon_info", &mhd.get_daemon_info},
	{"MHD_create_response_from_buffer", &mhd.create_response_from_buffer},
	{"MHD_add_response_header", &mhd.add_response_header},
	{"MHD_queue_response", &mhd.queue_response},
	{"MHD_destroy_response", &mhd.destroy_response},
	{"MHD_lookup_connection_value", &mhd.lookup_connection_value},
};

/* Used by the daemon's thread only. */
struct server {
	struct metrics_names *names;
	struct {
		char *text;
		size_t length;
		int64_t made_ns;
	} made[2]; /* by format */
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, const char *text,
			      size_t length)
{
	struct MHD_Response *response = mhd.create_response_from_buffer(length, (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd.add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = mhd.queue_response(connection, status, response);
	mhd.destroy_response(response);
	return result;
}

static enum MHD_Result answer_plainly(struct MHD_Connection *connection, unsigned status, const char *text)
{
	return answer(connection, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result answer_metrics(struct server *server, struct MHD_Connection *connection)
{
	const char *accept = mhd.lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool is_open = accept && strstr(accept, "application/openmetrics-text");
	enum metrics_format format = is_open ? METRICS_OPENMETRICS : METRICS_TEXT;

	if (!server->made[format].text ||
	    (int64_t)clock_now_ns(CLOCK_MONOTONIC) - server->made[format].made_ns > FRESH_NS) {
		free(server->made[format].text);
		server->made[format].text = metrics_make(server->names, format, &server->made[format].length);
		server->made[format].made_ns = (int64_t)clock_now_ns(CLOCK_MONOTONIC);
	}
	if (!server->made[format].text)
		return answer_plainly(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
	return answer(connection, MHD_HTTP_OK,
		      is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			      : "text/plain; version=0.0.4; charset=utf-8",
		      server->made[format].text, server->made[format].length);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **request)
{
	static int seen;

	(void)version;
	(void)upload;
	/* Called once when the head has come, and again with the rest. */
	if (!*request) {
		*request = &seen;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_plainly(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(context, connection);
	if (strcmp(url, "/") == 0)
		return answer_plainly(connection, MHD_HTTP_OK, "holdline metrics: see /metrics\n");
	return answer_plainly(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
}

/* "127.0.0.1:9464", "[::1]:9464", ":9464". */
static bool parse_address(const char *where, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	const char *colon = strrchr(where, ':');
	char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1", *end;
	unsigned long port;

	memset(address, 0, sizeof(*address));
	if (!colon || colon[1] < '0' || colon[1] > '9' || (size_t)(colon - where) >= sizeof(host))
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > UINT16_MAX)
		return false;
	if (colon > where) {
		memcpy(host, where, (size_t)(colon - where));
		host[colon - where] = '\0';
	}
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static void wait_for_end(void)
{
	sigset_t ends;
	int number;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	while (sigwait(&ends, &number) != 0)
		;
}

/* Signals go to the waiting thread; a client that disconnects must not end the program. */
static void block_signals(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
}

int metrics_serve(const char *where, struct metrics_names *names)
{
	struct server server = {.names = names};
	struct sockaddr_storage address;
	struct MHD_Daemon *daemon;
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;

	if (!parse_address(where, &address)) {
		fprintf(stderr,
			"holdline metrics: --listen %s: expected an address and a port such as 127.0.0.1:9464\n",
			where);
		return -EINVAL;
	}
	if (library_load("libmicrohttpd.so.12", symbols, sizeof(symbols) / sizeof(symbols[0])) < 0) {
		fputs("holdline metrics: --listen needs libmicrohttpd (Debian: libmicrohttpd12)\n", stderr);
		return -ENOENT;
	}
	block_signals();
	errno = 0;
	daemon = mhd.start_daemon(flags | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL, handle,
				  &server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
				  MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!daemon) {
		int error = errno ? errno : EADDRNOTAVAIL;

		fprintf(stderr, "holdline metrics: --listen %s: %s\n", where, strerror(error));
		return -error;
	}
	fprintf(stderr, "holdline metrics: listening on port %u\n",
		mhd.get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	wait_for_end();
	mhd.stop_daemon(daemon);
	free(server.made[METRICS_OPENMETRICS].text);
	free(server.made[METRICS_TEXT].text);
	return 0;
}
