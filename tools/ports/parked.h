/*
 * Whose the broker's connections are: as far as the kernel knows, they are the broker's as much as their program's, or its
 * alone, since the program sleeps or has ended. The broker knows who parked them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/ports/ports.h"

struct parked {
	uint64_t cookie; /* SO_COOKIE */
	uint16_t port;	 /* of the destination */
	pid_t pid;	 /* 0: it has ended */
	char name[PORTS_NAME_MAX];
};

struct parked_list {
	struct parked *entries; /* by cookie */
	size_t n, room;
};

/* What the user's broker holds; nothing where there is none, or it doesn't answer soon. Nothing is created or changed. */
void parked_read(struct parked_list *list);
void parked_free(struct parked_list *list);

/* NULL: not one of the broker's. Borrowed. */
const struct parked *parked_find(const struct parked_list *list, uint64_t cookie, uint16_t port);
