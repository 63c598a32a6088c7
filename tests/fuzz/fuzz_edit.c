/*
 * Fuzz target for the edit of outgoing bytes. Input: a byte that seeds the cuts, then requests, as a program sends
 * them.
 *
 * They are fed in pieces, edited as the plans say, and read by a plain llhttp beside the original:
 *   - the edited bytes have the same length, except for lines `Connection: keep-alive` inserted behind start lines of
 *     HTTP/1.0;
 *   - they differ only in the values of Connection and Proxy-Connection, where `close` has become blanks;
 *   - they contain the same messages: methods, targets, versions, fields, bodies, and ends;
 *   - if the server is no longer told `close`, the owner knows that it owes the end (`edited`).
 */
#include "pool/proto/http1/framing.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_INPUT 8192
#define INSERTED "Connection: keep-alive\r\n"
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* llhttp's view as one text with marks between its parts, without the values of the two fields. */
struct reading {
	char name[MAX_INPUT];
	size_t name_length;
	bool is_hop;
	char text[4 * MAX_INPUT];
	size_t length;
	bool is_newest_closed; /* a server closes after the newest request */
};

static struct reading plain, edited;

/* The bytes that the program wrote, and those that go out: without the insertions, and with them. */
static char as_written[MAX_INPUT], blanked[MAX_INPUT], wire[3 * MAX_INPUT];
static size_t wire_length, n_inserted;
static uint32_t seed;

static void put(struct reading *reading, const char *bytes, size_t length)
{
	MUST(reading->length + length <= sizeof(reading->text));
	memcpy(reading->text + reading->length, bytes, length);
	reading->length += length;
}

static int on_text(llhttp_t *parser, const char *at, size_t length)
{
	put(parser->data, at, length);
	return 0;
}

static int on_mark(llhttp_t *parser)
{
	put(parser->data, "\x1f", 1);
	return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t length)
{
	struct reading *reading = parser->data;

	memcpy(reading->name + reading->name_length, at, length);
	reading->name_length += length;
	return 0;
}

static bool is_name(const struct reading *reading, const char *name)
{
	return reading->name_length == strlen(name) && strncasecmp(reading->name, name, reading->name_length) == 0;
}

static int on_name_complete(llhttp_t *parser)
{
	struct reading *reading = parser->data;

	reading->is_hop = is_name(reading, "connection") || is_name(reading, "proxy-connection");
	if (!reading->is_hop)
		put(reading, reading->name, reading->name_length);
	reading->name_length = 0;
	return reading->is_hop ? 0 : on_mark(parser);
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	return ((struct reading *)parser->data)->is_hop ? 0 : on_text(parser, at, length);
}

static int on_value_complete(llhttp_t *parser)
{
	return ((struct reading *)parser->data)->is_hop ? 0 : on_mark(parser);
}

static int on_head_complete(llhttp_t *parser)
{
	bool asks_to_stay = parser->flags & F_CONNECTION_KEEP_ALIVE;

	((struct reading *)parser->data)->is_newest_closed =
		parser->flags & F_CONNECTION_CLOSE || (parser->http_minor == 0 && !asks_to_stay);
	return on_mark(parser);
}

static llhttp_errno_t read_all(struct reading *reading, const char *bytes, size_t length)
{
	static const llhttp_settings_t SETTINGS = {
		.on_method = on_text,
		.on_method_complete = on_mark,
		.on_url = on_text,
		.on_url_complete = on_mark,
		.on_version = on_text,
		.on_version_complete = on_mark,
		.on_header_field = on_name,
		.on_header_field_complete = on_name_complete,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_head_complete,
		.on_body = on_text,
		.on_message_complete = on_mark,
	};
	llhttp_t parser;

	reading->length = reading->name_length = 0;
	reading->is_newest_closed = false;
	llhttp_init(&parser, HTTP_REQUEST, &SETTINGS);
	/* Bytes that a program sends behind its wish to close are compared, too. */
	llhttp_set_lenient_keep_alive(&parser, 1);
	parser.data = reading;
	return llhttp_execute(&parser, bytes, length);
}

static void send_piece(struct framing *framing, size_t at, size_t length)
{
	struct framing_plan plan;
	size_t before;

	framing_feed_request(framing, as_written + at, length, &plan);
	for (unsigned i = 0; i < plan.n_edits; i++)
		memset(blanked + at + plan.edits[i].offset, ' ', plan.edits[i].length);
	before = plan.insert ? plan.insert_offset : 0;
	memcpy(wire + wire_length, blanked + at, before);
	wire_length += before;
	if (plan.insert) {
		memcpy(wire + wire_length, INSERTED, strlen(INSERTED));
		wire_length += strlen(INSERTED);
		n_inserted++;
	}
	memcpy(wire + wire_length, blanked + at + before, length - before);
	wire_length += length - before;
}

static void check_bytes(size_t size)
{
	MUST(wire_length == size + n_inserted * strlen(INSERTED));
	for (size_t at = 0; at < size; at++) {
		if (as_written[at] == blanked[at])
			continue;
		MUST(at + 5 <= size && strncasecmp(as_written + at, "close", 5) == 0);
		MUST(memcmp(blanked + at, "     ", 5) == 0);
		at += 4;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framing framing;
	llhttp_errno_t error;

	/* Each insertion needs a start line of 16 bytes or more: the wire has room. */
	if (size < 2 || size > MAX_INPUT)
		return 0;
	seed = data[0];
	size--;
	memcpy(as_written, data + 1, size);
	memcpy(blanked, data + 1, size);
	wire_length = n_inserted = 0;
	framing_init(&framing, true);
	for (size_t at = 0, n; at < size; at += n) {
		seed = seed * 1664525 + 1013904223;
		n = seed >> 31 ? size - at : 1 + (seed >> 8) % (size - at);
		send_piece(&framing, at, n);
	}
	check_bytes(size);
	error = read_all(&plain, as_written, size);
	if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
		return 0;
	MUST(read_all(&edited, wire, wire_length) == error);
	MUST(plain.length == edited.length && memcmp(plain.text, edited.text, plain.length) == 0);
	/* A half-sent head is no wish yet; behind a tunnel's head nothing is read. */
	if (error != HPE_OK || framing.request.in_head || framing.doubt)
		return 0;
	if (!plain.is_newest_closed)
		MUST(!edited.is_newest_closed && !framing.edited);
	else
		MUST(framing.edited == !edited.is_newest_closed);
	return 0;
}
