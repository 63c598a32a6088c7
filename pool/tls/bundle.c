/* See bundle.h. */
#include "pool/tls/bundle.h"

#include <stdbool.h>
#include <string.h>

#include "pool/tls/certificate.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define ANY_BEGIN "-----"
/* Of base64 in PEM (RFC 7468 2), and of a comment: libraries read longer ones in pieces. */
#define LINE_LENGTH 64u
#define COMMENT_MAX 200u
#define CERTIFICATE_LEAST 128u

struct line {
	const char *text;
	size_t length;
};

struct reader {
	const char *at, *end;
	uint8_t *to;
};

/* The next line without its end; false where there is none, or it has other characters than text has. */
static bool take_line(struct reader *reader, struct line *line)
{
	size_t left = (size_t)(reader->end - reader->at);
	const char *newline = left ? memchr(reader->at, '\n', left) : NULL;

	if (!left)
		return false;
	line->text = reader->at;
	line->length = newline ? (size_t)(newline - reader->at) : left;
	reader->at += line->length + (newline != NULL);
	if (line->length && line->text[line->length - 1] == '\r')
		line->length--;
	return true;
}

static bool is_line(const struct line *line, const char *text)
{
	return line->length == strlen(text) && memcmp(line->text, text, line->length) == 0;
}

static bool is_comment(const struct line *line)
{
	if (line->length > COMMENT_MAX ||
	    (line->length >= strlen(ANY_BEGIN) && memcmp(line->text, ANY_BEGIN, strlen(ANY_BEGIN)) == 0))
		return false;
	for (size_t i = 0; i < line->length; i++)
		if ((unsigned char)line->text[i] < 0x20 && line->text[i] != '\t')
			return false;
	return true;
}

/* RFC 4648 4: the value of a character and 1; 0: it has none. */
static const uint8_t values[256] = {
	['A'] = 1,  ['B'] = 2,	['C'] = 3,  ['D'] = 4,	['E'] = 5,  ['F'] = 6,	['G'] = 7,  ['H'] = 8,
	['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

static uint8_t value_of(char character)
{
	return values[(unsigned char)character];
}

/* Three bytes. False: it is no whole group. */
static bool decode_group(const char *text, uint8_t *to)
{
	uint32_t a = value_of(text[0]), b = value_of(text[1]), c = value_of(text[2]), d = value_of(text[3]), bits;

	if (!a || !b || !c || !d)
		return false;
	bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
	to[0] = (uint8_t)(bits >> 16);
	to[1] = (uint8_t)(bits >> 8);
	to[2] = (uint8_t)bits;
	return true;
}

/* The last group, with padding: one or two bytes, whose rest is zero. 0: it is none. */
static int decode_last_group(const char *text, uint8_t *to)
{
	char whole[4] = {text[0], text[1], text[2] == '=' ? 'A' : text[2], 'A'};
	uint8_t bytes[3];
	int n = text[2] == '=' ? 1 : 2;

	if (text[3] != '=' || !decode_group(whole, bytes) || bytes[n])
		return 0;
	memcpy(to, bytes, (size_t)n);
	return n;
}

/* `*is_last`: nothing may follow. */
static bool decode_line(struct reader *reader, const struct line *line, bool *is_last)
{
	if (*is_last || !line->length || line->length > LINE_LENGTH || line->length % 4)
		return false;
	*is_last = line->length < LINE_LENGTH;
	for (size_t i = 0; i < line->length; i += 4) {
		int n = decode_group(line->text + i, reader->to) ? 3 : 0;

		if (!n && i + 4 == line->length)
			n = decode_last_group(line->text + i, reader->to);
		if (!n)
			return false;
		*is_last |= n < 3;
		reader->to += n;
	}
	return true;
}

/* From behind the line with its beginning to the one with its end. */
static bool decode(struct reader *reader)
{
	bool is_last = false;
	struct line line;

	while (take_line(reader, &line)) {
		if (is_line(&line, END))
			return true;
		if (!decode_line(reader, &line, &is_last))
			return false;
	}
	return false;
}

static bool read_one(struct reader *reader, const uint8_t *decoded, struct tls_bundle_entry *entry)
{
	uint8_t *begin = reader->to;
	struct tls_certificate certificate;

	if (!decode(reader) || !tls_certificate_read(begin, (size_t)(reader->to - begin), &certificate) ||
	    certificate.length != (size_t)(reader->to - begin) || certificate.length < CERTIFICATE_LEAST)
		return false;
	entry->at = (uint32_t)(begin - decoded);
	entry->length = (uint32_t)certificate.length;
	entry->subject = entry->at + (uint32_t)certificate.subject;
	entry->subject_length = (uint32_t)certificate.subject_length;
	return tls_name_fingerprint(decoded + entry->subject, entry->subject_length, &entry->fingerprint);
}

size_t tls_bundle_read(const char *text, size_t length, uint8_t *decoded, struct tls_bundle_entry *entries)
{
	struct reader reader = {text, text + length, decoded};
	struct line line;
	size_t n = 0;

	while (take_line(&reader, &line)) {
		if (is_line(&line, BEGIN)) {
			if (!read_one(&reader, decoded, &entries[n++]))
				return 0;
		} else if (!is_comment(&line)) {
			return 0;
		}
	}
	return n;
}
