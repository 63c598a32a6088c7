/* See home.h. Raw system calls, since libfaketime and others have a getpid() of their own. */
#include "shim/base/home.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/base/real.h"

__thread int vfork_is_child __attribute__((tls_model("initial-exec")));

/* Changed in the constructor and in a fork's child only, while there is one thread. */
static _Atomic(pid_t) home_pid; /* 0: this process has none yet */
static pid_t expected_pid;	/* the process that may own this state; 0: the first that claims it */

/* Mapping the page costs as much as forty looks without it: a process that makes a request and ends needs none. It is
 * mapped after so many looks. */
#define LOOKS_WITHOUT 40

static _Atomic(bool) *_Atomic(home_page);
static _Atomic(unsigned) n_looks;
static _Atomic(bool) is_page_begun;
static _Atomic(bool) is_memory_shared; /* guard_distrust_memory() */

static _Atomic(bool) nowhere; /* stays false */
_Atomic(bool) *_Atomic(guard_home_flag) = &nowhere;

/* The page reads as zeroes in the child of any fork, whatever made it (madvise(2), MADV_WIPEONFORK). */
static void *map_home_page(void)
{
	size_t page = (size_t)getauxval(AT_PAGESZ);
	void *memory = libc.mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (libc.madvise(memory, page, MADV_WIPEONFORK) == 0)
		return memory;
	libc.munmap(memory, page);
	return NULL;
}

pid_t guard_pid(void)
{
	if (!libc.syscall)
		real_bind();
	return (pid_t)libc.syscall(SYS_getpid);
}

static void trust_page(void)
{
	if (home_page && !is_memory_shared)
		guard_home_flag = home_page;
	/* Another thread may have said so meanwhile. */
	if (is_memory_shared)
		guard_home_flag = &nowhere;
}

void guard_settle_home(void)
{
	int saved = errno;
	_Atomic(bool) *made;

	if (!VFORK_IS_SEEN || atomic_exchange(&is_page_begun, true))
		return;
	made = map_home_page();
	if (made) {
		atomic_store(made, true);
		home_page = made;
		trust_page();
	}
	errno = saved;
}

/* Where the flag is trusted it has said no. */
bool guard_ask_home(void)
{
	if (guard_home_flag != &nowhere || !home_pid || guard_pid() != home_pid)
		return false;
	if (!is_page_begun && ++n_looks > LOOKS_WITHOUT)
		guard_settle_home();
	return true;
}

bool guard_may_become_home(void)
{
	return !vfork_is_child && (!expected_pid || guard_pid() == expected_pid);
}

bool guard_is_home_to_be(void)
{
	return home_pid ? guard_is_home() : guard_may_become_home();
}

void guard_expect_pid(void)
{
	if (!home_pid && !expected_pid && !vfork_is_child)
		expected_pid = guard_pid();
}

void guard_expect_nobody(void)
{
	expected_pid = 0;
}

void guard_set_home(void)
{
	home_pid = guard_pid();
	expected_pid = 0;
	is_memory_shared = false;
	guard_home_flag = &nowhere;
	if (home_page)
		atomic_store(home_page, true);
	else
		is_page_begun = false;
	trust_page();
	/* The first of a namespace may make the first of another, which has its number. */
	if (home_pid == 1)
		guard_settle_home();
}

void guard_distrust_memory(void)
{
	is_memory_shared = true;
	guard_home_flag = &nowhere;
}

/* A process may say of itself what a kernel's signal says (rt_tgsigqueueinfo(2)). */
void guard_raise_sigpipe(void)
{
	siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};
	int error = errno;

	info.si_pid = guard_pid();
	info.si_uid = libc.getuid();
	libc.syscall(SYS_rt_tgsigqueueinfo, info.si_pid, libc.syscall(SYS_gettid), SIGPIPE, &info);
	errno = error;
}
