/* The C library's calls, for pool/stats/file.h. The shim, which wraps some of them, has a table of its own. */
#pragma once

#include "pool/stats/file.h"

extern const struct stats_sys stats_sys_libc;
