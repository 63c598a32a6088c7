/*
 * HTTP/1.x heads: llhttp splits them into names and values; what they mean is decided here and in fields.c.
 *
 * Why not llhttp's own judgement: it refuses messages that are readable (repeated lengths, TE with CL, anything after
 * `Connection: close`), and an end of file that we owe a program must not depend on that. So llhttp is told that every
 * field is an ordinary one, stops at the end of the head, and is begun anew for each message. A field line which it
 * can't tokenize at all is passed over, as clients do; only a start line that it can't read loses the direction.
 */
#include <string.h>

#include "pool/proto/http1/edit.h"

static const uint8_t LENIENT = LENIENT_HEADERS | LENIENT_VERSION;

static int on_method_complete(llhttp_t *parser)
{
	struct framing_feed *feed = parser->data;

	if (parser->method == HTTP_CONNECT)
		framing_raise(feed->framing, FRAMING_DOUBT_UPGRADE);
	return 0;
}

static int on_version_complete(llhttp_t *parser)
{
	return parser->http_major == 1 ? 0 : -1;
}

static int on_header_field(llhttp_t *parser, const char *bytes, size_t length)
{
	struct framing_side *side = ((struct framing_feed *)parser->data)->side;

	for (size_t i = 0; i < length && side->name_length <= FRAMING_NAME_MAX; i++) {
		char c = bytes[i];
		/* llhttp lets one pass only before the colon. */
		if (c == ' ')
			continue;
		if (side->name_length < FRAMING_NAME_MAX)
			side->name[side->name_length] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		side->name_length++;
	}
	return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
	/* HEADER_STATE.GENERAL: llhttp won't interpret the value. */
	parser->header_state = 0;
	fields_begin_value(parser->data);
	return 0;
}

static int on_header_value(llhttp_t *parser, const char *bytes, size_t length)
{
	fields_add_value(parser->data, bytes, length);
	return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
	fields_end_value(parser->data);
	return 0;
}

/* Stops llhttp right after the head. */
static int on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t SETTINGS = {
	.on_method_complete = on_method_complete,
	.on_version_complete = on_version_complete,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
};

static const llhttp_settings_t SILENT_SETTINGS;

void http1_begin_head(struct framing_side *side, llhttp_type_t type)
{
	*side = (struct framing_side){0};
	llhttp_init(&side->parser, type, &SETTINGS);
	side->parser.lenient_flags = LENIENT;
	side->strict = type == HTTP_REQUEST ? STRICT_METHOD : STRICT_RESPONSE_VERSION;
	framing_enter(side, FRAMING_PHASE_HEAD);
}

/* RFC 9112 6.3, from what the fields said, for messages that may have a body. BETWEEN: it has none. */
static enum framing_phase choose_body(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	if (side->has_transfer_encoding) {
		if (side->has_content_length || side->length_invalid || side->parser.http_minor == 0)
			framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
		if (side->parser.http_minor == 0 || side->coding == FRAMING_CODING_OTHER)
			return FRAMING_PHASE_UNTIL_CLOSE;
		if (side->coding == FRAMING_CODING_CHUNKED)
			return FRAMING_PHASE_CHUNKED;
		/* `identity` was a way of saying nothing (RFC 2616 3.6). */
	}
	if (side->length_invalid) {
		framing_lose(feed->framing, side, FRAMING_DOUBT_ERROR);
		return FRAMING_PHASE_OPAQUE;
	}
	if (side->has_content_length)
		return side->body_remaining > 0 ? FRAMING_PHASE_LENGTH : FRAMING_PHASE_BETWEEN;
	return framing_is_request(feed) ? FRAMING_PHASE_BETWEEN : FRAMING_PHASE_UNTIL_CLOSE;
}

static void enter_body(struct framing_feed *feed, enum framing_phase phase)
{
	if (phase == FRAMING_PHASE_BETWEEN)
		framing_end_message(feed->framing, feed->side);
	else
		framing_enter(feed->side, phase);
}

