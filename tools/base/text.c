/* See text.h. */
#include "tools/base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* How many bytes the character at `text` has; 0: no character begins there. RFC 3629, section 4. */
static size_t character_length(const unsigned char *text)
{
	static const struct {
		unsigned char first, last;	      /* of the leading byte */
		unsigned char second_min, second_max; /* no overlong form, surrogate or value beyond U+10FFFF */
		size_t length;
	} forms[] = {
		{0x00, 0x7F, 0, 0, 1},	     {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
		{0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
		{0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (forms[i].length > 1 && (text[1] < forms[i].second_min || text[1] > forms[i].second_max))
			return 0;
		for (size_t j = 2; j < forms[i].length; j++)
			if ((text[j] & 0xC0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

char *text_make_utf8(const char *text)
{
	char *made = malloc(strlen(text) * strlen(REPLACEMENT) + 1), *end = made;

	if (!made)
		return NULL;
	while (*text) {
		size_t length = character_length((const unsigned char *)text);

		if (!length) {
			end = stpcpy(end, REPLACEMENT);
			text++;
			continue;
		}
		memcpy(end, text, length);
		end += length;
		text += length;
	}
	*end = '\0';
	return made;
}

void text_make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* C0, DEL, and C1 as UTF-8 writes it (U+0080 to U+009F). */
static bool is_control(const unsigned char *text)
{
	return text[0] < ' ' || text[0] == 0x7F || (text[0] == 0xC2 && text[1] >= 0x80 && text[1] < 0xA0);
}

void text_print_safe(FILE *stream, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++) {
		if (!is_control(at)) {
			fputc(*at, stream);
			continue;
		}
		fputc('?', stream);
		if (*at == 0xC2)
			at++;
	}
}

const char *text_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Above 0 and below 2, since comparing for equality is not for fractions; counts have none. */
static bool is_one(double n)
{
	return n > 0 && n < 2;
}

const char *text_plural(double n)
{
	return is_one(n) ? "" : "s";
}

const char *text_were(double n)
{
	return is_one(n) ? "was" : "were";
}
