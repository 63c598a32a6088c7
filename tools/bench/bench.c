/*
 * holdline bench: many short connections against few long ones, and against short ones that Holdline keeps; one after
 * the other and several at once. Each measurement is a process of its own, this command again (bench-client).
 */
#include "tools/commands.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/base/cli.h"
#include "tools/base/clock.h"
#include "tools/bench/client.h"
#include "tools/demo/client.h"
#include "tools/demo/server.h"

/* Each kind so often, in turn. Over a slow network no more than the first number, once it has taken so long. */
#define RUNS_MIN 5
#define RUNS_MAX 15
#define ENOUGH_S 3.0
#define LIMIT_S 120
#define MAX_REQUESTS 100000

static const struct variant {
	const char *name;
	const char *title;
	const char *kind; /* as bench-client names it */
	bool is_held;
} variants[] = {
	{"short", "short: a new connection for each request", "short", false},
	{"held", "short, under holdline run", "short", true},
	{"long", "long: the program keeps its own", "long", false},
};
static const unsigned at_once[] = {1, 4, 16};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct bench {
	char host[256], port[8], path[1024];
	unsigned n_requests;
	struct demo_server server; /* our own server; counts NULL: a foreign server */
	unsigned n_runs;	   /* of the last group of rows */
	cJSON *results;		   /* NULL: a table */
};

/* The client's side, in a process that may be preloaded: prints the numbers that bench reads back. */
int command_bench_client(int argc, char **argv)
{
	struct bench_outcome outcome;
	struct bench_task task;

	if (argc != 7)
		return EXIT_USAGE;
	task = (struct bench_task){
		.kind = strcmp(argv[1], "long") == 0 ? BENCH_LONG : BENCH_SHORT,
		.host = argv[2],
		.port = argv[3],
		.path = argv[4],
		.n_requests = (unsigned)atoi(argv[5]),
		.n_at_once = (unsigned)atoi(argv[6]),
	};
	if (bench_client_run(&task, &outcome) < 0)
		return EXIT_CANNOT;
	printf("%.9f %u %u\n", outcome.seconds, outcome.n_failed, outcome.n_connected);
	return 0;
}

static int measure_once(const struct bench *bench, const struct variant *variant, unsigned n_at_once,
			struct bench_outcome *outcome)
{
	static struct demo_result result;
	char self[PATH_MAX], n_requests[16], n_threads[16];
	char *command[] = {self,
			   "run",
			   "--quiet",
			   "--pool=local",
			   "--",
			   self,
			   "bench-client",
			   (char *)variant->kind,
			   (char *)bench->host,
			   (char *)bench->port,
			   (char *)bench->path,
			   n_requests,
			   n_threads,
			   NULL};
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int error;

	self[length > 0 ? length : 0] = '\0';
	snprintf(n_requests, sizeof(n_requests), "%u", bench->n_requests);
	snprintf(n_threads, sizeof(n_threads), "%u", n_at_once);
	error = demo_client_run(variant->is_held ? command : command + 5, LIMIT_S, &result);
	if (error)
		return error;
	if (sscanf(result.output, "%lf %u %u", &outcome->seconds, &outcome->n_failed, &outcome->n_connected) != 3)
		return result.timed_out ? -ETIMEDOUT : -EHOSTUNREACH;
	return 0;
}

static int compare_seconds(const void *one, const void *other)
{
	double a = ((const struct bench_outcome *)one)->seconds, b = ((const struct bench_outcome *)other)->seconds;

	return (a > b) - (a < b);
}

/* A row of the table. n_made: connections that the server saw in one run; -1: only the foreign server knows. */
struct row {
	struct bench_outcome outcomes[RUNS_MAX];
	long n_made;
};

