/* See exec_relay.h. Sources: elf(5), execve(2), exec(3). */
#include "shim/process/exec_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "pool/base/call_filter.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/process/exec_kind.h"
#include "shim/process/exec_state.h"

/* execveat(2) that only looks whether it would be allowed, from Linux 6.14 on; not in glibc's headers of today. */
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

#if defined(__x86_64__)
#define OUR_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_AUDIT_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_AUDIT_ARCH 0 /* filters refuse it */
#endif

static char command[EXEC_RELAY_PATH_MAX]; /* immutable after init; "": there is none */
/* Where execvp(3) looks without a PATH. */
#ifdef __GLIBC__
static const char default_search[] = "/bin:/usr/bin";
#else
static const char default_search[] = "/usr/local/bin:/bin:/usr/bin";
#endif

/* For the rest of the process's life. */
static _Atomic(bool) is_forbidden, is_blind;

/* The value, if this is the entry of the variable. The name has the `=`. */
static const char *value_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return *entry == *name && strncmp(entry, name, length) == 0 ? entry + length : NULL;
}

void exec_relay_init(char *const environment[])
{
	for (; exec_kind_has_machine && environment && *environment; environment++) {
		const char *path = value_of(*environment, EXEC_RELAY_VARIABLE "=");

		if (!path)
			continue;
		if (path[0] == '/' && strlen(path) < sizeof(command))
			strcpy(command, path);
		return;
	}
}

/* Each call that a look makes, those for a large environment, and those for doubtful pointers. */
static bool allows_looks(const struct sock_fprog *filter)
{
	static const int numbers[] = {SYS_newfstatat, SYS_openat, SYS_pread64, SYS_close,
				      SYS_mmap,	      SYS_munmap, SYS_futex,   SYS_msync};
	struct seccomp_data call = {.arch = OUR_AUDIT_ARCH, .instruction_pointer = (uintptr_t)libc.syscall};

	if (!guard_readable(filter->filter, filter->len * sizeof(*filter->filter)))
		return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		call.nr = numbers[i];
		if (!call_filter_allows(filter->filter, filter->len, &call))
			return false;
	}
	return true;
}

void exec_relay_note_filter(const struct sock_fprog *filter)
{
	if (!filter || !allows_looks(filter))
		atomic_store(&is_blind, true);
	atomic_store(&is_forbidden, true);
}

/* True if an entry of the new environment forbids a relay. */
static bool is_opposed(const char *entry)
{
	const char *value;

	if (entry[0] != 'H')
		return false;
	if ((value = value_of(entry, "HOLDLINE_RELAYED=")))
		return *value != '\0';
	if ((value = value_of(entry, "HOLDLINE_RELAY=")))
		return strcmp(value, "off") == 0;
	if ((value = value_of(entry, "HOLDLINE_MODE=")))
		return *value && strcmp(value, "full") != 0;
	return false;
}

bool exec_relay_may_look(char *const environment[])
{
	if (atomic_load_explicit(&is_blind, memory_order_relaxed) || !environment)
		return false;
	for (char *const *at = environment;; at++) {
		if (!guard_readable(at, sizeof(*at)))
			return false;
		if (!*at)
			break;
		if (!guard_readable(*at, 1))
			return false;
	}
	return exec_state_is_preloaded(environment);
}

/* A debugger counts how often its program is executed; and one that is told of each system call would have to watch
 * the relay as well. */
static bool is_traced(void)
{
	static const char untraced[] = "\nTracerPid:\t0\n";
	char status[1024];
	/* Raw calls: exec is no cancellation point. */
	int fd = (int)libc.syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : libc.syscall(SYS_pread64, fd, status, sizeof(status), 0);

	if (fd >= 0)
		libc.syscall(SYS_close, fd);
	return n <= 0 || !memmem(status, (size_t)n, untraced, sizeof(untraced) - 1);
}

