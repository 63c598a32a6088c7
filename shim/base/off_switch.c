/* See off_switch.h. */
#include "shim/base/off_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "shim/base/real.h"

bool off_switch_is_set(void)
{
	int saved = errno;
	bool is_there = libc.syscall(SYS_faccessat, AT_FDCWD, CONFIG_OFF_SWITCH, F_OK) == 0 || errno == EACCES;

	errno = saved;
	return is_there;
}
