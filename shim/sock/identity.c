/* setuid and kin, setns, unshare: after them nothing that was opened before may be used again. See identity.h. */
#include "shim/sock/identity.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* Asked once, and again only after one of the calls below: two system calls less for each connect. Written before the flag. */
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
#ifdef SO_NETNS_COOKIE
	socklen_t length = sizeof(cookie);

	if (real.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0)
		cookie = 0;
#endif
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

static int changed(int result)
{
	int saved = errno;

	if (result == 0 && guard_is_home()) {
		is_known = false;
		pool_let_go_of_idle();
	}
	errno = saved;
	return result;
}

EXPORT int setuid(uid_t uid)
{
	return changed(REAL(setuid)(uid));
}

EXPORT int seteuid(uid_t uid)
{
	return changed(REAL(seteuid)(uid));
}

EXPORT int setreuid(uid_t ruid, uid_t euid)
{
	return changed(REAL(setreuid)(ruid, euid));
}

EXPORT int setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	return changed(REAL(setresuid)(ruid, euid, suid));
}

EXPORT int setns(int fd, int type)
{
	int result = REAL(setns)(fd, type);

	if (result == 0)
		never_known = true;
	return changed(result);
}

EXPORT int unshare(int flags)
{
	bool is_files = (flags & CLONE_FILES) && guard_is_home_to_be();
	/* All that may be refused comes first. */
	int result = is_files && flags == CLONE_FILES ? 0 : REAL(unshare)(is_files ? flags & ~CLONE_FILES : flags);

	if (result == 0 && (flags & CLONE_NEWNET))
		never_known = true;
	/* This thread's descriptors are not the other ones' any more, and our table is one. */
	if (result == 0 && is_files) {
		sock_retire_all();
		result = REAL(unshare)(CLONE_FILES);
	}
	return changed(result);
}
