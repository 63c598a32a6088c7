/*
 * Fuzz target for the framing of Redis: one connection, fed in several ways, must give the same state; and what hiredis
 * makes of the same bytes.
 *
 * Input: byte 0 seeds the cuts; the rest is the conversation, where the byte 0x1e changes the direction (the program
 * speaks first). It is fed whole, byte by byte, and in random pieces with long strings passed. Then:
 *   - the states are equal;
 *   - where the replies can be followed, hiredis reads as many of them (it knows RESP2 only, and counts depth);
 *   - a command that hiredis writes is one command.
 */
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "pool/proto/redis/framing.h"

#define SWITCH '\x1e'
#define MUST(condition) ((condition) ? (void)0 : abort())
#define ARGUMENTS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t seed;

static size_t random_below(size_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

/* The next stretch of one direction: its length, and *next_at behind it and the byte that ends it. */
static size_t get_stretch(const char *text, size_t length, size_t at, size_t *next_at)
{
	const char *end = memchr(text + at, SWITCH, length - at);
	size_t n = end ? (size_t)(end - text) - at : length - at;

	*next_at = at + n + 1;
	return n;
}

/* In an allocation of its own size, so that the sanitizer sees every step too far. */
static void feed_piece(struct redis *redis, const char *bytes, size_t length, bool is_request)
{
	char *piece = malloc(length);

	memcpy(piece, bytes, length);
	if (is_request)
		redis_feed_request(redis, piece, length);
	else
		MUST(redis_feed_reply(redis, piece, length, false) == length);
	free(piece);
}

static void feed_pieces(struct redis *redis, const char *bytes, size_t length, size_t max_piece, bool is_request)
{
	for (size_t at = 0; at < length;) {
		size_t n = max_piece > 1 ? 1 + random_below(max_piece) : 1;

		if (n > length - at)
			n = length - at;
		if (!is_request && max_piece > 1 && redis_known_reply(redis) >= n && random_below(2))
			redis_pass_reply(redis, n);
		else
			feed_piece(redis, bytes + at, n, is_request);
		at += n;
	}
}

static void tell(struct redis *redis, const char *text, size_t length, size_t max_piece)
{
	bool is_request = true;

	redis_init(redis);
	for (size_t at = 0, next; at < length; at = next, is_request = !is_request) {
		size_t n = get_stretch(text, length, at, &next);

		feed_pieces(redis, text + at, n, max_piece ? max_piece : n + 1, is_request);
	}
}

/* Passed bytes leave no text, which matters for errors only. */
static void check_equal(const struct redis *a, const struct redis *b)
{
	MUST(a->doubt == b->doubt && a->is_lost == b->is_lost && a->has_surplus == b->has_surplus);
	MUST(a->n_sent == b->n_sent && a->n_answered == b->n_answered && a->n_outcomes == b->n_outcomes);
	MUST(a->request_phase == b->request_phase && a->bulk_left == b->bulk_left);
	MUST(a->reply_phase == b->reply_phase && a->reply_bulk_left == b->reply_bulk_left);
	MUST(a->elements_left == b->elements_left && a->reply_kind == b->reply_kind);
	MUST(a->has_left_state == b->has_left_state && a->has_authenticated == b->has_authenticated);
	MUST(a->ran_foreign_code == b->ran_foreign_code && a->began_waiting == b->began_waiting);
	MUST(a->has_named_library == b->has_named_library && a->has_named_itself == b->has_named_itself);
	MUST(redis_wants_fresh(a) == redis_wants_fresh(b) && redis_is_settled(a) == redis_is_settled(b));
}

/* As many replies as hiredis finds in the same bytes; it follows less, and takes more for a line's end. */
static void check_replies(const char *text, size_t length)
{
	redisReader *reader = redisReaderCreateWithFunctions(NULL); /* which makes no objects */
	struct redis replies;
	uint64_t n_read = 0;
	void *reply = NULL;

	redis_init(&replies);
	replies.n_sent = UINT64_MAX / 2;
	redis_feed_reply(&replies, text, length, false);
	reader->maxbuf = 0;
	redisReaderFeed(reader, text, length);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
		n_read++;
		reply = NULL;
	}
	if (!replies.is_lost && !reader->err)
		MUST(n_read == replies.n_answered);
	/* What it does not know: RESP3, great depth, and lengths beyond its limits. */
	if (!replies.is_lost && reader->err)
		MUST(reader->err != REDIS_ERR_PROTOCOL || strstr(reader->errstr, "type byte") ||
		     strstr(reader->errstr, "nested") || strstr(reader->errstr, "length out of range"));
	redisReaderFree(reader);
}

/* The bytes between 0x1e are its arguments. */
static void check_command(const char *text, size_t length)
{
	const char *arguments[ARGUMENTS_MAX];
	size_t lengths[ARGUMENTS_MAX];
	int n = 0, command_length;
	struct redis commands;
	char *command;

	for (size_t at = 0, next; at < length && n < ARGUMENTS_MAX; at = next, n++) {
		lengths[n] = get_stretch(text, length, at, &next);
		arguments[n] = text + at;
	}
	if (!n || (command_length = redisFormatCommandArgv(&command, n, arguments, lengths)) < 0)
		return;
	redis_init(&commands);
	redis_feed_request(&commands, command, (size_t)command_length - 1);
	MUST(!commands.n_sent && commands.request_phase != REDIS_REQUEST_BETWEEN);
	redis_feed_request(&commands, command + command_length - 1, 1);
	MUST(commands.n_sent == 1 && !commands.is_lost && commands.request_phase == REDIS_REQUEST_BETWEEN);
	MUST(redis_classify_first(command, (size_t)command_length) == FRAMING_FIRST_UNSAFE);
	redisFreeCommand(command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis whole, bytes, pieces;
	const char *text = (const char *)data + 1;

	if (size < 2)
		return 0;
	seed = data[0];
	size--;
	tell(&whole, text, size, 0);
	tell(&bytes, text, size, 1);
	tell(&pieces, text, size, 64);
	check_equal(&whole, &bytes);
	check_equal(&whole, &pieces);
	check_replies(text, size);
	check_command(text, size);
	redis_classify_first(text, size);
	return 0;
}
