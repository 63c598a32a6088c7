/*
 * holdline demo: runs real programs against a server of its own, bare and under `holdline run`, and prints the counts.
 * It claims nothing beforehand: every figure of its table was measured just then.
 */
#include "tools/commands.h"
#include "tools/base/cli.h"
#include "tools/demo/client.h"
#include "tools/demo/network.h"
#include "tools/demo/server.h"
#include "tools/program/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_S 60
#define N_NARROW_PORTS 64
/* In a namespace of our own, every server stands outside the few ephemeral ports: it must not occupy one of them, and
 * a port is not free as long as one of its connections is in TIME_WAIT. */
#define EXHAUSTING_PORT 8080
#define EVERYDAY_PORT 8100

/* A failing request does not end the loop: the demo counts failures. */
#define PYTHON_LOOP(imports, request)                                         \
	imports "\n"                                                          \
		"import sys\n"                                                \
		"port = int(sys.argv[1])\n"                                   \
		"def once():\n" request "for i in range(int(sys.argv[2])):\n" \
		"    try:\n"                                                  \
		"        print(once())\n"                                     \
		"    except OSError as error:\n"                              \
		"        print(error, file=sys.stderr)\n"

static const char urllib_loop[] =
	PYTHON_LOOP("from urllib.request import urlopen", "    with urlopen(f'http://127.0.0.1:{port}/') as response:\n"
							  "        response.read()\n"
							  "        return response.status\n");

static const char http_client_loop[] =
	PYTHON_LOOP("from http.client import HTTPConnection", "    connection = HTTPConnection('127.0.0.1', port)\n"
							      "    try:\n"
							      "        connection.request('GET', '/')\n"
							      "        response = connection.getresponse()\n"
							      "        response.read()\n"
							      "        return response.status\n"
							      "    finally:\n"
							      "        connection.close()\n");

struct scenario {
	const char *title;
	unsigned n_requests;
	bool client_closes_first;
	unsigned (*count_successes)(const char *output);
	const char *program;		      /* without which it is left out */
	const char *argv[DEMO_MAX_ARGUMENTS]; /* PORT stands for the server's port */
};

static unsigned count_ab_successes(const char *output)
{
	const char *complete = strstr(output, "Complete requests:"), *failed = strstr(output, "Failed requests:");
	unsigned n_complete = 0, n_failed = 0;

	if (complete)
		sscanf(complete, "Complete requests: %u", &n_complete);
	if (failed)
		sscanf(failed, "Failed requests: %u", &n_failed);
	return n_complete - n_failed;
}

static unsigned count_lines_of_200(const char *output)
{
	unsigned n = 0;

	for (const char *line = output; (line = strstr(line, "200\n")); line += 4)
		n++;
	return n;
}

static unsigned count_pongs(const char *output)
{
	unsigned n = 0;

	for (const char *line = output; (line = strstr(line, "PONG\n")); line += 5)
		n++;
	return n;
}

/* Not just "python3": version managers put shell scripts in its place. */
#define PYTHON "/usr/bin/python3"
#define CURL "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\\n", "-H", "Connection: close"

static const struct scenario everyday[] = {
	{"ab -n 1000 -c 8 (without -k)",
	 1000,
	 false,
	 count_ab_successes,
	 "ab",
	 {"ab", "-q", "-n", "1000", "-c", "8", "http://127.0.0.1:PORT/", NULL}},
	{"python3 urllib.request, in a loop",
	 500,
	 false,
	 count_lines_of_200,
	 PYTHON,
	 {PYTHON, "-c", urllib_loop, "PORT", "500", NULL}},
	{"python3 http.client, in a loop",
	 500,
	 false,
	 count_lines_of_200,
	 PYTHON,
	 {PYTHON, "-c", http_client_loop, "PORT", "500", NULL}},
	{"a shell loop of 100 curls",
	 100,
	 false,
	 count_lines_of_200,
	 "curl",
	 {"sh", "-c",
	  ("for i in $(seq 100); do "
	   "curl -sS -o /dev/null -w '%{http_code}\\n' -H 'Connection: close' http://127.0.0.1:PORT/; done"),
	  NULL}},
	{"curl -H 'Connection: close', 200 URLs",
	 200,
	 false,
	 count_lines_of_200,
	 "curl",
	 {CURL, "http://127.0.0.1:PORT/[1-200]", NULL}},
	{"a shell loop of 100 times redis-cli",
	 100,
	 false,
	 count_pongs,
	 "redis-cli",
	 {"sh", "-c", "for i in $(seq 100); do redis-cli -p PORT ping; done", NULL}},
};

