/* See cookie.h. */
#include "shim/base/cookie.h"

#include <sys/socket.h>

#include "shim/base/real.h"

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	if (real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
		return 0;
	return cookie;
}
