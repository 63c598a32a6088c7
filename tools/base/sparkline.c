/* See sparkline.h. */
#include "tools/base/sparkline.h"

#include <langinfo.h>
#include <string.h>

#define N_STEPS 8

bool sparkline_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void sparkline_write(const unsigned *values, size_t n, bool is_utf8, char text[SPARKLINE_BYTES])
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const letters[] = {" ", "_", ".", "-", ":", "=", "+", "*", "#"};
	unsigned long long largest = 1;
	char *end = text;

	for (size_t i = 0; i < n; i++)
		largest = values[i] > largest ? values[i] : largest;
	for (size_t i = 0; i < n && i < SPARKLINE_MAX; i++) {
		unsigned long long step = (values[i] * (unsigned long long)N_STEPS + largest - 1) / largest;

		end = stpcpy(end, (is_utf8 ? blocks : letters)[step]);
	}
	*end = '\0';
}
