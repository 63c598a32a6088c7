/* See rules_resolve.h. */
#include "tools/run/rules_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n"

/* A word that is not an address, network or `*` is a name, if a port follows. */
static size_t name_length(const char *pattern, size_t length)
{
	const char *colon = memchr(pattern, ':', length);

	if (*pattern == '[' || !colon || strspn(pattern, "0123456789./*") >= (size_t)(colon - pattern))
		return 0;
	return (size_t)(colon - pattern);
}

static void print_address(FILE *out, const struct addrinfo *address)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes = address->ai_family == AF_INET6
				    ? (void *)&((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_addr
				    : (void *)&((struct sockaddr_in *)(void *)address->ai_addr)->sin_addr;

	if (inet_ntop(address->ai_family, bytes, text, sizeof(text)))
		fprintf(out, address->ai_family == AF_INET6 ? "[%s]" : "%s", text);
}

/* One rule for each address. False: the name has none. */
static int print_for_addresses(FILE *out, const char *name, const char *rest, size_t rest_length)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;

	if (getaddrinfo(name, NULL, &hints, &addresses))
		return 0;
	for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
		print_address(out, address);
		fprintf(out, "%.*s%s", (int)rest_length, rest, address->ai_next ? "; " : "");
	}
	freeaddrinfo(addresses);
	return 1;
}

/* 0, or the name that can't be looked up. */
static char *print_rule(FILE *out, const char *rule, size_t length)
{
	size_t blanks = strspn(rule, BLANKS), n;
	char *name;

	fprintf(out, "%.*s", (int)(blanks < length ? blanks : length), rule);
	if (blanks >= length)
		return NULL;
	rule += blanks;
	length -= blanks;
	n = name_length(rule, strcspn(rule, BLANKS) < length ? strcspn(rule, BLANKS) : length);
	if (!n) {
		fprintf(out, "%.*s", (int)length, rule);
		return NULL;
	}
	name = strndup(rule, n);
	if (name && print_for_addresses(out, name, rule + n, length - n)) {
		free(name);
		return NULL;
	}
	return name;
}

char *rules_resolve(const char *rules, char **bad_name)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	*bad_name = NULL;
	if (!out)
		return NULL;
	while (*rules && !*bad_name) {
		size_t length = strcspn(rules, ";");

		*bad_name = print_rule(out, rules, length);
		rules += length;
		if (*rules == ';')
			fputc(*rules++, out);
	}
	if (fclose(out) == 0 && !*bad_name)
		return text;
	free(text);
	return NULL;
}
