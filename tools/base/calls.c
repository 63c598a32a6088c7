/* See calls.h. */
#include "tools/base/calls.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

void *calls_map(uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void calls_unmap(void *memory, uint64_t length)
{
	munmap(memory, length);
}

int calls_disconnect(int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	/* Only as much of the address as the broker's sandbox allows: see tools/broker/sandbox.c. */
	return connect(fd, &nowhere, sizeof(nowhere.sa_family));
}

uint64_t calls_raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}
