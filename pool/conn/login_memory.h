/*
 * What was said first on a connection (login.h), as it goes to other processes beside the connection: in memory of its
 * own (a memfd), whose contents are hostile input to whoever gets it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/conn/login.h"

struct login_memory {
	uint64_t magic;
	uint16_t greeting_length;
	uint8_t goodbye_length;
	uint8_t offers_tls;
	uint32_t capabilities, max_packet, extended;
	uint8_t greeting[LOGIN_GREETING_MAX];
	uint8_t goodbye[LOGIN_GOODBYE_MAX];
};

void login_memory_write(struct login_memory *memory, const struct login *login);

/* False: it is none. What the greeting says is for the caller to judge. */
bool login_memory_read(const struct login_memory *memory, struct login *login) __attribute__((warn_unused_result));

/* The goodbye alone. False: it is none. */
bool login_memory_farewell(const void *memory, struct pool_farewell *farewell) __attribute__((warn_unused_result));
