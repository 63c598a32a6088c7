/* The C library's calls for those who are no shim, which has to look for them by itself. See file.h. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/stats/file.h"

const struct stats_sys stats_sys_libc = {
	.openat = openat,
	.mkdir = mkdir,
	.close = close,
	.fstat = fstat,
	.fstatfs = fstatfs,
	.pread = pread,
	.pwrite = pwrite,
	.fallocate = fallocate,
	.flock = flock,
	.unlinkat = unlinkat,
	.mmap = mmap,
	.munmap = munmap,
	.kill = kill,
};
