/*
 * Secrets are taken out of a line before it goes into a bug report: what stands behind the names of passwords, tokens
 * and keys, behind fields of HTTP that authenticate, and the user of a URL. It would rather take out too much.
 *
 * Pure: no allocation, no system calls.
 */
#pragma once

#include <stddef.h>

#define REDACTED "***"

/* The line without its secrets, ended by '\0' and cut off at `room` bytes (at least 1). The line may have any bytes and
 * ends at its '\0'. */
void redact_line(const char *line, char *clean, size_t room);
