/*
 * The process's own descriptors, as the kernel lists them in /proc/self/fd: read by getdents64(2) into memory of the
 * caller's, since readdir(3) allocates. Async-signal-safe.
 */
#pragma once

#include <stdint.h>

/* An entry of a folder, as the kernel gives it. */
struct fd_list_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* The next descriptor of a list of so many bytes, aligned for its entries; *at: where to go on, 0 at first. -1: there
 * is none any more. */
static inline int fd_list_next(const char *list, long length, long *at)
{
	while (*at < length) {
		const struct fd_list_entry *entry = (const struct fd_list_entry *)(const void *)(list + *at);
		const char *digit = entry->name;
		int fd = 0;

		*at += entry->length;
		for (; *digit >= '0' && *digit <= '9'; digit++)
			fd = 10 * fd + (*digit - '0');
		/* The folder itself and its parent have no digits. */
		if (digit != entry->name)
			return fd;
	}
	return -1;
}