static void note_method(struct framing *framing)
{
	uint8_t method = framing->request.parser.method;
	bool safe = method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS || method == HTTP_TRACE;
	uint64_t bit;

	/* The server may have answered before it saw the whole head. */
	if (framing->n_outstanding == 0) {
		framing->unrepeatable |= !safe;
		return;
	}
	bit = UINT64_C(1) << (framing->n_outstanding - 1);
	if (method == HTTP_HEAD)
		framing->head_methods |= bit;
	if (method == HTTP_CONNECT)
		framing->connect_methods |= bit;
	if (!safe)
		framing->unsafe_methods |= bit;
	framing->unsafe_outstanding = framing->unsafe_methods != 0;
}

static void end_request_head(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;
	enum framing_phase phase;

	framing->n_requests++;
	framing->expect_continue = feed->side->expects_continue;
	note_method(framing);
	if (feed->side->parser.method == HTTP_CONNECT) {
		phase = FRAMING_PHASE_OPAQUE;
	} else {
		phase = choose_body(feed);
		/* Servers refuse such a request and close; nobody knows where it ends. */
		if (phase == FRAMING_PHASE_UNTIL_CLOSE) {
			framing_lose(framing, feed->side, FRAMING_DOUBT_NOT_CANONICAL);
			phase = FRAMING_PHASE_OPAQUE;
		}
	}
	enter_body(feed, phase);
	edit_end_head(feed);
}

/* The body of a final response. */
static enum framing_phase choose_response_body(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;
	unsigned status = feed->side->parser.status_code;
	bool has_framing = feed->side->has_content_length || feed->side->has_transfer_encoding;

	if (status / 100 == 2 && (framing->connect_methods & 1)) {
		framing_raise(framing, FRAMING_DOUBT_UPGRADE);
		return FRAMING_PHASE_OPAQUE;
	}
	if (status == 204 && has_framing)
		framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
	if (status == 204 || status == 304 || (framing->head_methods & 1)) {
		if (feed->side->length_invalid)
			framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
		return FRAMING_PHASE_BETWEEN;
	}
	return choose_body(feed);
}

static void end_interim_response(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	if (side->parser.status_code == 101) {
		framing_raise(feed->framing, FRAMING_DOUBT_UPGRADE);
		framing_enter(side, FRAMING_PHASE_OPAQUE);
		/* The wish is void: no answer comes whose end would be the connection's. */
		feed->framing->close_wanted = feed->framing->edited = false;
		return;
	}
	if (side->has_content_length || side->has_transfer_encoding || side->length_invalid)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	framing_enter(side, FRAMING_PHASE_BETWEEN);
}

static enum framing_close why_server_closes(const struct framing_side *side, enum framing_phase phase)
{
	if (phase == FRAMING_PHASE_UNTIL_CLOSE)
		return FRAMING_UNTIL_END;
	if (side->token_close)
		return FRAMING_SAYS_CLOSE;
	return side->parser.http_minor == 0 && !side->token_keep_alive ? FRAMING_HTTP10 : FRAMING_STAYS;
}

static void end_response_head(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;
	struct framing_side *side = feed->side;
	bool newest = framing->n_outstanding == 1;
	bool awaited = newest && framing->expect_continue;
	enum framing_phase phase;

	if (newest)
		framing->expect_continue = false;
	if (side->parser.status_code < 200) {
		end_interim_response(feed);
		return;
	}
	/* Whether the head was HEAD's, or whether the body that was asked for will still come, nobody can say (Go's
	 * CVE-2024-24791). */
	if (newest && (framing->request.in_head || (awaited && framing->request.in_message)))
		framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
	phase = choose_response_body(feed);
	framing->server_closes = why_server_closes(side, phase);
	edit_end_answer_head(feed);
	enter_body(feed, phase);
}

static void end_head(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	/* HTTP/0.9, which llhttp knows, has no version to complain of; and both readers must see the same end. */
	if (side->parser.http_major != 1) {
		framing_lose(feed->framing, side, FRAMING_DOUBT_UNKNOWN_PROTOCOL);
		return;
	}
	if (side->strict != STRICT_END)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	if (framing_is_request(feed))
		end_request_head(feed);
	else
		end_response_head(feed);
}

