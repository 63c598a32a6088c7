/* See login_memory.h. */
#include "pool/conn/login_memory.h"

#include <stdatomic.h>
#include <string.h>

/* Another one where anything in it changes. */
#define MAGIC UINT64_C(0x686f6c646c6f6731)

void login_memory_write(struct login_memory *memory, const struct login *login)
{
	*memory = (struct login_memory){
		.magic = MAGIC,
		.greeting_length = login->greeting_length,
		.goodbye_length = login->goodbye_length,
		.offers_tls = login->offers_tls,
		.capabilities = login->capabilities,
		.max_packet = login->max_packet,
		.extended = login->extended,
	};
	memcpy(memory->greeting, login->greeting, sizeof(memory->greeting));
	memcpy(memory->goodbye, login->goodbye, sizeof(memory->goodbye));
}

bool login_memory_read(const struct login_memory *memory, struct login *login)
{
	struct login_memory copy;

	/* It may change under our eyes: it is read once. */
	memcpy(&copy, memory, sizeof(copy));
	atomic_signal_fence(memory_order_seq_cst);
	if (copy.magic != MAGIC || !copy.greeting_length || copy.greeting_length > LOGIN_GREETING_MAX ||
	    copy.goodbye_length > LOGIN_GOODBYE_MAX)
		return false;
	/* Nobody tells what its last user has left to be undone. */
	*login = (struct login){
		.greeting_length = copy.greeting_length,
		.goodbye_length = copy.goodbye_length,
		.offers_tls = copy.offers_tls != 0,
		.may_take_long = true,
		.capabilities = copy.capabilities,
		.max_packet = copy.max_packet,
		.extended = copy.extended,
	};
	memcpy(login->greeting, copy.greeting, sizeof(login->greeting));
	memcpy(login->goodbye, copy.goodbye, sizeof(login->goodbye));
	return true;
}

bool login_memory_farewell(const void *memory, struct pool_farewell *farewell)
{
	struct login login;

	if (!login_memory_read(memory, &login))
		return false;
	*farewell = login_farewell(&login);
	return true;
}
