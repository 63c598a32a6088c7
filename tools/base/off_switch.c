/* See off_switch.h. */
#include "tools/base/off_switch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/config/config.h"

/* As the library sees it: see shim/base/off_switch.h. */
bool off_switch_is_set(void)
{
	return access(CONFIG_OFF_SWITCH, F_OK) == 0 || errno == EACCES;
}

/* The folder as the other users see it. */
static void warn_of_folder(const char *command)
{
	char folder[] = CONFIG_OFF_SWITCH;
	struct stat status;

	*strrchr(folder, '/') = '\0';
	if (stat(folder, &status) == 0 && !(status.st_mode & S_IXOTH))
		fprintf(stderr,
			"holdline %s: %s can't be searched by other users: Holdline does nothing in their programs"
			" (chmod 755 %s)\n",
			command, folder, folder);
}

bool off_switch_warn(const char *command)
{
	warn_of_folder(command);
	if (!off_switch_is_set())
		return false;
	fprintf(stderr, "holdline %s: " CONFIG_OFF_SWITCH " is there: Holdline does nothing in programs that start\n",
		command);
	return true;
}
