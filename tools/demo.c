#include "tools/commands.h"
int command_demo(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 1;
}