/* The command needs more than some programs leave themselves. */
static bool has_memory(void)
{
	struct rlimit limit;

	return REAL(getrlimit)(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

/* Beyond the exec of the command there is no way back: what would be refused is refused before. A file may be busy, the
 * arguments too long. */
static bool can_be_executed(const char *path, char *const arguments[], char *const environment[])
{
	if (libc.syscall(SYS_execveat, AT_FDCWD, path, arguments, environment, AT_EXECVE_CHECK) == 0)
		return true;
	return (errno == EINVAL || errno == ENOSYS) && libc.syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

bool exec_relay_may(const char *path, char *const arguments[], char *const environment[])
{
	if (!command[0] || atomic_load_explicit(&is_forbidden, memory_order_relaxed))
		return false;
	for (char *const *at = environment; *at; at++)
		if (is_opposed(*at))
			return false;
	return !is_traced() && has_memory() && can_be_executed(path, arguments, environment);
}

/* True for the first candidate that may be executed: execvp() goes on behind folders, files without permission, and
 * what it may not see. */
static bool is_found(const char *path, bool *is_in_doubt)
{
	struct stat status;

	if (libc.stat(path, &status) == 0)
		return S_ISREG(status.st_mode) && (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH));
	*is_in_doubt = errno != ENOENT && errno != ENOTDIR && errno != EACCES;
	return false;
}

const char *exec_relay_find(const char *file, char path[EXEC_RELAY_PATH_MAX])
{
	extern char **environ;
	const char *search = NULL, *end;
	bool is_in_doubt = false;
	size_t length;
	char *to;

	if (!guard_readable(file, 1) || !*file)
		return NULL;
	if (strchr(file, '/'))
		return file;
	for (char **at = environ; at && *at && !search; at++)
		search = value_of(*at, "PATH=");
	if (!search)
		search = default_search;
	length = strlen(file) + 1;
	for (; search && !is_in_doubt; search = *end ? end + 1 : NULL) {
		end = strchrnul(search, ':');
		if ((size_t)(end - search) + 2 + length > EXEC_RELAY_PATH_MAX)
			return NULL;
		/* An empty entry means the working directory. */
		to = search == end ? mempcpy(path, ".", 1) : mempcpy(path, search, (size_t)(end - search));
		to = mempcpy(to, "/", 1);
		memcpy(to, file, length);
		if (is_found(path, &is_in_doubt))
			return path;
	}
	return NULL;
}

/* Entries that the loader reads are for the program, not for the command. */
static bool is_for_loader(const char *entry)
{
	return value_of(entry, "LD_") || value_of(entry, "GLIBC_TUNABLES=");
}

static size_t count_for_loader(char *const environment[])
{
	size_t n = 0;

	for (; *environment; environment++)
		n += is_for_loader(*environment);
	return n;
}

static size_t count(char *const vector[])
{
	size_t n = 0;

	while (vector[n])
		n++;
	return n;
}

/* `COMMAND run --argv0 NAME [--env ENTRY]... -- PATH`, and the end of both lists. */
#define N_ADDED 8

size_t exec_relay_size(char *const arguments[], char *const environment[])
{
	size_t n = 0;

	if (!arguments)
		return 0;
	for (;; n++) {
		if (!guard_readable(&arguments[n], sizeof(arguments[n])))
			return 0;
		if (!arguments[n])
			break;
	}
	if (!n)
		return 0;
	return (N_ADDED + n + 2 * count_for_loader(environment) + count(environment)) * sizeof(char *);
}

/* A vector that is filled. */
struct vector {
	char **to, **end;
};

/* An entry without room is left out. */
static void put(struct vector *vector, char *entry)
{
	if (vector->to < vector->end)
		*vector->to++ = entry;
}

static void put_arguments(struct vector *vector, const char *path, char *const arguments[], char *const environment[])
{
	put(vector, command);
	put(vector, "run");
	put(vector, "--argv0");
	put(vector, arguments[0]);
	for (char *const *at = environment; *at; at++) {
		if (!is_for_loader(*at))
			continue;
		put(vector, "--env");
		put(vector, *at);
	}
	put(vector, "--");
	put(vector, (char *)path);
	for (char *const *at = arguments + 1; *at; at++)
		put(vector, *at);
	put(vector, NULL);
}

struct exec_relay_call exec_relay_prepare(void *buffer, size_t size, const char *path, char *const arguments[],
					  char *const environment[])
{
	struct exec_relay_call call = {command, buffer, NULL};
	struct vector vector;

	if (!buffer)
		return (struct exec_relay_call){0};
	vector = (struct vector){buffer, (char **)buffer + size / sizeof(char *)};
	put_arguments(&vector, path, arguments, environment);
	call.environment = vector.to;
	for (char *const *at = environment; *at; at++)
		if (!is_for_loader(*at))
			put(&vector, *at);
	/* Full: of an environment that has grown meanwhile, some may be missing. */
	if (vector.to == vector.end)
		return (struct exec_relay_call){0};
	put(&vector, NULL);
	return call;
}
