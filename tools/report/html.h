/*
 * A report (make.h) as one self-contained HTML page: no script, no network, inline SVG charts. All strings of the
 * report are shown as text.
 */
#pragma once

#include <stdio.h>

struct cJSON;

void report_write_html(FILE *stream, const struct cJSON *root);

/* Text between tags, or in an attribute in double quotes. */
void report_write_text(FILE *stream, const char *text);

/* The parts of the page below the verdict. */
void report_write_curves(FILE *stream, const struct cJSON *root);
void report_write_rankings(FILE *stream, const struct cJSON *root);
