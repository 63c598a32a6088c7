/* See command_line.h. */
#include "tools/service/command_line.h"

#include <errno.h>
#include <string.h>

#include "tools/service/quote.h"

int command_line_parse(struct command_line *line, const char *text)
{
	char word[PATH_MAX];
	const char *after = text;
	size_t n;
	int result = quote_take_word(&after, word, sizeof(word));

	if (result <= 0)
		return result < 0 ? result : -EINVAL;
	n = strspn(word, "@-:+!|");
	if (n >= sizeof(line->prefixes) || !word[n])
		return -EINVAL;
	memcpy(line->prefixes, word, n);
	line->prefixes[n] = '\0';
	strcpy(line->program, word + n);
	/* Prefixes may stand in the quotes of the first word: then what is behind them can't be taken as it is. */
	line->rest = text + strspn(text, " \t");
	if (n > 0 && strspn(line->rest, "@-:+!|") != n)
		return -EINVAL;
	line->rest += n;
	return 0;
}
