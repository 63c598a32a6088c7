/* See region.h. The memory is sealed: a process that truncated it would kill us by SIGBUS. */
#include "tools/broker/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/share/slots.h"

static struct {
	struct slots_region *memory; /* NULL: there is none */
	int fd;
} spare;

static struct slots_region *make(int *fd)
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

void broker_region_prepare(void)
{
	if (spare.memory)
		return;
	spare.memory = make(&spare.fd);
	/* Its first page is there from now on. */
	if (spare.memory)
		atomic_store(&spare.memory->n_taken, 0);
}

struct slots_region *broker_region_make(int *fd)
{
	struct slots_region *memory = spare.memory;

	if (!memory)
		return make(fd);
	*fd = spare.fd;
	spare.memory = NULL;
	return memory;
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
