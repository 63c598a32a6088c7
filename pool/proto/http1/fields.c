/*
 * The fields of a head: only those that decide where a message ends, whether the connection persists, and whether
 * it may be shared or edited. Values are taken apart as comma-separated lists while they stream in, one element at a
 * time, so that long ones cost no memory; a comma within quotes splits too, which can only make us more careful.
 */
#include <string.h>

#include "pool/proto/http1/edit.h"

enum field {
	FIELD_NONE,
	FIELD_CONNECTION,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
	FIELD_UPGRADE,
	FIELD_EXPECT,
	FIELD_KEEP_ALIVE,
	FIELD_DATE,
	FIELD_CREDENTIALS,
	FIELD_CHALLENGE,
	FIELD_PERSISTENT_AUTH,
	FIELD_SIGNATURE,
	FIELD_SIGNATURE_INPUT,
};

enum { IN_REQUEST = 1, IN_RESPONSE = 2, IN_BOTH = 3 };

#define FIELD_NAME(text) text, sizeof text - 1

static const struct {
	const char *name;
	uint8_t length;
	uint8_t where;
	uint8_t field;
} FIELDS[] = {
	{FIELD_NAME("connection"), IN_BOTH, FIELD_CONNECTION},
	{FIELD_NAME("proxy-connection"), IN_BOTH, FIELD_CONNECTION},
	{FIELD_NAME("content-length"), IN_BOTH, FIELD_CONTENT_LENGTH},
	{FIELD_NAME("transfer-encoding"), IN_BOTH, FIELD_TRANSFER_ENCODING},
	{FIELD_NAME("upgrade"), IN_REQUEST, FIELD_UPGRADE},
	{FIELD_NAME("expect"), IN_REQUEST, FIELD_EXPECT},
	{FIELD_NAME("authorization"), IN_REQUEST, FIELD_CREDENTIALS},
	{FIELD_NAME("proxy-authorization"), IN_REQUEST, FIELD_CREDENTIALS},
	{FIELD_NAME("signature"), IN_REQUEST, FIELD_SIGNATURE},
	{FIELD_NAME("signature-input"), IN_REQUEST, FIELD_SIGNATURE_INPUT},
	{FIELD_NAME("keep-alive"), IN_RESPONSE, FIELD_KEEP_ALIVE},
	{FIELD_NAME("date"), IN_RESPONSE, FIELD_DATE},
	{FIELD_NAME("www-authenticate"), IN_RESPONSE, FIELD_CHALLENGE},
	{FIELD_NAME("proxy-authenticate"), IN_RESPONSE, FIELD_CHALLENGE},
	{FIELD_NAME("persistent-auth"), IN_RESPONSE, FIELD_PERSISTENT_AUTH},
};

static const char SIGNED_WORD[] = "connection";

static enum field find_field(const struct framing_feed *feed)
{
	const struct framing_side *side = feed->side;
	unsigned where = framing_is_request(feed) ? IN_REQUEST : IN_RESPONSE;

	for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
		if (FIELDS[i].length == side->name_length && (FIELDS[i].where & where) &&
		    memcmp(FIELDS[i].name, side->name, side->name_length) == 0)
			return FIELDS[i].field;
	}
	return FIELD_NONE;
}

/* The element's digits from `at` on: at least one, nothing else, and a value that fits. */
static bool parse_number(const struct framing_side *side, size_t at, uint64_t max, uint64_t *number)
{
	uint64_t n = 0;

	if (side->value_length <= at || side->value_length > FRAMING_VALUE_MAX)
		return false;
	for (; at < side->value_length; at++) {
		unsigned digit = (unsigned)(side->value[at] - '0');
		if (digit > 9 || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*number = n;
	return true;
}

static void end_length(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;
	uint64_t number;

	if (!parse_number(side, 0, INT64_MAX, &number)) {
		side->length_invalid = true;
	} else if (!side->has_content_length) {
		side->has_content_length = true;
		side->body_remaining = number;
	} else {
		/* Equal ones may be read as one (RFC 9112 6.3), but not every parser does. */
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
		side->length_invalid |= number != side->body_remaining;
	}
}

static void end_coding(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	/* The strictest pool (Go's) knows exactly one coding, chunked, named once. */
	if (side->coding != FRAMING_CODING_NONE || !framing_element_is(side, "chunked"))
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	if (framing_element_is(side, "chunked"))
		side->coding = FRAMING_CODING_CHUNKED;
	else if (framing_element_is(side, "identity") && side->coding == FRAMING_CODING_NONE)
		side->coding = FRAMING_CODING_IDENTITY;
	else
		side->coding = FRAMING_CODING_OTHER;
}

static void end_connection_option(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	if (framing_element_is(side, "close")) {
		side->token_close = true;
		edit_end_close_token(feed);
	} else if (framing_element_is(side, "keep-alive")) {
		side->token_keep_alive = true;
	}
}

static bool parse_parameter(const struct framing_side *side, const char *name, uint32_t *value)
{
	size_t length = strlen(name);
	uint64_t number;

	if (side->value_length < length || memcmp(side->value, name, length) != 0 ||
	    !parse_number(side, length, UINT32_MAX - 1, &number))
		return false;
	*value = (uint32_t)number;
	return true;
}

static void end_keep_alive(struct framing_feed *feed)
{
	if (!parse_parameter(feed->side, "timeout=", &feed->framing->keep_alive_timeout_s))
		parse_parameter(feed->side, "max=", &feed->framing->keep_alive_max);
}

/* Schemes that authenticate the connection, not the request: it belongs to one user for ever. */
static bool is_scheme_bound(const struct framing_side *side)
{
	static const char *const SCHEMES[] = {"ntlm", "negotiate", "kerberos"};

	for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0]; i++) {
		size_t length = strlen(SCHEMES[i]);
		if (side->value_length >= length && memcmp(side->value, SCHEMES[i], length) == 0 &&
		    (side->value_length == length || side->value[length] == ' '))
			return true;
	}
	return false;
}

