/* The C library's calls for pool/stats/file.h: the command's. The shim, which wraps some of them, looks for them by itself. */
#pragma once

#include "pool/stats/file.h"

extern const struct stats_sys stats_sys_libc;
