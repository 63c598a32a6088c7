/* A report (make.h) as tables of text. */
#pragma once

#include <stdio.h>

struct cJSON;

void report_print(FILE *stream, const struct cJSON *root);
