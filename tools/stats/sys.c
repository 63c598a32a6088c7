/* See sys.h. */
#include "tools/stats/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

const struct stats_sys stats_sys_libc = {
	.openat = openat,
	.mkdir = mkdir,
	.close = close,
	.fstat = fstat,
	.fstatat = fstatat,
	.fstatfs = fstatfs,
	.pread = pread,
	.pwrite = pwrite,
	.fallocate = fallocate,
	.flock = flock,
	.unlinkat = unlinkat,
	.mmap = mmap,
	.munmap = munmap,
	.kill = kill,
	.nanosleep = nanosleep,
};
