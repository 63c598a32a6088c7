/* Shared by the files of this folder. See framing.h. */
#pragma once

#include "pool/proto/redis/framing.h"

/* The effect of a command on its connection. */
enum redis_class {
	REDIS_PLAIN,	 /* nothing */
	REDIS_LEAVES,	 /* something that RESET undoes */
	REDIS_RUNS,	 /* likewise; and it runs code that may answer anything. Also those that we don't know */
	REDIS_LOGS_IN,	 /* AUTH, HELLO */
	REDIS_WAITS,	 /* for replicas, until they have what the connection's commands so far have seen */
	REDIS_MULTI,	 /* begins a transaction */
	REDIS_END_MULTI, /* ends it */
	REDIS_CLIENT,	 /* its subcommand decides */
	REDIS_QUITS,
	REDIS_REFUSED, /* something that can't be undone, or after which replies can't be counted */
};

/* By the name in capitals, and by that of a subcommand. */
enum redis_class redis_class_of(const char *name, size_t length);
enum redis_class redis_class_of_client(const char *subcommand, size_t length);

/* True for a name that the table has. */
bool redis_is_known(const char *name, size_t length);

/* A command is complete: what it does to the connection, and whether a reply is due. */
void redis_note_command(struct redis *redis);

/* An answer is complete. */
void redis_note_answer(struct redis *redis);

enum redis_number_result { REDIS_NUMBER_MORE, REDIS_NUMBER_DONE, REDIS_NUMBER_BAD };
enum redis_number_result redis_number_take(struct redis_number *number, char byte);

static inline void redis_doubt(struct redis *redis, enum refusal why)
{
	if (redis->doubt == REFUSAL_NONE)
		redis->doubt = why;
}

/* Nothing can be told any more. */
static inline void redis_lose(struct redis *redis, enum refusal why)
{
	redis_doubt(redis, why);
	redis->is_lost = true;
}
