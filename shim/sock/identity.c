/* See identity.h. */
#include "shim/sock/identity.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/base/kernel.h"
#include "pool/conn/destination.h"
#include "shim/base/real.h"

/* Asked once, and again only after a call that changes it: two system calls less for each connect. Written before
 * the flag. */
static _Atomic(uint64_t) known_cookie;
static _Atomic(uid_t) known_euid;
static _Atomic(bool) is_known;
static _Atomic(bool) never_known; /* namespaces are a thread's own: after setns they must be asked for each time */

bool identity_is_steady(void)
{
	return !never_known;
}

static uint64_t ask_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	if (real.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0)
		cookie = 0;
	return cookie;
}

void identity_fill_key(struct destination_key *key, int fd)
{
	if (!is_known || never_known) {
		known_cookie = ask_cookie(fd);
		known_euid = libc.geteuid();
		is_known = true;
	}
	key->netns_cookie = known_cookie;
	key->euid = known_euid;
}

void identity_forget(void)
{
	is_known = false;
}

void identity_end_steadiness(void)
{
	never_known = true;
}