static int measure_run(const struct bench *bench, const struct variant *variant, unsigned n_at_once, struct row *row,
		       unsigned run)
{
	uint64_t before = bench->server.counts ? bench->server.counts->n_connections : 0;
	int error = measure_once(bench, variant, n_at_once, &row->outcomes[run]);

	row->n_made = variant->is_held ? -1 : (long)row->outcomes[run].n_connected;
	if (bench->server.counts)
		row->n_made = (long)(bench->server.counts->n_connections - before);
	return error;
}

static int measure_rows(struct bench *bench, unsigned n_at_once, struct row rows[LENGTH(variants)])
{
	double begin = clock_now_s(CLOCK_MONOTONIC);

	for (bench->n_runs = 0;
	     bench->n_runs < RUNS_MIN || (bench->n_runs < RUNS_MAX && clock_now_s(CLOCK_MONOTONIC) - begin < ENOUGH_S);
	     bench->n_runs++)
		for (size_t i = 0; i < LENGTH(variants); i++) {
			int error = measure_run(bench, &variants[i], n_at_once, &rows[i], bench->n_runs);

			if (error)
				return error;
		}
	return 0;
}

static const struct bench_outcome *median_of(const struct bench *bench, struct row *row)
{
	qsort(row->outcomes, bench->n_runs, sizeof(row->outcomes[0]), compare_seconds);
	return &row->outcomes[bench->n_runs / 2];
}

static void print_row(const struct bench *bench, const struct variant *variant, unsigned n_at_once,
		      const struct bench_outcome *outcome, long n_made)
{
	char made[24] = "?";

	if (n_made >= 0)
		snprintf(made, sizeof(made), "%ld", n_made);
	printf("%-42s %7u %11s %6u %9.4f %9.0f us\n", variant->title, n_at_once, made, outcome->n_failed,
	       outcome->seconds, outcome->seconds / bench->n_requests * 1e6);
	fflush(stdout);
}

static void add_result(const struct bench *bench, const struct variant *variant, unsigned n_at_once,
		       const struct bench_outcome *outcome, long n_made)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "connections", variant->name);
	cJSON_AddNumberToObject(object, "at_once", n_at_once);
	if (n_made >= 0)
		cJSON_AddNumberToObject(object, "made", (double)n_made);
	cJSON_AddNumberToObject(object, "failed", outcome->n_failed);
	cJSON_AddNumberToObject(object, "seconds", outcome->seconds);
	cJSON_AddNumberToObject(object, "runs", bench->n_runs);
	cJSON_AddItemToArray(bench->results, object);
}

static int show_row(const struct bench *bench, const struct variant *variant, unsigned n_at_once, struct row *row)
{
	const struct bench_outcome *outcome = median_of(bench, row);

	if (outcome->n_failed == bench->n_requests)
		return -EHOSTUNREACH;
	if (bench->results)
		add_result(bench, variant, n_at_once, outcome, row->n_made);
	else
		print_row(bench, variant, n_at_once, outcome, row->n_made);
	return 0;
}

static int measure_all(struct bench *bench)
{
	static struct row rows[LENGTH(variants)];
	int error = 0;

	for (size_t i = 0; i < LENGTH(at_once) && !error; i++) {
		error = measure_rows(bench, at_once[i], rows);
		for (size_t j = 0; j < LENGTH(variants) && !error; j++)
			error = show_row(bench, &variants[j], at_once[i], &rows[j]);
	}
	return error;
}

static void print_json(const struct bench *bench, cJSON *results)
{
	cJSON *root = cJSON_CreateObject();
	char server[sizeof(bench->host) + sizeof(bench->port) + sizeof(bench->path) + 8], *text;

	snprintf(server, sizeof(server), "%s:%s%s", bench->host, bench->port, bench->path);
	cJSON_AddStringToObject(root, "server", server);
	cJSON_AddNumberToObject(root, "requests", bench->n_requests);
	cJSON_AddItemToObject(root, "results", results);
	text = cJSON_Print(root);
	puts(text ? text : "{}");
	free(text);
	cJSON_Delete(root);
}

/* Where client and server are on two, each wakes the other's, which takes longer than a request; whether they are is
 * the scheduler's choice, and lasts for a while. */
