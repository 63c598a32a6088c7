/*
 * Steps of the programs matrix_*.c: a line of standard input each, `LABEL|KEY=VALUE;...`. One at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *folder;   /* where certificates are */
static const char *settings; /* of this step */

/* The value of a setting in static memory, which some later calls leave alone; NULL: it isn't there. */
static inline const char *get(const char *key)
{
	static char values[8][256];
	static unsigned next;
	size_t length = strlen(key);

	for (const char *at = settings; at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
		if (strncmp(at, key, length) == 0 && at[length] == '=') {
			char *value = values[next++ % 8];
			snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at + length + 1, ";"), at + length + 1);
			return value;
		}
	}
	return NULL;
}

static inline bool is(const char *key, const char *value)
{
	const char *found = get(key);

	return found && strcmp(found, value) == 0;
}

/* The path of a file in the folder; likewise. */
static inline const char *file(const char *name, const char *suffix)
{
	static char paths[4][4096];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s%s", folder, name, suffix);
	return path;
}

/* Reads the next step and prints its label. False: there is none. */
static inline bool next_step(void)
{
	static char line[4096];
	char *bar;

	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || !(bar = strchr(line, '|')))
		return false;
	line[strcspn(line, "\n")] = '\0';
	*bar = '\0';
	settings = bar + 1;
	printf("%s: ", line);
	return true;
}
