/*
 * Which place in the program called connect(): a return address, or with HOLDLINE_CALLSITES=stack those of its callers
 * too, told as file and ELF address, so that they can be given names when the process is gone.
 */
#pragma once

struct config;
struct stats_callsite;
struct stats_destination;

/* When the library begins (shim/process/init.h). */
void callsite_init(const struct config *config);

/* The entry for a caller (return address); NULL: not recorded, or no room. Async-signal-safe. */
struct stats_callsite *callsite_find(struct stats_destination *destination, void *caller);
