/* setuid and kin, setns, unshare: after them nothing that was opened before may be used again. */
#include <errno.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/process/init.h"
#include "shim/sock/identity.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

static void becomes(uid_t user)
{
	if (user != (uid_t)-1 && guard_is_home_to_be() && user != libc.geteuid())
		init_before_change_of_user();
}

static int changed(int result)
{
	int saved = errno;

	if (result == 0 && guard_is_home()) {
		identity_forget();
		reclaim_idle();
	}
	errno = saved;
	return result;
}

EXPORT int setuid(uid_t uid)
{
	becomes(uid);
	return changed(REAL(setuid)(uid));
}

EXPORT int seteuid(uid_t uid)
{
	becomes(uid);
	return changed(REAL(seteuid)(uid));
}

EXPORT int setreuid(uid_t ruid, uid_t euid)
{
	becomes(euid);
	return changed(REAL(setreuid)(ruid, euid));
}

EXPORT int setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	becomes(euid);
	return changed(REAL(setresuid)(ruid, euid, suid));
}

EXPORT int setfsuid(uid_t uid)
{
	if (uid != (uid_t)-1 && guard_is_home())
		identity_end_equality();
	return REAL(setfsuid)(uid);
}

EXPORT int setns(int fd, int type)
{
	int result = REAL(setns)(fd, type);

	if (result == 0)
		identity_end_steadiness();
	return changed(result);
}

EXPORT int unshare(int flags)
{
	bool is_files = (flags & CLONE_FILES) && guard_is_home_to_be();
	int result = 0;

	/* All that may be refused comes first. */
	if (!is_files)
		result = REAL(unshare)(flags);
	else if (flags != CLONE_FILES)
		result = REAL(unshare)(flags & ~CLONE_FILES);
	if (result == 0 && (flags & CLONE_NEWNET))
		identity_end_steadiness();
	/* This thread's descriptors are not the other ones' any more, and our table is one. */
	if (result == 0 && is_files) {
		sock_retire_all();
		result = REAL(unshare)(CLONE_FILES);
	}
	return changed(result);
}
