/*
 * The owners of the broker's connections: to the kernel they belong to the broker as much as to their program, or to
 * the broker alone once the program has dropped its descriptor or ended. The broker knows who parked them.
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
	pid_t pid;	 /* 0: the process has ended */
	char name[PORTS_NAME_MAX];
};

struct parked_list {
	struct parked *entries; /* by cookie */
	size_t n, room;
};

/* The connections of the user's broker; none if there is no broker, or it doesn't answer soon. Creates and changes
 * nothing. */
void parked_read(struct parked_list *list);
void parked_free(struct parked_list *list);

/* Borrowed; NULL: not one of the broker's. */
const struct parked *parked_find(const struct parked_list *list, uint64_t cookie, uint16_t port);
