/*
 * Fuzz target for framing: one connection, fed in several ways, must give the same verdicts.
 *
 * Input: byte 0 seeds the cuts, byte 1 has bit 0 for a FIN at the end; the rest is the conversation, where the byte
 * 0x1e changes the direction (the program speaks first). It is fed whole, byte by byte, in random pieces with bodies
 * skipped, and once by an owner that sends with a plan and whose kernel accepts a part. Then:
 *   - the verdicts are equal;
 *   - plans lie within their buffers, ascend, and hit only the tokens;
 *   - a server that reads the edited bytes sees the same, with a wish to close exactly if that was not withheld;
 *   - for a canonical, complete conversation plain llhttp finds the same messages.
 */
#include "pool/proto/http1/framing.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SWITCH '\x1e'
#define INSERTED "Connection: keep-alive\r\n"
#define MAX_INPUT 16384
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t seed;

static size_t random_below(size_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

typedef void feed_function(struct framing *, const char *, size_t, struct framing_plan *);

/* The next stretch of one direction: its length, and *next_at behind it and the byte that ends it. */
static size_t get_stretch(const char *text, size_t length, size_t at, size_t *next_at)
{
	const char *end = memchr(text + at, SWITCH, length - at);
	size_t n = end ? (size_t)(end - text) - at : length - at;

	*next_at = at + n + 1;
	return n;
}

static void check_plan(const struct framing_plan *plan, const char *bytes, size_t length, const char *token)
{
	size_t at = 0;

	MUST(plan->n_edits <= FRAMING_MAX_EDITS);
	for (unsigned i = 0; i < plan->n_edits; i++) {
		const struct framing_edit *edit = &plan->edits[i];
		size_t token_length = strlen(token);

		MUST(edit->offset >= at && edit->length > 0);
		at = (size_t)edit->offset + edit->length;
		MUST(at <= length);
		/* The first piece may be the rest of a token. */
		MUST(edit->length == token_length || (i == 0 && edit->offset == 0 && edit->length < token_length));
		MUST(strncasecmp(bytes + edit->offset, token + token_length - edit->length, edit->length) == 0 ||
		     (i == 0 && edit->offset == 0));
	}
	if (!plan->insert)
		MUST(plan->insert_offset == 0);
	else if (token[0] == 'c')
		MUST(plan->insert_offset <= length && bytes[plan->insert_offset - 1] == '\n');
	else
		MUST(plan->insert_offset + 2 <= length && memcmp(bytes + plan->insert_offset, "\r\n", 2) == 0);
}

static void feed_pieces(struct framing *framing, const char *bytes, size_t length, size_t max_piece,
			feed_function *feed)
{
	static char room[MAX_INPUT];
	bool request = feed == framing_feed_request;

	for (size_t at = 0; at < length;) {
		uint64_t skippable = request ? framing_skippable_request(framing) : framing_skippable_response(framing);
		size_t n = max_piece > 1 ? 1 + random_below(max_piece) : 1;
		struct framing copy = *framing;
		struct framing_plan plan;

		if (n > length - at)
			n = length - at;
		if (skippable >= n && random_below(2)) {
			if (request)
				framing_skip_request(framing, n);
			else
				framing_skip_response(framing, n);
			at += n;
			continue;
		}
		/* At the end of an allocation, so that the sanitizer sees every step too far. */
		char *piece = room + sizeof(room) - n;
		memcpy(piece, bytes + at, n);
		feed(&copy, piece, n, &plan);
		check_plan(&plan, piece, n, request ? "close" : "keep-alive");
		*framing = copy;
		at += n;
	}
}

static void tell(struct framing *framing, const char *text, size_t length, bool fin, size_t max_piece)
{
	bool request = true;

	framing_init(framing, true);
	for (size_t at = 0, next; at < length; at = next, request = !request) {
		size_t n = get_stretch(text, length, at, &next);
		feed_pieces(framing, text + at, n, max_piece < n ? max_piece : n,
			    request ? framing_feed_request : framing_feed_response);
	}
	if (fin)
		framing_feed_response_end(framing);
}

/* Everything except what depends on the cuts: whether a wish could be withheld. */
static void check_equal(const struct framing *a, const struct framing *b)
{
	MUST(a->doubt == b->doubt && a->lost == b->lost && a->surplus == b->surplus &&
	     a->sent_behind == b->sent_behind);
	MUST(a->n_requests == b->n_requests && a->n_outstanding == b->n_outstanding);
	MUST(a->unsafe_outstanding == b->unsafe_outstanding && a->close_wanted == b->close_wanted);
	MUST(a->response_started == b->response_started && a->response_ended == b->response_ended);
	MUST(a->server_closes == b->server_closes && a->expect_continue == b->expect_continue);
	MUST(a->keep_alive_timeout_s == b->keep_alive_timeout_s && a->keep_alive_max == b->keep_alive_max);
	MUST(a->request.phase == b->request.phase && a->response.phase == b->response.phase);
	MUST(framing_skippable_request(a) == framing_skippable_request(b));
	MUST(framing_skippable_response(a) == framing_skippable_response(b));
	MUST(framing_at_boundary(a) == framing_at_boundary(b));
	MUST(framing_can_replay(a) == framing_can_replay(b));
	if (a->edited == b->edited)
		MUST(framing_can_keep(a) == framing_can_keep(b));
}

/* The bytes that the program wrote, the same with the edits, and the bytes that the server got: also with the
 * insertions, each of which needs a request line of at least 16 bytes. */
struct wire {
	char plain[MAX_INPUT];
	char edited[MAX_INPUT];
	size_t plain_length;
	char bytes[3 * MAX_INPUT];
	size_t length;
};

static void append(struct wire *wire, const char *bytes, size_t length)
{
	memcpy(wire->bytes + wire->length, bytes, length);
	wire->length += length;
}

static void put(struct wire *wire, const char *bytes, size_t length, const struct framing_plan *plan)
{
	char *edited = wire->edited + wire->plain_length;
	size_t before = plan->insert && plan->insert_offset <= length ? plan->insert_offset : 0;

	memcpy(wire->plain + wire->plain_length, bytes, length);
	memcpy(edited, bytes, length);
	wire->plain_length += length;
	for (unsigned i = 0; i < plan->n_edits; i++) {
		for (size_t at = plan->edits[i].offset; at < plan->edits[i].offset + plan->edits[i].length; at++)
			if (at < length)
				edited[at] = ' ';
	}
	append(wire, edited, before);
	if (before > 0)
		append(wire, INSERTED, sizeof(INSERTED) - 1);
	append(wire, edited + before, length - before);
}

/* Only whole tokens may differ. */
static void check_tokens(const struct wire *wire)
{
	for (size_t at = 0; at < wire->plain_length; at++) {
		if (wire->plain[at] == wire->edited[at])
			continue;
		MUST(at + 5 <= wire->plain_length && strncasecmp(wire->plain + at, "close", 5) == 0);
		MUST(memcmp(wire->edited + at, "     ", 5) == 0);
		at += 4;
	}
}

/* Sends one stretch of a request as an owner does, with short writes. */
static void send_stretch(struct framing *framing, const char *bytes, size_t length, struct wire *wire)
{
	for (size_t at = 0; at < length;) {
		/* After a short write, the rest is sent again. */
		bool again = framing->blank_owed > 0 || framing->token_blanked;
		size_t n = again || random_below(2) ? length - at : 1 + random_below(length - at);
		size_t accepted = random_below(2) ? n : 1 + random_below(n);
		struct framing scratch = *framing;
		struct framing_plan plan;

		framing_feed_request(&scratch, bytes + at, n, &plan);
		if (accepted == n) {
			*framing = scratch;
		} else {
			if (plan.insert && plan.insert_offset >= accepted)
				plan.insert = false;
			framing_feed_request_part(framing, bytes + at, accepted, &plan);
		}
		put(wire, bytes + at, accepted, &plan);
		at += accepted;
	}
}

/* How many requests begin in what the server got, stepped over one by one. */
static unsigned count_requests(const struct wire *wire)
{
	unsigned n = 0;
	size_t end = 1;

	for (size_t at = 0; at < wire->length && end; at += end) {
		if (!framing_measure_request(wire->bytes + at, wire->length - at, &end))
			break;
		MUST(end <= wire->length - at);
		n++;
	}
	return n;
}

static void check_wire(const struct framing *whole, const char *text, size_t length, bool fin)
{
	static struct wire wire;
	struct framing framing, server;
	bool request = true;

	framing_init(&framing, true);
	framing_init(&server, false);
	wire.length = wire.plain_length = 0;
	for (size_t at = 0, next; at < length; at = next, request = !request) {
		size_t n = get_stretch(text, length, at, &next), before = wire.length;

		if (request) {
			send_stretch(&framing, text + at, n, &wire);
			framing_feed_request(&server, wire.bytes + before, wire.length - before, NULL);
		} else {
			framing_feed_response(&framing, text + at, n, NULL);
			framing_feed_response(&server, text + at, n, NULL);
		}
	}
	if (fin) {
		framing_feed_response_end(&framing);
		framing_feed_response_end(&server);
	}
	check_equal(whole, &framing);
	check_tokens(&wire);
	/* Behind a withheld wish a server may read bytes as a request that no bare server would have read. */
	if (framing.surplus || framing.sent_behind)
		return;
	MUST(server.n_requests == framing.n_requests && server.request.phase == framing.request.phase);
	if (framing_can_replay(&framing))
		MUST(count_requests(&wire) == framing.n_requests + framing.request.in_head);
	/* A word that was blanked at its line's end, and that a folded line then made another, can be a wish to close
	 * on the wire only. It is in doubt here. */
	if (framing.doubt == FRAMING_CANONICAL)
		MUST(server.doubt == framing.doubt && server.n_outstanding == framing.n_outstanding);
	/* A folded line right behind the insertion spoils it: then the server closes although we would make the EOF.
	 * The reverse never happens. */
	if (framing.doubt == FRAMING_CANONICAL || (framing.close_wanted && !framing.edited))
		MUST(server.close_wanted == (framing.close_wanted && !framing.edited));
}

/* The messages that plain llhttp finds. */
struct oracle {
	unsigned n_messages; /* responses: final ones */
	uint64_t head_methods;
};

static int oracle_request_head(llhttp_t *parser)
{
	struct oracle *oracle = parser->data;

	if (parser->method == HTTP_HEAD && oracle->n_messages < 64)
		oracle->head_methods |= UINT64_C(1) << oracle->n_messages;
	return 0;
}

static int oracle_response_head(llhttp_t *parser)
{
	const struct oracle *oracle = parser->data;
	bool head = oracle->n_messages < 64 && (oracle->head_methods >> oracle->n_messages & 1);

	return head || parser->status_code < 200 || parser->status_code == 204 || parser->status_code == 304;
}

static int oracle_message(llhttp_t *parser)
{
	if (parser->type == HTTP_REQUEST || parser->status_code >= 200)
		((struct oracle *)parser->data)->n_messages++;
	return 0;
}

/* The byte that llhttp refuses is behind the first ';' of its line, or of as much of the line as is in this stretch. */
static bool is_in_extension(const llhttp_t *parser, const char *stretch)
{
	const char *at = parser->error_pos;

	while (at && at > stretch && at[-1] != '\n')
		if (*--at == ';')
			return true;
	return at == stretch;
}

/* llhttp is pickier where a message's end is not in doubt: about chunk extensions, and about a trailer's framing
 * fields, which say nothing (RFC 9110 6.5.1). */
static bool is_picky(const llhttp_t *parser, const char *stretch)
{
	if (!parser->reason)
		return false;
	if (strstr(parser->reason, "chunk extensions"))
		return true;
	if (strstr(parser->reason, "chunk size"))
		return is_in_extension(parser, stretch);
	return parser->flags & F_TRAILING &&
	       (strstr(parser->reason, "Content-Length") || strstr(parser->reason, "Transfer-Encoding"));
}

static void check_oracle(const struct framing *whole, const char *text, size_t length, bool fin)
{
	static const llhttp_settings_t REQUEST = {.on_headers_complete = oracle_request_head,
						  .on_message_complete = oracle_message};
	static const llhttp_settings_t RESPONSE = {.on_headers_complete = oracle_response_head,
						   .on_message_complete = oracle_message};

	if (whole->doubt != FRAMING_CANONICAL || !framing_at_boundary(whole) || whole->n_requests > 64)
		return;
	for (int type = HTTP_REQUEST; type <= HTTP_RESPONSE; type++) {
		static struct oracle oracle;
		bool request = true;
		llhttp_t parser;

		llhttp_init(&parser, type, type == HTTP_REQUEST ? &REQUEST : &RESPONSE);
		llhttp_set_lenient_keep_alive(&parser, 1);
		if (type == HTTP_REQUEST)
			oracle.head_methods = 0;
		oracle.n_messages = 0;
		parser.data = &oracle;
		for (size_t at = 0, next; at < length; at = next, request = !request) {
			size_t n = get_stretch(text, length, at, &next);
			if (request == (type == HTTP_REQUEST))
				llhttp_execute(&parser, text + at, n);
			if (llhttp_get_errno(&parser) != HPE_OK && is_picky(&parser, text + at))
				return;
		}
		MUST(llhttp_get_errno(&parser) == HPE_OK);
		if (fin && type == HTTP_RESPONSE)
			MUST(llhttp_finish(&parser) == HPE_OK);
		MUST(oracle.n_messages == whole->n_requests);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framing whole, pieces;
	const char *text = (const char *)data + 2;
	bool fin;

	if (size < 2 || size > MAX_INPUT)
		return 0;
	seed = data[0];
	fin = data[1] & 1;
	size -= 2;

	framing_init(&whole, true);
	bool request = true;
	for (size_t at = 0, next; at < size; at = next, request = !request) {
		size_t n = get_stretch(text, size, at, &next);
		struct framing_plan plan;

		(request ? framing_feed_request : framing_feed_response)(&whole, text + at, n, &plan);
		check_plan(&plan, text + at, n, request ? "close" : "keep-alive");
	}
	if (fin)
		framing_feed_response_end(&whole);

	tell(&pieces, text, size, fin, 1);
	check_equal(&whole, &pieces);
	tell(&pieces, text, size, fin, 40);
	check_equal(&whole, &pieces);
	check_wire(&whole, text, size, fin);
	check_oracle(&whole, text, size, fin);
	return 0;
}