static void stay_on_one_processor(void)
{
	int here = sched_getcpu();
	cpu_set_t set;

	if (here < 0 || here >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(here, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int bench_run(struct bench *bench, bool wants_json)
{
	int error = 0;

	if (!bench->host[0]) {
		stay_on_one_processor();
		error = demo_server_start(&bench->server, 0, false);
		strcpy(bench->host, "127.0.0.1");
		strcpy(bench->path, "/");
		snprintf(bench->port, sizeof(bench->port), "%u", bench->server.port);
	}
	if (!error && wants_json)
		bench->results = cJSON_CreateArray();
	if (!error && !wants_json)
		printf("%u requests to http://%s:%s%s (%s); each figure is the median of %d to %d runs in turn\n\n"
		       "%-42s %7s %11s %6s %9s %12s\n",
		       bench->n_requests, bench->host, bench->port, bench->path,
		       bench->server.counts ? "a server of our own, 1 KiB, on the same processor" : "not ours",
		       RUNS_MIN, RUNS_MAX, "connections", "at once", "made", "failed", "seconds", "a request");
	if (!error)
		error = measure_all(bench);
	if (bench->server.counts)
		demo_server_stop(&bench->server);
	if (!error && wants_json)
		print_json(bench, bench->results);
	if (!error)
		return 0;
	fprintf(stderr, "holdline bench: http://%s:%s%s: %s\n", bench->host, bench->port, bench->path,
		error == -EHOSTUNREACH ? "there is no answer by HTTP" : strerror(-error));
	return EXIT_CANNOT;
}

/* HOST:PORT/PATH, HOST:PORT, [IPv6]:PORT... */
static bool parse_server(const char *text, struct bench *bench)
{
	const char *slash = strchr(text, '/'), *colon;
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char authority[sizeof(bench->host) + sizeof(bench->port)];

	if (length >= sizeof(authority))
		return false;
	memcpy(authority, text, length);
	authority[length] = '\0';
	colon = strrchr(authority, ':');
	if (!colon || !colon[1] || strlen(colon + 1) >= sizeof(bench->port) || colon == authority)
		return false;
	strcpy(bench->port, colon + 1);
	snprintf(bench->path, sizeof(bench->path), "%s", slash ? slash : "/");
	length = (size_t)(colon - authority);
	if (authority[0] == '[' && authority[length - 1] == ']')
		snprintf(bench->host, sizeof(bench->host), "%.*s", (int)length - 2, authority + 1);
	else
		snprintf(bench->host, sizeof(bench->host), "%.*s", (int)length, authority);
	return bench->host[0] != '\0';
}

static const struct cli cli = {
	"bench",
	"usage: holdline bench [--server=HOST:PORT/PATH] [--requests=N] [--json]\n\n"
	"Times N requests (50) over short connections, over short ones under `holdline run`, and over long\n"
	"ones that the program keeps; 1, 4 and 16 at once. Against a small server of its own, or another.\n\n"
	"Exit status: 0; 1: the server can't be reached; 2: bad arguments.\n",
	EXIT_USAGE};

int command_bench(int argc, char **argv)
{
	static struct bench bench = {.n_requests = 50};
	const char *server = NULL, *n_requests = NULL;
	bool wants_json = false;
	const struct cli_option options[] = {{"server", 0, CLI_TEXT, &server},
					     {"requests", 0, CLI_TEXT, &n_requests},
					     {"json", 0, CLI_SWITCH, &wants_json},
					     {0}};
	int status;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (n_requests)
		bench.n_requests = (unsigned)atoi(n_requests);
	if (server && !parse_server(server, &bench)) {
		fprintf(stderr, "holdline bench: --server=%s: not HOST:PORT/PATH\n", server);
		return EXIT_USAGE;
	}
	if (optind < argc || bench.n_requests < 1 || bench.n_requests > MAX_REQUESTS)
		return cli_print_usage(&cli);
	return bench_run(&bench, wants_json);
}
