/* The C library's calls in the forms in which the pool takes them (pool/base/sys.h). */
#pragma once

#include <stdint.h>

void *calls_map(uint64_t length);
void calls_unmap(void *memory, uint64_t length);
int calls_disconnect(int fd);

/* Raises the soft limit of descriptors to the hard one. Returns how many that are; 0: that is not known. */
uint64_t calls_raise_fd_limit(void);
