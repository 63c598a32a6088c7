/* See proc_file.h. */
#include "tools/base/proc_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool proc_file_read(pid_t pid, const char *name, char *text, size_t room)
{
	char path[64];
	ssize_t length;
	int fd;

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, room - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}
