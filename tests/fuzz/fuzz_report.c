/*
 * Any JSON as a report. Input: the text.
 *   - Tables and a page are made of it in bounded time and space, even if members are missing or of another type;
 *   - no text of it becomes a tag, an attribute or an escape sequence of a terminal, and no number is NaN or
 *     infinite.
 */
#include "tools/report/html.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report/text.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *make(void (*write)(FILE *stream, const struct cJSON *root), const cJSON *root)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	write(stream, root);
	fclose(stream);
	MUST(strlen(text) == length);
	for (size_t i = 0; i < length; i++)
		MUST((unsigned char)text[i] >= ' ' || text[i] == '\n');
	return text;
}

/* All tags and attributes are ours; the first quote in a tag belongs to an attribute. */
static void check_tags(const char *page)
{
	static const char *const known[] = {
		"!DOCTYPE", "html",   "head",	 "meta",    "title",   "style", "body", "main", "header",
		"div",	    "h1",     "h2",	 "b",	    "section", "p",	"ul",	"ol",	"li",
		"span",	    "i",      "code",	 "small",   "svg",     "g",	"line", "text", "rect",
		"path",	    "circle", "details", "summary", "table",   "tr",	"th",	"td",	"footer"};
	const char *tag = page;

	while ((tag = strchr(tag, '<'))) {
		size_t length, i = 0;

		tag += tag[1] == '/' ? 2 : 1;
		length = strcspn(tag, " />\n");
		while (i < sizeof(known) / sizeof(known[0]) &&
		       (strlen(known[i]) != length || strncmp(known[i], tag, length) != 0))
			i++;
		MUST(i < sizeof(known) / sizeof(known[0]));
		MUST(!memmem(tag, strcspn(tag, ">"), "nan", 3) && !memmem(tag, strcspn(tag, ">"), "\"inf", 4));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cJSON *root = cJSON_ParseWithLength((const char *)data, size);
	char *text;

	if (!root)
		return 0;
	text = make(report_write_html, root);
	check_tags(text);
	free(text);
	free(make(report_print, root));
	cJSON_Delete(root);
	return 0;
}
