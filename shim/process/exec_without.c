/* See exec_without.h. Source: ld.so(8), LD_PRELOAD. */
#include "shim/process/exec_without.h"

#include <stdbool.h>
#include <string.h>

#include "shim/base/symbols.h"

static const char variable[] = "LD_PRELOAD=";
static const char separators[] = " :";

static bool is_preload(const char *entry)
{
	return strncmp(entry, variable, sizeof(variable) - 1) == 0;
}

/* Whatever folder it is in: as the loader has found it by then. */
static bool is_us(const char *item, size_t length)
{
	const char *name = symbols_own_name();
	size_t name_length = strlen(name);

	return name_length && length >= name_length && memcmp(item + length - name_length, name, name_length) == 0 &&
	       (length == name_length || item[length - name_length - 1] == '/');
}

size_t exec_without_size(char *const environment[])
{
	size_t n = 1, length = 0;

	for (; *environment; environment++, n++)
		if (is_preload(*environment))
			length += strlen(*environment) + 1;
	return n * sizeof(*environment) + length;
}

/* The entry without us; false: nothing is left of it. */
static bool copy_others(char *to, const char *entry)
{
	const char *item = entry + sizeof(variable) - 1;
	bool has_others = false;

	to = mempcpy(to, variable, sizeof(variable) - 1);
	for (item += strspn(item, separators); *item; item += strspn(item, separators)) {
		size_t length = strcspn(item, separators);

		if (!is_us(item, length)) {
			if (has_others)
				*to++ = ':';
			to = mempcpy(to, item, length);
			has_others = true;
		}
		item += length;
	}
	*to = '\0';
	return has_others;
}

char **exec_without_prepare(void *buffer, size_t size, char *const environment[])
{
	char **to = buffer, *text, *end;
	size_t n = 0;

	while (environment[n])
		n++;
	if (!buffer || size / sizeof(*to) < n + 1)
		return (char **)environment;
	text = (char *)(to + n + 1);
	end = (char *)buffer + size;
	for (char *const *at = environment; n > 0; at++, n--) {
		if (!*at || !is_preload(*at)) {
			*to++ = *at;
		} else if (strlen(*at) >= (size_t)(end - text)) {
			return (char **)environment;
		} else if (copy_others(text, *at)) {
			*to++ = text;
			text += strlen(text) + 1;
		}
	}
	*to = NULL;
	return buffer;
}
