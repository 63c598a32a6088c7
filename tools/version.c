/*
 * holdline version
 */
#include "tools/commands.h"

#include <stdio.h>

int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("holdline 0.1.0");
	return 0;
}
