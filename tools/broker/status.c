/*
 * holdline status: what the user's broker holds, as a table or as JSON.
 */
#include "tools/commands.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/base/clock.h"
#include "tools/base/cli.h"
#include "tools/base/text.h"
#include "tools/broker/list.h"
#include "tools/broker/path.h"

#define PATIENCE_MS 5000

struct listing {
	cJSON *array; /* NULL: the table's rows are printed as they come */
	unsigned n, n_idle;
};

static void describe_destination(const struct destination_key *key, char *text, size_t room)
{
	char address[INET6_ADDRSTRLEN];
	bool is_ipv6 = key->family == AF_INET6;

	inet_ntop(key->family, key->address, address, sizeof(address));
	snprintf(text, room, is_ipv6 ? "[%s]:%u" : "%s:%u", address, ntohs(key->port));
}

static void add_row(const struct broker_held *held, const char *destination, const char *name, unsigned n_before)
{
	char idle[32] = "-", process[16] = "ended";

	if (n_before == 0)
		printf("%-28s %-7s %9s %9s %6s  %s\n", "destination", "state", "idle", "age", "uses", "parked by");
	if (held->is_idle)
		snprintf(idle, sizeof(idle), "%.1f s", (double)held->idle_ns / SECOND_NS);
	if (held->pid)
		snprintf(process, sizeof(process), "%u", held->pid);
	printf("%-28s %-7s %9s %7.1f s %6u  %s (%s)\n", destination, held->is_idle ? "idle" : "in use", idle,
	       (double)held->age_ns / SECOND_NS, held->n_requests, name, process);
}

static void add_object(cJSON *array, const struct broker_held *held, const char *destination, const char *name)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "destination", destination);
	cJSON_AddStringToObject(object, "state", held->is_idle ? "idle" : "in use");
	if (held->is_idle)
		cJSON_AddNumberToObject(object, "idle_s", (double)held->idle_ns / SECOND_NS);
	cJSON_AddNumberToObject(object, "age_s", (double)held->age_ns / SECOND_NS);
	cJSON_AddNumberToObject(object, "uses", held->n_requests);
	cJSON_AddStringToObject(object, "program", name);
	if (held->pid)
		cJSON_AddNumberToObject(object, "pid", held->pid);
	cJSON_AddItemToArray(array, object);
}

static void add(void *context, const struct broker_held *held)
{
	struct listing *listing = context;
	char destination[INET6_ADDRSTRLEN + 16], name[BROKER_NAME_MAX + 1] = "";

	describe_destination(&held->key, destination, sizeof(destination));
	memcpy(name, held->name, BROKER_NAME_MAX);
	text_make_printable(name);
	if (listing->array)
		add_object(listing->array, held, destination, name);
	else
		add_row(held, destination, name, listing->n);
	listing->n++;
	listing->n_idle += held->is_idle;
}

static void print_json(const char *path, bool is_there, uint32_t flags, cJSON *array)
{
	cJSON *root = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(root, "broker", path);
	cJSON_AddBoolToObject(root, "running", is_there);
	if (is_there)
		cJSON_AddBoolToObject(root, "confined", (flags & BROKER_IS_CONFINED) != 0);
	cJSON_AddItemToObject(root, "connections", array);
	text = cJSON_Print(root);
	puts(text ? text : "{}");
	free(text);
	cJSON_Delete(root);
}

static void print_sum(const struct listing *listing, const char *path, uint32_t flags)
{
	printf("%s%u connection%s, %u idle, by the broker at %s\n", listing->n ? "\n" : "", listing->n,
	       text_plural(listing->n), listing->n_idle, path);
	if (!(flags & BROKER_IS_CONFINED))
		puts("The broker runs without its filter of system calls: seccomp(2) is not to be had here.");
}

static int report(const char *path, bool wants_json)
{
	struct listing listing = {.array = wants_json ? cJSON_CreateArray() : NULL};
	uint32_t flags;
	int error = broker_list_held(path, add, &listing, PATIENCE_MS, &flags);
	bool is_absent = error == -ENOENT || error == -ECONNREFUSED;

	if (error && !is_absent) {
		fprintf(stderr, "holdline status: %s: %s\n", path,
			error == -EPROTONOSUPPORT ? "a broker of another version" : strerror(-error));
		cJSON_Delete(listing.array);
		return EXIT_CANNOT;
	}
	if (wants_json)
		print_json(path, !is_absent, flags, listing.array);
	else if (is_absent)
		printf("No broker at %s: nothing is kept beyond a program's end.\n", path);
	else
		print_sum(&listing, path, flags);
	return 0;
}

static const struct cli cli = {
	"status",
	"usage: holdline status [--json]\n\n"
	"Lists the connections that the broker (HOLDLINE_BROKER, or the user's own) keeps: where to, whether\n"
	"idle and since when, how many requests they have carried, and which program parked them last.\n"
	"What a program parked under --pool=local is listed while it runs.\n\n"
	"Exit status: 0; 1: the broker does not answer; 2: bad arguments.\n",
	EXIT_USAGE};

int command_status(int argc, char **argv)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *named = getenv("HOLDLINE_BROKER");
	bool wants_json = false;
	const struct cli_option options[] = {{"json", 0, CLI_SWITCH, &wants_json}, {0}};
	int status, error;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (optind < argc)
		return cli_print_usage(&cli);
	if (named && *named)
		return report(named, wants_json);
	error = broker_path_find(path);
	return error ? cli_complain(cli.command, "no folder for a broker's socket", -error) : report(path, wants_json);
}
