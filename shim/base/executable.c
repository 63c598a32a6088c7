/* See executable.h. */
#include "shim/base/executable.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>

#include "pool/share/client.h"
#include "shim/base/real.h"

uint64_t executable_number(void)
{
	static _Atomic(uint64_t) number;
	char path[256];
	ssize_t length;

	if (!number) {
		length = libc.readlink("/proc/self/exe", path, sizeof(path));
		number = broker_client_program_number(path, length > 0 ? (size_t)length : 0);
	}
	return number;
}

uint64_t executable_name_number(void)
{
	const char *name = (const char *)getauxval(AT_EXECFN);

	return name ? broker_client_program_number(name, strlen(name)) : 0;
}

uint64_t executable_script_number(void)
{
	static _Atomic(uint64_t) number;
	static _Atomic(bool) is_known;
	char line[512];
	const char *first;
	ssize_t length;
	int fd;

	if (is_known)
		return number;
	fd = libc.open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	length = fd >= 0 ? REAL(read)(fd, line, sizeof(line) - 1) : 0;
	if (fd >= 0)
		real.close(fd);
	line[length > 0 ? length : 0] = 0;
	first = line + strnlen(line, sizeof(line) - 1) + 1;
	if (length > first - line && *first && *first != '-')
		number = broker_client_program_number(first, strnlen(first, (size_t)(line + length - first)));
	is_known = true;
	return number;
}
