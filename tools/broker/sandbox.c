/*
 * The broker's list of system calls (seccomp(2), via libseccomp). The broker reads input from any process of the user,
 * and holds connections of all of them. An attacker who takes it over must find no way on from there: no file, no new
 * connection, no program, no executable memory.
 *
 * A system call that is not on the list fails with ENOSYS, and does not kill: users' connections and their turns at a
 * limit depend on this process, libc falls back to an older call where a newer one is unknown, and a failing call is no
 * use to an attacker either. Calls that no libc makes on its own (for programs, processes, others' memory) kill the
 * broker: they show an attack, and programs lose only reuse when their broker dies.
 *
 * The broker stays dumpable: a process of the same user could trace the programs themselves as well, no request's
 * content passes through here, `holdline doctor` reads in /proc which process has the idle connections, and programs
 * duplicate descriptors of those on the shelf (pool/share/shelf.h).
 */
#include "tools/broker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE 4096

/* gcc tells this by a macro, clang by a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
	__has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

/* The paths are in a read-only page: the filter compares pointers, not the bytes behind them. Immutable afterwards. */
static const char *removable[2];
static unsigned n_removable;
static bool is_on;

static const int ALLOWED[] = {
	/* The loop. */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(accept4),
	SCMP_SYS(close),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getpeername),
	SCMP_SYS(shutdown),
	SCMP_SYS(geteuid),
	SCMP_SYS(getpriority), /* whether a process group has members */
	SCMP_SYS(pidfd_open),  /* whose connections it is to end when it ends; no signal can be sent by it */
	/* Memory to share, and to give back. */
	SCMP_SYS(ftruncate),
	SCMP_SYS(munmap),
	/* Calls of libc itself: time without a vDSO, the heap, the return from a signal handler, the exit. */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(brk),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit_group),
};

static const int FATAL[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(clone),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_vm_readv),
};

/* An argument that equals a number, or has none of some bits. libseccomp's own macros leave the last field out. */
#define EQUAL(argument, number)                      \
	{                                            \
		(argument), SCMP_CMP_EQ, (number), 0 \
	}
#define WITHOUT(argument, bits)                           \
	{                                                 \
		(argument), SCMP_CMP_MASKED_EQ, (bits), 0 \
	}

/* A call that is allowed for some arguments only. */
struct narrow_rule {
	int call;
	unsigned n;
	struct scmp_arg_cmp arguments[3];
};

static int add_narrow(scmp_filter_ctx filter)
{
	/* Disconnecting takes the two bytes of AF_UNSPEC; connecting takes a longer address, of any family. */
	const struct narrow_rule rules[] = {
		{SCMP_SYS(connect), 1, {EQUAL(2, sizeof(sa_family_t))}},
		/* As fdpass.c calls it: with MSG_FASTOPEN, sending would connect (tcp(7)). */
		{SCMP_SYS(sendmsg), 1, {EQUAL(2, MSG_DONTWAIT | MSG_NOSIGNAL)}},
		{SCMP_SYS(recvmsg), 1, {EQUAL(2, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)}},
		{SCMP_SYS(setsockopt), 2, {EQUAL(1, SOL_SOCKET), EQUAL(2, SO_LINGER)}},
		/* pool/conn/ending.c */
		{SCMP_SYS(setsockopt), 2, {EQUAL(1, IPPROTO_IP), EQUAL(2, IP_MINTTL)}},
		{SCMP_SYS(setsockopt), 2, {EQUAL(1, IPPROTO_IPV6), EQUAL(2, IPV6_MINHOPCOUNT)}},
		{SCMP_SYS(memfd_create), 1, {EQUAL(1, MFD_CLOEXEC | MFD_ALLOW_SEALING)}},
		{SCMP_SYS(fcntl), 1, {EQUAL(1, F_ADD_SEALS)}},
		{SCMP_SYS(fcntl), 1, {EQUAL(1, F_DUPFD_CLOEXEC)}},
		{SCMP_SYS(prctl), 1, {EQUAL(0, PR_SET_PTRACER)}},
		/* Whether memory of a program may be looked at. */
		{SCMP_SYS(fcntl), 1, {EQUAL(1, F_GET_SEALS)}},
		{SCMP_SYS(lseek), 1, {EQUAL(2, SEEK_END)}},
		/* No executable memory, and no mapping over existing memory. */
		{SCMP_SYS(mmap), 3, {EQUAL(0, 0), WITHOUT(2, PROT_EXEC), WITHOUT(3, MAP_FIXED)}},
		/* libc's message about corrupted memory. */
		{SCMP_SYS(writev), 1, {EQUAL(0, STDERR_FILENO)}},
	};
	int error = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && !error; i++)
		error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, rules[i].n, rules[i].arguments);
	for (unsigned i = 0; i < n_removable && !error; i++) {
		const struct scmp_arg_cmp arguments[] = {EQUAL(0, (uint32_t)AT_FDCWD),
							 EQUAL(1, (uintptr_t)removable[i]), EQUAL(2, 0)};

		error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(unlinkat), 3, arguments);
	}
	return error;
}

static int add_rules(scmp_filter_ctx filter)
{
	int error = 0;

	for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, ALLOWED[i], 0);
	for (size_t i = 0; i < sizeof(FATAL) / sizeof(FATAL[0]) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, FATAL[i], 0);
	return error ? error : add_narrow(filter);
}

static int keep_paths(const char *socket_path, const char *board_path)
{
	const char *const paths[] = {socket_path, board_path};
	size_t used = 0;
	char *page;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		size_t size = paths[i] ? strlen(paths[i]) + 1 : 0;

		if (size > PAGE - used)
			return -ENAMETOOLONG;
		if (!size)
			continue;
		removable[n_removable++] = memcpy(page + used, paths[i], size);
		used += size;
	}
	return mprotect(page, PAGE, PROT_READ) < 0 ? -errno : 0;
}

int broker_sandbox_enter(const char *socket_path, const char *board_path)
{
	int error = keep_paths(socket_path, board_path);
	scmp_filter_ctx filter;

	if (error)
		return error;
	if (IS_SANITIZED)
		return -ENOTSUP;
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return -ENOMEM;
	/* Loading the filter also sets no_new_privs (prctl(2)). */
	error = add_rules(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	is_on = !error;
	return error;
}

bool broker_sandbox_is_on(void)
{
	return is_on;
}

void broker_sandbox_remove(void)
{
	for (unsigned i = 0; i < n_removable; i++)
		unlinkat(AT_FDCWD, removable[i], 0);
}
