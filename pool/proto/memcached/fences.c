/* See fences.h. */
#include "pool/proto/memcached/fences.h"

#include <string.h>

/* The questions: see struct fence, `parts`. */
enum { PART_SETTINGS = 1, PART_VERSION = 2, PART_NOOP = 4 };

#define LINE_MAX 1024u
#define NOOP_LENGTH 24

/* The place in an answer of unknown length, which struct fence keeps for us. */
struct place {
	uint16_t column;    /* in the line */
	uint8_t is_stat;    /* the line begins like a setting, as far as it goes */
	uint8_t is_end;	    /* ... like the last one */
	uint8_t is_login;   /* ... like the one that we look for */
	uint8_t is_open;    /* ... and no logins are wanted */
	uint8_t after_cr;   /* the line is complete but for one byte */
	uint8_t wants_none; /* that line has come */
};

_Static_assert(sizeof(struct place) == sizeof(((struct fence *)NULL)->nonce), "it is kept there");

static const struct place line_begins = {.is_stat = true, .is_end = true, .is_login = true, .is_open = true};

static void begin(struct fence *fence, unsigned part, bool is_plain)
{
	*fence = (struct fence){.parts = (uint16_t)part, .n_due = 1, .is_plain = is_plain};
	memcpy(&fence->nonce, &line_begins, sizeof(line_begins));
}

void memcached_fence_settings(struct fence *fence)
{
	begin(fence, PART_SETTINGS, true);
}

void memcached_fence_version(struct fence *fence, bool is_plain)
{
	begin(fence, PART_VERSION, is_plain);
}

static size_t copy(char *to, const char *text)
{
	size_t length = strlen(text);

	memcpy(to, text, length);
	return length;
}

size_t memcached_fence_write_text(const struct fence *fence, char *bytes)
{
	return copy(bytes, fence->parts == PART_SETTINGS ? "stats settings\r\n" : "version\r\n");
}

/* The byte continues this text. `is_prefix`: which may go on by anything. */
static bool continues(const char *text, bool is_prefix, unsigned column, char byte)
{
	size_t length = strlen(text);

	return column < length ? text[column] == byte : is_prefix;
}

/* A line ends: perhaps the last one. */
static enum fence_proof end_line(struct fence *fence, struct place *place)
{
	bool is_end = place->is_end && place->column == 3;
	bool is_login = place->is_login && place->column >= sizeof("STAT auth_enabled_ascii ") - 1;
	bool is_open = place->is_open && place->column == sizeof("STAT auth_enabled_ascii no") - 1;
	uint8_t wants_none = place->wants_none || is_open;

	*place = line_begins;
	place->wants_none = wants_none;
	if (fence->parts == PART_VERSION) {
		fence->n_proven = fence->n_due;
		return FENCE_PROOF_GOOD;
	}
	/* It wants logins, or is too old to say so, or not memcached's own. */
	if ((is_login && !is_open) || (is_end && !wants_none))
		return FENCE_PROOF_NEVER;
	if (is_end)
		fence->n_proven = fence->n_due;
	return FENCE_PROOF_GOOD;
}

/* The line is one that may come, as far as it goes. */
static bool is_possible(const struct fence *fence, const struct place *place)
{
	if (fence->parts == PART_VERSION)
		return place->is_stat && (!place->after_cr || place->column > sizeof("VERSION ") - 1);
	if (place->after_cr)
		return place->is_stat ? place->column > sizeof("STAT ") - 1 : place->is_end && place->column == 3;
	return place->is_stat || place->is_end;
}

static enum fence_proof take(struct fence *fence, struct place *place, char byte)
{
	const char *begins = fence->parts == PART_VERSION ? "VERSION " : "STAT ";

	if (place->after_cr)
		return byte == '\n' ? end_line(fence, place) : FENCE_PROOF_WRONG;
	if (byte == '\r') {
		place->after_cr = true;
		return is_possible(fence, place) ? FENCE_PROOF_GOOD : FENCE_PROOF_WRONG;
	}
	place->is_stat &= continues(begins, true, place->column, byte);
	place->is_end &= continues("END", false, place->column, byte);
	place->is_login &= continues("STAT auth_enabled_ascii ", true, place->column, byte);
	place->is_open &= continues("STAT auth_enabled_ascii no", false, place->column, byte);
	place->column++;
	if ((unsigned char)byte < ' ' || place->column > LINE_MAX || !is_possible(fence, place))
		return FENCE_PROOF_WRONG;
	return FENCE_PROOF_GOOD;
}

enum fence_proof memcached_fence_prove_text(struct fence *fence, const char *bytes, size_t length)
{
	enum fence_proof proof = FENCE_PROOF_GOOD;
	struct place place;

	memcpy(&place, &fence->nonce, sizeof(place));
	/* Behind the end of the answer nothing may come. */
	for (size_t i = 0; i < length && proof == FENCE_PROOF_GOOD; i++)
		proof = fence_n_awaited(fence) ? take(fence, &place, bytes[i]) : FENCE_PROOF_WRONG;
	memcpy(&fence->nonce, &place, sizeof(place));
	return proof;
}

void memcached_fence_noop(struct fence *fence, uint64_t nonce, bool is_plain)
{
	*fence = (struct fence){.nonce = nonce, .parts = PART_NOOP, .n_due = NOOP_LENGTH, .is_plain = is_plain};
}

/* The nonce is what the server sends back (opaque). */
static size_t write_noop(const struct fence *fence, char magic, char *bytes)
{
	memset(bytes, 0, NOOP_LENGTH);
	bytes[0] = magic;
	bytes[1] = 0x0a;
	for (int i = 0; i < 4; i++)
		bytes[12 + i] = (char)(fence->nonce >> (8 * i));
	return NOOP_LENGTH;
}

size_t memcached_fence_write_binary(const struct fence *fence, char *bytes)
{
	return write_noop(fence, (char)0x80, bytes);
}

enum fence_proof memcached_fence_prove_binary(struct fence *fence, const char *bytes, size_t length)
{
	char answer[NOOP_LENGTH];
	size_t n = write_noop(fence, (char)0x81, answer);

	return fence_prove_equal(fence, answer, n, bytes, length) ? FENCE_PROOF_GOOD : FENCE_PROOF_WRONG;
}
