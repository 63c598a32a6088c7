/*
 * Taking a report (make.h) apart again. It may come from a file, and so be anything: what is missing or of
 * another type reads as nothing, and numbers are made finite and never negative.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* Reads and parses a report. NULL after saying why not on stderr, beginning with `who`. The caller's to cJSON_Delete(). */
struct cJSON *report_load(const char *path, const char *who);

double report_number(const struct cJSON *object, const char *name);
/* "" if there is none. Lives as long as the object. */
const char *report_string(const struct cJSON *object, const char *name);
/* NULL if there is none. */
const struct cJSON *report_object(const struct cJSON *object, const char *name);

/* What cJSON_ArrayForEach() takes: NULL if it is neither an array nor an object. */
const struct cJSON *report_items(const struct cJSON *object, const char *name);

/* The number of an object that is greatest, by name; NULL: there is none above 0. */
const struct cJSON *report_greatest(const struct cJSON *object);

#define REPORT_TEXT_MAX 48

/* 1234567 as "1,234,567". Returns `text`. */
const char *report_count(double number, char text[REPORT_TEXT_MAX]);
/* 0.9995 as "99.95 %"; what is not quite all, or hardly anything, never looks like all or nothing. */
const char *report_percent(double ratio, char text[REPORT_TEXT_MAX]);
/* As "16 us", "1.0 ms", "12.5 s", "3 min 20 s". */
const char *report_duration(double seconds, char text[REPORT_TEXT_MAX]);

/* The command line, cut off with "..." where it is long. */
void report_command(const struct cJSON *root, char *text, size_t room);