static const struct scenario exhausting[] = {
	{"python3 http.client, in a loop",
	 1000,
	 true,
	 count_lines_of_200,
	 PYTHON,
	 {PYTHON, "-c", http_client_loop, "PORT", "1000", NULL}},
	{"curl -H 'Connection: close', 1000 URLs",
	 1000,
	 true,
	 count_lines_of_200,
	 "curl",
	 {CURL, "http://127.0.0.1:PORT/[1-1000]", NULL}},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void print_heading(void)
{
	printf("%-40s%-9s %8s %6s %11s %17s %8s\n", "", "", "", "", "connections", "left in TIME_WAIT", "");
	printf("%-40s%-9s %8s %6s %11s %17s %8s\n", "program", "run", "requests", "failed", "made", "client / server",
	       "seconds");
}

static void print_row(const struct scenario *scenario, bool with_holdline, const struct demo_server *server,
		      const struct demo_result *result)
{
	unsigned n_client, n_server, n_successes = scenario->count_successes(result->output);
	char time_wait[32];

	demo_network_count_time_wait(server->port, &n_client, &n_server);
	snprintf(time_wait, sizeof(time_wait), "%u / %u", n_client, n_server);
	printf("%-40s%-9s %8u %6u %11llu %17s %8.2f%s\n", with_holdline ? "" : scenario->title,
	       with_holdline ? "Holdline" : "bare", scenario->n_requests, scenario->n_requests - n_successes,
	       (unsigned long long)server->counts->n_connections, time_wait, result->seconds,
	       result->timed_out ? "  (took too long: killed)" : "");
	if (n_successes < scenario->n_requests && result->errors[0])
		printf("    it said: %.*s\n", (int)strcspn(result->errors, "\n"), result->errors);
	fflush(stdout);
}

/* Fills in the scenario's command, after `holdline run --` if wanted. */
static void make_command(const struct scenario *scenario, bool with_holdline, uint16_t port,
			 char *command[DEMO_MAX_ARGUMENTS + 4])
{
	static char words[DEMO_MAX_ARGUMENTS][1024], self[PATH_MAX], run[] = "run", end_of_flags[] = "--";
	size_t n = 0;

	if (with_holdline) {
		ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

		self[length > 0 ? length : 0] = '\0';
		command[n++] = self;
		command[n++] = run;
		command[n++] = end_of_flags;
	}
	for (size_t i = 0; scenario->argv[i]; i++) {
		const char *mark = strstr(scenario->argv[i], "PORT");

		if (mark)
			snprintf(words[i], sizeof(words[i]), "%.*s%u%s", (int)(mark - scenario->argv[i]),
				 scenario->argv[i], port, mark + 4);
		else
			snprintf(words[i], sizeof(words[i]), "%s", scenario->argv[i]);
		command[n++] = words[i];
	}
	command[n] = NULL;
}

static int run_scenario(const struct scenario *scenario, bool with_holdline, uint16_t port)
{
	static const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
	static struct demo_result result;
	char *command[DEMO_MAX_ARGUMENTS + 4];
	struct demo_server server;
	int error = demo_server_start(&server, port, scenario->client_closes_first);

	if (error < 0)
		return error;
	make_command(scenario, with_holdline, server.port, command);
	error = demo_client_run(command, LIMIT_S, &result);
	if (error == 0) {
		nanosleep(&pause, NULL);
		print_row(scenario, with_holdline, &server, &result);
	}
	demo_server_stop(&server);
	return error;
}

/* The servers take ports from first_port on, or any if that is 0. */
static int run_scenarios(const struct scenario *scenarios, size_t n, uint16_t first_port)
{
	print_heading();
	for (size_t i = 0; i < n; i++) {
		const char *program = scenarios[i].program;
		char path[PATH_MAX];
		int error = 0;

		if (program_resolve(program, path) < 0) {
			printf("%-40sleft out: %s is not installed\n", scenarios[i].title, program);
			continue;
		}
		for (unsigned with_holdline = 0; error == 0 && with_holdline < 2; with_holdline++)
			error = run_scenario(&scenarios[i], with_holdline,
					     (uint16_t)(first_port ? first_port + 2 * i + with_holdline : 0));
		if (error < 0) {
			fprintf(stderr, "holdline demo: %s: %s\n", scenarios[i].title, strerror(-error));
			return error;
		}
	}
	return 0;
}

static int show_exhaustion(bool has_namespace)
{
	int error = has_namespace ? demo_network_narrow(N_NARROW_PORTS) : 0;

	if (!has_namespace || error < 0) {
		printf("\n2. Left out: running out of ports. It needs a network namespace of its own%s%s;\n"
		       "   try it as root. The client's TIME_WAITs above are the ports that it would run out of.\n",
		       error < 0 ? " with sysctls: " : "", error < 0 ? strerror(-error) : "");
		return 0;
	}
	printf("\n2. Running out: the same with only %d ephemeral ports, and clients that close first\n\n",
	       N_NARROW_PORTS);
	return run_scenarios(exhausting, LENGTH(exhausting), EXHAUSTING_PORT);
}

static const struct cli cli = {"demo",
			       "usage: holdline demo\n\n"
			       "Runs ab, Python, curl and redis-cli against a small server, with and without "
			       "Holdline.\n",
			       EXIT_USAGE};

int command_demo(int argc, char **argv)
{
	bool has_namespace;
	int status;

	if (!cli_parse(&cli, (const struct cli_option[]){{0}}, argc, argv, &status))
		return status;
	if (optind < argc)
		return cli_print_usage(&cli);
	has_namespace = demo_network_enter() == 0;
	printf("1. Everyday: unmodified programs that open a connection for every request%s\n\n",
	       has_namespace ? " (in a network namespace)" : "");
	if (run_scenarios(everyday, LENGTH(everyday), has_namespace ? EVERYDAY_PORT : 0) < 0 ||
	    show_exhaustion(has_namespace) < 0)
		return EXIT_CANNOT;
	return 0;
}
