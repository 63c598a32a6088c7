/*
 * Reading a report (make.h). It may come from a file, and so contain anything: missing values and those of another type
 * read as empty, and numbers are made finite and not negative.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* Reads and parses a report. NULL after saying why not on stderr, with the prefix `who`. The caller frees it with
 * cJSON_Delete(). */
struct cJSON *report_load(const char *path, const char *who);

double report_number(const struct cJSON *object, const char *name);
/* "" if it is missing. Lives as long as the object. */
const char *report_string(const struct cJSON *object, const char *name);
/* NULL if it is missing. */
const struct cJSON *report_object(const struct cJSON *object, const char *name);

/* An argument for cJSON_ArrayForEach(): NULL if it is neither an array nor an object. */
const struct cJSON *report_items(const struct cJSON *object, const char *name);

/* The name of the greatest number of an object; NULL: none is above 0. */
const struct cJSON *report_greatest(const struct cJSON *object);

/* The same of the others than this one. */
const struct cJSON *report_greatest_but(const struct cJSON *object, const char *name);

#define REPORT_TEXT_MAX 48

/* 1234567 as "1,234,567". Returns `text`. */
const char *report_count(double number, char text[REPORT_TEXT_MAX]);
/* 0.9995 as "99.95 %"; a ratio just below 1 never looks like 1, one just above 0 never like 0. */
const char *report_percent(double ratio, char text[REPORT_TEXT_MAX]);
/* As "16 us", "1.0 ms", "12.5 s", "3 min 20 s". */
const char *report_duration(double seconds, char text[REPORT_TEXT_MAX]);

/* The command line, shortened with "..." if it is long. */
void report_command(const struct cJSON *root, char *text, size_t room);
