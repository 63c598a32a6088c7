/*
 * holdline version
 */
#include "tools/commands.h"

#include <stdio.h>

#include "tools/base/version.h"

int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("holdline " HOLDLINE_VERSION);
	return 0;
}