/* llhttp stumbled over a field line: passes over its rest, with a parser that stands behind a start line again. */
static void recover(struct framing_feed *feed)
{
	static const char REQUEST_LINE[] = "GET / HTTP/1.1\r\n", STATUS_LINE[] = "HTTP/1.1 200 OK\r\n";
	struct framing_side *side = feed->side;
	llhttp_t *parser = &side->parser;
	llhttp_t old = *parser;

	framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	if (side->in_value)
		fields_end_value(feed);
	side->name_length = 0;
	side->after_cr = false;
	side->skip_line = true;

	llhttp_init(parser, old.type, &SILENT_SETTINGS);
	parser->lenient_flags = LENIENT;
	if (old.type == HTTP_REQUEST)
		llhttp_execute(parser, REQUEST_LINE, sizeof REQUEST_LINE - 1);
	else
		llhttp_execute(parser, STATUS_LINE, sizeof STATUS_LINE - 1);
	parser->settings = old.settings;
	parser->method = old.method;
	parser->status_code = old.status_code;
	parser->http_major = old.http_major;
	parser->http_minor = old.http_minor;
}

/* A struct framing is plain data that doesn't depend on where its bytes once were. */
static void forget_buffer(llhttp_t *parser)
{
	parser->_span_pos0 = NULL;
	parser->reason = NULL;
	parser->error_pos = NULL;
}

static size_t execute(struct framing_feed *feed, const char *bytes, size_t length)
{
	struct framing_side *side = feed->side;
	llhttp_errno_t code;
	size_t consumed = length;

	side->parser.data = feed;
	code = llhttp_execute(&side->parser, bytes, length);
	side->parser.data = NULL;
	if (code != HPE_OK && side->parser.error_pos >= bytes && side->parser.error_pos <= bytes + length)
		consumed = (size_t)(side->parser.error_pos - bytes);
	if (consumed > 0)
		side->after_cr = bytes[consumed - 1] == '\r';
	if (!side->line_seen)
		side->line_seen = memchr(bytes, '\n', consumed) != NULL;

	if (code == HPE_PAUSED) {
		forget_buffer(&side->parser);
		feed->head_end = bytes + consumed;
		end_head(feed);
	} else if (code != HPE_OK && side->line_seen) {
		recover(feed);
	} else if (code != HPE_OK) {
		framing_lose(feed->framing, side,
			     framing_is_request(feed) ? FRAMING_DOUBT_UNKNOWN_PROTOCOL : FRAMING_DOUBT_ERROR);
	}
	return consumed;
}

static size_t skip_line(struct framing_side *side, const char *bytes, size_t length)
{
	const char *lf = memchr(bytes, '\n', length);

	if (!lf)
		return length;
	side->skip_line = false;
	return (size_t)(lf + 1 - bytes);
}

/* llhttp takes any byte after some CRs for the LF. No bare CR may end a line, let alone a head, so once the strict
 * grammar doesn't see to that any more, bytes are fed up to one CR at a time. */
static size_t find_cr(const char *bytes, size_t length)
{
	const char *cr = memchr(bytes, '\r', length);

	return cr ? (size_t)(cr + 1 - bytes) : length;
}

size_t http1_advance_head(struct framing_feed *feed, const char *bytes, size_t length)
{
	struct framing_side *side = feed->side;
	size_t consumed = 0, in_order = length;
	bool strict = side->strict != STRICT_BROKEN;

	if (side->skip_line)
		return skip_line(side, bytes, length);
	if (!strict && side->after_cr && side->line_seen && *bytes != '\n') {
		recover(feed);
		return 0;
	}
	/* Bytes before a violation come first: the first reason for doubt is the same however the head was cut. */
	if (strict)
		in_order = strict_scan(side, bytes, length);
	else
		in_order = find_cr(bytes, length);
	strict = strict && side->strict != STRICT_BROKEN;
	if (in_order > 0)
		consumed = execute(feed, bytes, in_order);
	if (!strict && side->phase == FRAMING_PHASE_HEAD)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	return consumed;
}
