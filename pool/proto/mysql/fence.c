/* See fence.h. */
#include "pool/proto/mysql/fence.h"

#include <string.h>

#include "pool/proto/mysql/login.h"
#include "pool/proto/mysql/packet.h"

#define COM_QUERY 0x03
#define COM_RESET_CONNECTION 0x1f
#define NONCE 16
#define N_COLUMNS 2
#define FIRST_OK 0x00
#define FIRST_END 0xfe
#define FIRST_ERROR 0xff
#define ERROR_UNKNOWN_COMMAND 1047

/* A process that never calls again would keep its place for hours. A change of user takes it back. */
#define AS_TEXT(number) AS_TEXT_ITSELF(number)
#define AS_TEXT_ITSELF(number) #number
static const char shorten[] = "SET wait_timeout=" AS_TEXT(MYSQL_KEPT_S);
static const char before[] = "SELECT '", behind[] = "', @@init_connect";

/* The fence's `parts`. */
enum { PART_OLD_ENDS = 1, PART_CACHES_METADATA = 2 };

void mysql_fence_begin(const struct mysql *mysql, uint64_t nonce, struct fence *fence)
{
	const struct login *login = &mysql->login;
	bool caches = (login->extended & MYSQL_EXTENDED_CACHE_METADATA) && !(login->capabilities & MYSQL_LONG_PASSWORD);

	*fence = (struct fence){.nonce = nonce, .n_due = 1};
	if (!(login->capabilities & MYSQL_DEPRECATE_EOF))
		fence->parts |= PART_OLD_ENDS;
	if (caches)
		fence->parts |= PART_CACHES_METADATA;
}

static void write_nonce(const struct fence *fence, char *to)
{
	for (int i = 0; i < NONCE; i++)
		to[i] = "0123456789abcdef"[fence->nonce >> (60 - 4 * i) & 15];
}

static char *append(char *to, const void *bytes, size_t length)
{
	memcpy(to, bytes, length);
	return to + length;
}

static char *append_head(char *to, unsigned command, size_t length)
{
	const char head[] = {(char)(1 + length), 0, 0, 0, (char)command};

	return append(to, head, sizeof(head));
}

size_t mysql_fence_write(const struct fence *fence, char *bytes)
{
	char *at = append_head(bytes, COM_QUERY, sizeof(before) - 1 + NONCE + sizeof(behind) - 1);

	at = append(at, before, sizeof(before) - 1);
	write_nonce(fence, at);
	at = append(at + NONCE, behind, sizeof(behind) - 1);
	at = append_head(at, COM_RESET_CONNECTION, 0);
	at = append_head(at, COM_QUERY, sizeof(shorten) - 1);
	at = append(at, shorten, sizeof(shorten) - 1);
	return (size_t)(at - bytes);
}

/* The answer, packet by packet. */
struct answer {
	const uint8_t *at, *end;
	uint8_t number; /* of the next packet */
};

/* The next packet's payload. MYSQL_ANSWER_GOOD: it is there. */
static enum mysql_answer take(struct answer *answer, struct mysql_reader *reader)
{
	size_t length = mysql_packet_length(answer->at, (size_t)(answer->end - answer->at));

	if (!length)
		return MYSQL_ANSWER_PARTIAL;
	if (answer->at[3] != answer->number)
		return MYSQL_ANSWER_WRONG;
	answer->number++;
	*reader = (struct mysql_reader){answer->at + MYSQL_HEAD, answer->at + length, false};
	answer->at += length;
	return MYSQL_ANSWER_GOOD;
}

static bool is_at_end(const struct mysql_reader *reader)
{
	return !reader->is_short && reader->at == reader->end;
}

static enum mysql_answer take_count(struct answer *answer, unsigned parts)
{
	struct mysql_reader reader;
	enum mysql_answer result = take(answer, &reader);

	if (result != MYSQL_ANSWER_GOOD)
		return result;
	if (mysql_read_number(&reader, 1) != N_COLUMNS)
		return MYSQL_ANSWER_WRONG;
	/* The columns are described, since this statement was never asked before. */
	if ((parts & PART_CACHES_METADATA) && mysql_read_number(&reader, 1) != 1)
		return MYSQL_ANSWER_WRONG;
	return is_at_end(&reader) ? MYSQL_ANSWER_GOOD : MYSQL_ANSWER_WRONG;
}

static enum mysql_answer take_columns(struct answer *answer, unsigned parts)
{
	unsigned n = N_COLUMNS + !!(parts & PART_OLD_ENDS);
	enum mysql_answer result = MYSQL_ANSWER_GOOD;
	struct mysql_reader reader;

	for (unsigned i = 0; i < n && result == MYSQL_ANSWER_GOOD; i++) {
		uint64_t first;

		result = take(answer, &reader);
		if (result != MYSQL_ANSWER_GOOD)
			return result;
		first = mysql_read_number(&reader, 1);
		if ((first == FIRST_END) != (i == N_COLUMNS) || first == FIRST_ERROR)
			return MYSQL_ANSWER_WRONG;
	}
	return result;
}

static enum mysql_answer take_row(struct answer *answer, const struct fence *fence)
{
	struct mysql_reader reader;
	enum mysql_answer result = take(answer, &reader);
	char nonce[NONCE];
	const uint8_t *shown;

	if (result != MYSQL_ANSWER_GOOD)
		return result;
	write_nonce(fence, nonce);
	if (mysql_read_lenenc(&reader) != NONCE || !(shown = mysql_read_bytes(&reader, NONCE)) ||
	    memcmp(shown, nonce, NONCE) != 0)
		return MYSQL_ANSWER_WRONG;
	if (mysql_read_lenenc(&reader) != 0)
		return MYSQL_ANSWER_NEVER;
	return is_at_end(&reader) ? MYSQL_ANSWER_GOOD : MYSQL_ANSWER_WRONG;
}

/* Of the row's end, or of the reset's OK. */
static enum mysql_answer take_last(struct answer *answer, unsigned first)
{
	struct mysql_reader reader;
	enum mysql_answer result = take(answer, &reader);
	uint64_t is;

	if (result != MYSQL_ANSWER_GOOD)
		return result;
	is = mysql_read_number(&reader, 1);
	if (is == FIRST_ERROR && mysql_read_number(&reader, 2) == ERROR_UNKNOWN_COMMAND)
		return MYSQL_ANSWER_NEVER;
	return is == first ? MYSQL_ANSWER_GOOD : MYSQL_ANSWER_WRONG;
}

enum mysql_answer mysql_read_answer(const struct fence *fence, const uint8_t *bytes, size_t length, size_t *whole)
{
	struct answer answer = {bytes, bytes + length, 1};
	enum mysql_answer result = take_count(&answer, fence->parts);

	if (result == MYSQL_ANSWER_GOOD)
		result = take_columns(&answer, fence->parts);
	if (result == MYSQL_ANSWER_GOOD)
		result = take_row(&answer, fence);
	if (result == MYSQL_ANSWER_GOOD)
		result = take_last(&answer, FIRST_END);
	/* Of the reset, and of the shorter timeout. */
	for (int i = 0; i < 2 && result == MYSQL_ANSWER_GOOD; i++) {
		answer.number = 1;
		result = take_last(&answer, FIRST_OK);
	}
	*whole = (size_t)(answer.at - bytes);
	return result;
}
