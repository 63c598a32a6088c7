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
static _Atomic(bool) never_known; /* namespaces and users are a thread's own: after setns they are asked each time */
static _Atomic(bool) asks_fsuid;  /* the user of files may be another one than the effective one */

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

/* setfsuid(2): nobody has the number -1, and the present one is returned. */
static uid_t ask_user(void)
{
	return asks_fsuid ? (uid_t)real.setfsuid((uid_t)-1) : libc.geteuid();
}

void identity_fill_key(struct destination_key *key, int fd)
{
	if (never_known) {
		key->netns_cookie = ask_cookie(fd);
		key->euid = ask_user();
		return;
	}
	if (!is_known) {
		known_cookie = ask_cookie(fd);
		known_euid = ask_user();
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

void identity_end_equality(void)
{
	asks_fsuid = true;
	identity_end_steadiness();
}
