/*
 * Any text as the value of every option: it is accepted or refused, never read or written beyond.
 */
#include "pool/config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	char *text = malloc(size + 1);
	uint64_t duration_ns;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	config_init(&config);
	if (config_parse_duration(text, &duration_ns) == 0 && duration_ns > INT64_MAX)
		abort();
	for (size_t i = 0; i < config_n_options; i++)
		if (config_set(&config, &config_options[i], text) < 0 && config_options[i].kind == CONFIG_KIND_PATH &&
		    strlen(text) < PATH_MAX)
			abort();
	free(text);
	return 0;
}
