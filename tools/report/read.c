/* See read.h. */
#include "tools/report/read.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run's report is some 100 KiB. */
#define SIZE_MAX_BYTES (64u << 20)
#define LARGEST 1e15

static char *read_file(const char *path, size_t *length)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t room = 0;
	char *text = NULL;

	*length = 0;
	if (!file)
		return NULL;
	while (!feof(file) && !ferror(file) && room < SIZE_MAX_BYTES) {
		char *larger = realloc(text, room += 65536);

		if (!larger)
			break;
		text = larger;
		*length += fread(text + *length, 1, room - *length, file);
	}
	if (ferror(file)) {
		int error = errno;

		free(text);
		text = NULL;
		errno = error;
	}
	if (file != stdin)
		fclose(file);
	return text;
}

struct cJSON *report_load(const char *path, const char *who)
{
	size_t length;
	char *text = read_file(path, &length);
	cJSON *root = text ? cJSON_ParseWithLength(text, length) : NULL;

	if (!text)
		fprintf(stderr, "%s: %s: %s\n", who, path, strerror(errno));
	free(text);
	if (root && report_number(root, "schema_version") == 1)
		return root;
	if (text)
		fprintf(stderr, "%s: %s: not a report of 'holdline run --report=FILE.json'\n", who, path);
	cJSON_Delete(root);
	return NULL;
}

double report_number(const struct cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsNumber(item) || !(item->valuedouble > 0))
		return 0;
	return item->valuedouble < LARGEST ? item->valuedouble : LARGEST;
}

const char *report_string(const struct cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}

const struct cJSON *report_object(const struct cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsObject(item) ? item : NULL;
}

const struct cJSON *report_items(const struct cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsObject(item) || cJSON_IsArray(item) ? item : NULL;
}

const struct cJSON *report_greatest(const struct cJSON *object)
{
	return report_greatest_but(object, "");
}

const struct cJSON *report_greatest_but(const struct cJSON *object, const char *name)
{
	const cJSON *item, *greatest = NULL;
	double most = 0;

	cJSON_ArrayForEach(item, object)
	{
		if (!item->string || strcmp(item->string, name) == 0 || report_number(object, item->string) <= most)
			continue;
		greatest = item;
		most = report_number(object, item->string);
	}
	return greatest;
}

const char *report_count(double number, char text[REPORT_TEXT_MAX])
{
	char digits[REPORT_TEXT_MAX];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%.0f", number), at = 0;

	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = '\0';
	return text;
}

const char *report_percent(double ratio, char text[REPORT_TEXT_MAX])
{
	double percent = 100 * ratio;
	int decimals = percent >= 10 && percent < 99 ? 0 : 2;

	if (percent > 0 && percent < 0.01)
		return strcpy(text, "< 0.01 %");
	if (percent < 100 && percent > 99.99)
		return strcpy(text, "> 99.99 %");
	if (fabs(percent - round(percent)) < 0.005)
		decimals = 0;
	snprintf(text, REPORT_TEXT_MAX, "%.*f %%", decimals, percent);
	return text;
}

const char *report_duration(double seconds, char text[REPORT_TEXT_MAX])
{
	if (seconds < 0.001)
		snprintf(text, REPORT_TEXT_MAX, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(text, REPORT_TEXT_MAX, "%.*f ms", seconds < 0.1, seconds * 1e3);
	else if (seconds < 100)
		snprintf(text, REPORT_TEXT_MAX, "%.1f s", seconds);
	else
		snprintf(text, REPORT_TEXT_MAX, "%.0f min %.0f s", floor(seconds / 60),
			 seconds - 60 * floor(seconds / 60));
	return text;
}

void report_command(const struct cJSON *root, char *text, size_t room)
{
	const cJSON *command = report_items(root, "command"), *argument;
	size_t length = 0;

	*text = '\0';
	cJSON_ArrayForEach(argument, command)
	{
		const char *value = cJSON_GetStringValue(argument);

		if (value && length < room)
			length += (size_t)snprintf(text + length, room - length, "%s%s", length ? " " : "", value);
	}
	if (length < room)
		return;
	/* Not in the middle of a UTF-8 character. */
	length = room - 4;
	while (length && (text[length] & 0xC0) == 0x80)
		length--;
	strcpy(text + length, "...");
}
