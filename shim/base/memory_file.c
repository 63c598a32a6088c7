/* See memory_file.h. */
#include "shim/base/memory_file.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/base/real.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

bool memory_file_may_have(long size)
{
	struct {
		unsigned long long now, most;
	} limit;

	return libc.syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0 && limit.now >= (unsigned long long)size;
}

int memory_file_make(const char *name, long size)
{
	int fd = memory_file_may_have(size) ? (int)libc.syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
					    : -1;

	if (fd < 0)
		return -1;
	if (libc.syscall(SYS_ftruncate, fd, size) == 0 && real.fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	real.close(fd);
	return -1;
}

bool memory_file_is_sound(int fd, long size)
{
	struct stat status;
	int seals = fd >= 0 ? real.fcntl(fd, F_GET_SEALS) : -1;

	return seals >= 0 && (seals & SEALS) == SEALS && libc.fstat(fd, &status) == 0 && status.st_size == (off_t)size;
}
