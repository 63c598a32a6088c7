/*
 * A report (make.h) as one page of HTML that needs nothing else: no script, no network, its charts are inline
 * SVG. Whatever is in the report is shown as text.
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
