/* See quote.h. */
#include "tools/service/quote.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLANKS " \t\n\r"

/* -1: it is none. */
static int hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		return -1;
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* What the text behind a backslash stands for; *n: how long that is. Unknown ones stand for themselves, but for \x
 * without its digits, which keeps the backslash. */
static char unescape(const char *text, size_t *n)
{
	static const char from[] = "abfnrtvs", to[] = "\a\b\f\n\r\t\v ";
	const char *at = *text ? strchr(from, *text) : NULL;
	int high = *text == 'x' ? hex_digit(text[1]) : -1, low = high >= 0 ? hex_digit(text[2]) : -1;

	*n = low >= 0 ? 3 : *text != 'x';
	if (low >= 0)
		return (char)(high << 4 | low);
	if (*text == 'x')
		return '\\';
	return at ? to[at - from] : *text;
}

int quote_take_word(const char **text, char *word, size_t room)
{
	const char *at = *text + strspn(*text, BLANKS);
	size_t length = 0;
	char quote = '\0';

	if (!*at)
		return 0;
	for (; *at && (quote || !strchr(BLANKS, *at)); at++) {
		char c = *at;

		if (c == quote) {
			quote = '\0';
			continue;
		}
		if (!quote && (c == '"' || c == '\'')) {
			quote = c;
			continue;
		}
		if (c == '\\' && at[1]) {
			size_t n;

			c = unescape(at + 1, &n);
			at += n;
		}
		if (length + 1 >= room)
			return -ENAMETOOLONG;
		word[length++] = c;
	}
	if (quote)
		return -EINVAL;
	word[length] = '\0';
	*text = at;
	return 1;
}

int quote_append(char *quoted, size_t room, const char *text, bool has_specifiers)
{
	size_t length = strlen(quoted);

	for (; *text; text++) {
		char piece[8];
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			snprintf(piece, sizeof(piece), "\\%c", c);
		else if (c == '%' && !has_specifiers)
			strcpy(piece, "%%");
		else if (c < ' ' || c == 127)
			snprintf(piece, sizeof(piece), "\\x%02x", c);
		else
			snprintf(piece, sizeof(piece), "%c", c);
		if (length + strlen(piece) >= room)
			return -ENAMETOOLONG;
		strcpy(quoted + length, piece);
		length += strlen(piece);
	}
	return 0;
}
