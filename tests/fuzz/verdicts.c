/*
 * The two verdicts of framing, for tests/fuzz/differential to compare with another library's.
 *
 * Cases on stdin, each: a line "KIND FIN SEED LENGTH\n", then LENGTH bytes. KIND is `request` (the bytes are a
 * program's), or the method of the request to which they are the answer. FIN: 1 if the sender closes behind them. For
 * each case, a line: where the first message ends (-1: it has not, -2: its end can't be known any more), and whether
 * all of it up to there is canonical.
 *
 * Each case is fed byte by byte, whole, and in pieces cut by SEED; the program itself checks that the verdicts are
 * equal.
 */
#include "pool/proto/http1/framing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : abort())
#define MAX_INPUT 65536

struct test {
	char kind[16];
	int has_fin;
	uint32_t seed;
	size_t length;
	char bytes[MAX_INPUT];
};

static bool is_request(const struct test *test)
{
	return strcmp(test->kind, "request") == 0;
}

static void begin(const struct test *test, struct framing *framing)
{
	char request[64];

	framing_init(framing, true);
	if (is_request(test))
		return;
	framing_feed_request(framing, request,
			     (size_t)snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: h\r\n\r\n", test->kind),
			     NULL);
}

static void feed(const struct test *test, struct framing *framing, const char *bytes, size_t length)
{
	/* At the end of an allocation, so that the sanitizer sees every step too far. */
	char *copy = malloc(length);

	MUST(copy);
	memcpy(copy, bytes, length);
	(is_request(test) ? framing_feed_request : framing_feed_response)(framing, copy, length, NULL);
	free(copy);
}

/* A first message has ended. */
static bool has_ended(const struct test *test, const struct framing *framing)
{
	if (framing->lost)
		return false;
	if (is_request(test))
		return framing->n_requests > 1 || (framing->n_requests == 1 && !framing_has_more_to_send(framing));
	return framing->response_ended;
}

static long find_end(const struct test *test, enum framing_doubt *doubt)
{
	struct framing framing;

	begin(test, &framing);
	for (size_t i = 0; i < test->length && !framing.lost; i++) {
		feed(test, &framing, test->bytes + i, 1);
		*doubt = framing.doubt;
		if (has_ended(test, &framing))
			return (long)i + 1;
	}
	if (test->has_fin && !is_request(test) && !framing.lost) {
		bool was_until_close = framing.response.phase == FRAMING_PHASE_UNTIL_CLOSE;

		framing_feed_response_end(&framing);
		*doubt = framing.doubt;
		if (was_until_close && has_ended(test, &framing))
			return (long)test->length;
	}
	*doubt = framing.doubt;
	return framing.lost ? -2 : -1;
}

/* In pieces of at most this many bytes: after each the same as byte by byte. */
static void check_pieces(struct test *test, size_t longest)
{
	struct framing framing, byte_by_byte;

	begin(test, &framing);
	begin(test, &byte_by_byte);
	for (size_t at = 0, n; at < test->length; at += n) {
		test->seed = test->seed * 1664525 + 1013904223;
		n = 1 + (test->seed >> 8) % longest;
		if (n > test->length - at)
			n = test->length - at;
		feed(test, &framing, test->bytes + at, n);
		for (size_t i = 0; i < n; i++)
			feed(test, &byte_by_byte, test->bytes + at + i, 1);
		MUST(framing.doubt == byte_by_byte.doubt && framing.lost == byte_by_byte.lost);
		MUST(framing.n_requests == byte_by_byte.n_requests);
		MUST(framing_at_boundary(&framing) == framing_at_boundary(&byte_by_byte));
		MUST(has_ended(test, &framing) == has_ended(test, &byte_by_byte));
	}
}

int main(void)
{
	static struct test test;

	while (scanf("%15s %d %" SCNu32 " %zu", test.kind, &test.has_fin, &test.seed, &test.length) == 4) {
		enum framing_doubt doubt = FRAMING_CANONICAL;
		long end;

		MUST(test.length <= MAX_INPUT && getchar() == '\n');
		MUST(fread(test.bytes, 1, test.length, stdin) == test.length);
		end = find_end(&test, &doubt);
		check_pieces(&test, 1000000);
		check_pieces(&test, 40);
		printf("%ld %d\n", end, doubt == FRAMING_CANONICAL);
		fflush(stdout);
	}
	return 0;
}
