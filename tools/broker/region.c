/* See region.h. The memory is sealed: a process that truncated it would kill us by SIGBUS. */
#include "tools/broker/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/share/slots.h"

struct slots_region *broker_region_make(int *fd)
{
	void *memory = MAP_FAILED;

	*fd = memfd_create("holdline", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NULL;
	if (ftruncate(*fd, sizeof(struct slots_region)) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		memory = mmap(NULL, sizeof(struct slots_region), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (memory != MAP_FAILED)
		return memory;
	close(*fd);
	*fd = -1;
	return NULL;
}

void *broker_region_map(int fd, uint64_t length)
{
	int seals = fcntl(fd, F_GET_SEALS);
	void *memory;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || lseek(fd, 0, SEEK_END) < (off_t)length)
		return NULL;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}
