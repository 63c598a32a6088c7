/* Asking a broker what it holds. */
#pragma once

#include "pool/share/wire.h"

/* Calls `each` for every connection that the broker at `path` holds, waiting `patience_ms` for each answer. 0, and the
 * broker's state in *flags (enum broker_listed_flags); -ENOENT or -ECONNREFUSED: no broker is there; -EPROTONOSUPPORT:
 * one of another version; or another -errno. */
int broker_list_held(const char *path, void (*each)(void *context, const struct broker_held *held), void *context,
		     int patience_ms, uint32_t *flags) __attribute__((warn_unused_result));