static void end_element(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	if (side->value_length > 0) {
		switch ((enum field)side->field) {
		case FIELD_CONNECTION:
			end_connection_option(feed);
			break;
		case FIELD_CONTENT_LENGTH:
			end_length(feed);
			break;
		case FIELD_TRANSFER_ENCODING:
			end_coding(feed);
			break;
		case FIELD_EXPECT:
			side->expects_continue |= framing_element_is(side, "100-continue");
			break;
		case FIELD_KEEP_ALIVE:
			end_keep_alive(feed);
			break;
		case FIELD_CREDENTIALS:
		case FIELD_CHALLENGE:
			if (is_scheme_bound(side))
				framing_raise(feed->framing, FRAMING_DOUBT_AUTH_BOUND);
			break;
		case FIELD_NONE:
		case FIELD_UPGRADE:
		case FIELD_DATE:
		case FIELD_PERSISTENT_AUTH:
		case FIELD_SIGNATURE:
		case FIELD_SIGNATURE_INPUT:
			break;
		}
	}
	side->value_length = 0;
	side->gap = false;
	feed->token = NULL;
}

static void append(struct framing_side *side, char c)
{
	if (side->value_length < FRAMING_VALUE_MAX)
		side->value[side->value_length] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	if (side->value_length <= FRAMING_VALUE_MAX)
		side->value_length++;
}

/* Whether the bytes so far contain SIGNED_WORD, in any case (Knuth, Morris, Pratt: only "connec" ends as it begins). */
static bool match_signed_word(struct framing_side *side, char c)
{
	size_t matched = side->word_length;

	c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	while (matched > 0 && c != SIGNED_WORD[matched])
		matched = matched == 6 ? 1 : 0;
	if (c == SIGNED_WORD[matched])
		matched++;
	if (matched == sizeof SIGNED_WORD - 1) {
		side->word_length = 0;
		return true;
	}
	side->word_length = (uint8_t)matched;
	return false;
}

void fields_begin_value(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	side->field = (uint8_t)find_field(feed);
	side->name_length = 0;
	side->value_length = 0;
	side->word_length = 0;
	side->gap = false;
	side->in_value = true;
	feed->token = NULL;

	if (side->field == FIELD_UPGRADE)
		/* An offer, which most servers pass over; what goes out until they have is not ours to change. */
		feed->framing->upgrade_offered = feed->framing->edit_forbidden = true;
	else if (side->field == FIELD_DATE)
		side->has_date = true;
	else if (side->field == FIELD_SIGNATURE_INPUT)
		feed->framing->edit_forbidden = true;
	else if (side->field == FIELD_PERSISTENT_AUTH)
		framing_raise(feed->framing, FRAMING_DOUBT_AUTH_BOUND);
	else if (side->field == FIELD_TRANSFER_ENCODING)
		side->has_transfer_encoding = true;
}

static void end_element_at_comma(struct framing_feed *feed)
{
	if (feed->side->field == FIELD_CONNECTION)
		edit_consider_token(feed);
	else if (feed->side->field == FIELD_CONTENT_LENGTH || feed->side->field == FIELD_TRANSFER_ENCODING)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	end_element(feed);
}

void fields_add_value(struct framing_feed *feed, const char *bytes, size_t length)
{
	struct framing_side *side = feed->side;
	bool may_be_signature = side->field == FIELD_SIGNATURE || side->field == FIELD_CREDENTIALS;

	if (side->field == FIELD_NONE)
		return;
	for (size_t i = 0; i < length; i++) {
		char c = bytes[i];

		if (may_be_signature && match_signed_word(side, c))
			feed->framing->edit_forbidden = true;
		if (c == ',') {
			end_element_at_comma(feed);
		} else if (c == ' ' || c == '\t') {
			side->gap = side->value_length > 0;
		} else {
			if (side->gap)
				append(side, ' ');
			if (side->value_length == 0)
				feed->token = &bytes[i];
			side->gap = false;
			append(side, c);
		}
	}
	/* At the line's end the token is whole, though the line may yet be folded. */
	if (side->field == FIELD_CONNECTION && bytes + length < feed->end &&
	    (bytes[length] == '\r' || bytes[length] == '\n'))
		edit_consider_token(feed);
}

void fields_end_value(struct framing_feed *feed)
{
	struct framing_side *side = feed->side;

	/* A field without a value says nothing that two parsers would agree on; nor does one beside a good one. */
	if (side->field == FIELD_CONTENT_LENGTH && side->has_content_length && side->value_length == 0)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	side->in_value = false;
	end_element(feed);
	if (side->field == FIELD_CONTENT_LENGTH && !side->has_content_length)
		side->length_invalid = true;
	if (side->field == FIELD_TRANSFER_ENCODING && side->coding == FRAMING_CODING_NONE) {
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
		side->coding = FRAMING_CODING_OTHER;
	}
}
