/*
 * What a filter of system calls (seccomp(2)) would say of one, without making it. Pure, no memory of its own,
 * async-signal-safe. Source: the kernel's Documentation/userspace-api/seccomp_filter.rst and its check of such filters.
 */
#pragma once

#include <stdbool.h>

struct seccomp_data;
struct sock_filter;

/* True if the program, of n instructions, returns SECCOMP_RET_ALLOW for that call. False for every other verdict, and
 * for what the kernel would not take as a filter. */
bool call_filter_allows(const struct sock_filter *program, unsigned n, const struct seccomp_data *call);
