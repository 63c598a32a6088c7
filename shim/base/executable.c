/* See executable.h. */
#include "shim/base/executable.h"

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
