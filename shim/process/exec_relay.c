/* See exec_relay.h. Sources: elf(5), execve(2), exec(3). */
#include "shim/process/exec_relay.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/process/exec_state.h"

/* The machine and the dynamic loader that this library is made for. */
#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define LOADER "ld-linux-x86-64.so.2"
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define LOADER "ld-linux-aarch64.so.1"
#else
#define MACHINE EM_NONE
#define LOADER ""
#endif

/* execveat(2) that only looks whether it would be allowed, from Linux 6.14 on; not in glibc's headers of today. */
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

#define HEAD_MAX 1024
#define PIECE_MAX 512
#define MODES_OF_EXECUTION (S_IXUSR | S_IXGRP | S_IXOTH)

static char command[EXEC_RELAY_PATH_MAX]; /* immutable after init; "": there is none */
static _Atomic(bool) is_forbidden;

/* The first bytes of a file. */
struct head {
	int fd;
	size_t length;
	_Alignas(8) unsigned char bytes[HEAD_MAX];
};

/* The value, if this is the entry of the variable. The name has the `=`. */
static const char *value_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return strncmp(entry, name, length) == 0 ? entry + length : NULL;
}

void exec_relay_init(char *const environment[])
{
	for (; MACHINE != EM_NONE && environment && *environment; environment++) {
		const char *path = value_of(*environment, EXEC_RELAY_VARIABLE "=");

		if (!path)
			continue;
		if (path[0] == '/' && strlen(path) < sizeof(command))
			strcpy(command, path);
		return;
	}
}

void exec_relay_forbid(void)
{
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

bool exec_relay_may(char *const environment[])
{
	if (!command[0] || atomic_load_explicit(&is_forbidden, memory_order_relaxed) || !environment)
		return false;
	for (char *const *at = environment;; at++) {
		if (!guard_readable(at, sizeof(*at)))
			return false;
		if (!*at)
			break;
		if (!guard_readable(*at, 1) || is_opposed(*at))
			return false;
	}
	return exec_state_is_preloaded(environment);
}

/* Opening anything else might do something. */
static bool is_plain_program(const char *path)
{
	struct stat status;

	return libc.stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & MODES_OF_EXECUTION) &&
	       !(status.st_mode & (S_ISUID | S_ISGID));
}

/* Raw calls: exec is no cancellation point. */
static ssize_t read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
	return offset > INT64_MAX ? -1 : libc.syscall(SYS_pread64, fd, bytes, length, (off_t)offset);
}

static int open_to_read(const char *path)
{
	return (int)libc.syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
}

/* Up to PIECE_MAX bytes of a segment, and a zero behind them; those that the head has are not read again. */
static size_t read_piece(const struct head *head, const ElfW(Phdr) * segment, char piece[PIECE_MAX + 1])
{
	size_t length = segment->p_filesz < PIECE_MAX ? segment->p_filesz : PIECE_MAX;
	ssize_t n = (ssize_t)length;

	if (segment->p_offset <= head->length && length <= head->length - segment->p_offset)
		memcpy(piece, head->bytes + segment->p_offset, length);
	else
		n = read_at(head->fd, piece, length, segment->p_offset);
	length = n > 0 ? (size_t)n : 0;
	piece[length] = '\0';
	return length;
}

static bool is_loader(const char *interpreter)
{
	const char *slash = strrchr(interpreter, '/');

	return strcmp(slash ? slash + 1 : interpreter, LOADER) == 0;
}

/* Go's linker leaves a note with its name. A Go program with C in it has our loader, but makes its own calls. */
static bool has_note_of_go(const char *piece, size_t length)
{
	ElfW(Nhdr) note;

	for (size_t at = 0; at + sizeof(note) + 4 <= length;) {
		memcpy(&note, piece + at, sizeof(note));
		if (note.n_namesz == 4 && memcmp(piece + at + sizeof(note), "Go\0", 4) == 0)
			return true;
		if (note.n_namesz > length || note.n_descsz > length)
			return false;
		at += sizeof(note) + ((note.n_namesz + 3u) & ~3u) + ((note.n_descsz + 3u) & ~3u);
	}
	return false;
}

/* A program, as its linker marks it: the dynamic loader is a file without a loader, too, and takes our library into
 * what it runs. */
static bool is_marked_program(const char *piece, size_t length)
{
	ElfW(Dyn) entry;

	for (size_t at = 0; at + sizeof(entry) <= length; at += sizeof(entry)) {
		memcpy(&entry, piece + at, sizeof(entry));
		if (entry.d_tag == DT_FLAGS_1)
			return entry.d_un.d_val & DF_1_PIE;
	}
	return false;
}

static bool is_elf_of_ours(const struct head *head, ElfW(Ehdr) * header)
{
	memcpy(header, head->bytes, sizeof(*header));
	return head->length >= sizeof(*header) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       header->e_machine == MACHINE && (header->e_type == ET_EXEC || header->e_type == ET_DYN) &&
	       header->e_phentsize == sizeof(ElfW(Phdr)) && header->e_phnum && header->e_phoff <= head->length &&
	       header->e_phnum <= (head->length - header->e_phoff) / sizeof(ElfW(Phdr));
}

/* A program of this machine that the loader does not take our library into. */
static bool is_elf_without_us(const struct head *head)
{
	bool has_interpreter = false, has_our_loader = false, is_go = false, is_marked = false;
	char piece[PIECE_MAX + 1];
	ElfW(Ehdr) header;

	if (!is_elf_of_ours(head, &header))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		ElfW(Phdr) segment;
		size_t length;

		memcpy(&segment, head->bytes + header.e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type != PT_INTERP && segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC)
			continue;
		if (segment.p_type == PT_DYNAMIC && has_interpreter)
			continue;
		length = read_piece(head, &segment, piece);
		if (segment.p_type == PT_INTERP) {
			has_interpreter = true;
			has_our_loader = is_loader(piece);
		} else if (segment.p_type == PT_NOTE) {
			is_go |= has_note_of_go(piece, length);
		} else {
			is_marked = is_marked_program(piece, length);
		}
	}
	if (has_interpreter)
		return is_go || !has_our_loader;
	return header.e_type == ET_EXEC || is_marked;
}

/* The interpreter of a script, in place in its first line; NULL: it is no script, or one whose line is odd. */
static const char *find_interpreter(struct head *head)
{
	char *line = (char *)head->bytes, *end;
	size_t length = head->length < HEAD_MAX ? head->length : HEAD_MAX - 1;

	line[length] = '\0';
	if (strncmp(line, "#!", 2) != 0)
		return NULL;
	line += 2;
	line += strspn(line, " \t");
	end = line + strcspn(line, " \t\n");
	if (*line != '/' || !*end)
		return NULL;
	*end = '\0';
	return line;
}

static bool read_head(struct head *head, const char *path)
{
	ssize_t n;

	if (!is_plain_program(path))
		return false;
	head->fd = open_to_read(path);
	if (head->fd < 0)
		return false;
	n = read_at(head->fd, head->bytes, sizeof(head->bytes), 0);
	head->length = n > 0 ? (size_t)n : 0;
	return true;
}

/* One script's interpreter is looked at, not that of an interpreter. */
static bool is_without_us(const char *path)
{
	struct head head;
	const char *interpreter;
	bool is_found;

	if (!read_head(&head, path))
		return false;
	is_found = is_elf_without_us(&head);
	libc.syscall(SYS_close, head.fd);
	interpreter = find_interpreter(&head);
	if (!interpreter || !read_head(&head, interpreter))
		return is_found;
	is_found = is_elf_without_us(&head);
	libc.syscall(SYS_close, head.fd);
	return is_found;
}

/* A debugger counts how often its program is executed; and one that is told of each system call would have to watch
 * the relay as well. */
static bool is_traced(void)
{
	static const char untraced[] = "\nTracerPid:\t0\n";
	char status[HEAD_MAX];
	int fd = open_to_read("/proc/self/status");
	ssize_t n = fd < 0 ? -1 : read_at(fd, status, sizeof(status), 0);

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

bool exec_relay_is_needed(const char *path, char *const arguments[], char *const environment[])
{
	return path && guard_readable(path, 1) && is_without_us(path) && !is_traced() && has_memory() &&
	       can_be_executed(path, arguments, environment);
}

/* True for the first candidate that is there. Where that is not one to be executed, execvp() goes on; we don't. */
static bool is_there(const char *path, bool *is_in_doubt)
{
	struct stat status;

	if (libc.stat(path, &status) == 0)
		return true;
	*is_in_doubt = errno != ENOENT && errno != ENOTDIR;
	return false;
}

const char *exec_relay_find(const char *file, bool is_elsewhere, char path[EXEC_RELAY_PATH_MAX])
{
	extern char **environ;
	const char *search = NULL, *end;
	bool is_in_doubt = false;
	size_t length;

	if (!guard_readable(file, 1) || !*file)
		return NULL;
	if (strchr(file, '/'))
		return is_elsewhere && *file != '/' ? NULL : file;
	for (char **at = environ; at && *at && !search; at++)
		search = value_of(*at, "PATH=");
	length = strlen(file) + 1;
	for (; search && !is_in_doubt; search = *end ? end + 1 : NULL) {
		end = strchrnul(search, ':');
		/* The working directory, which an empty entry means, too. */
		if (*search != '/' || (size_t)(end - search) + 1 + length > EXEC_RELAY_PATH_MAX)
			return NULL;
		memcpy(mempcpy(path, search, (size_t)(end - search)), "/", 1);
		memcpy(path + (end - search) + 1, file, length);
		if (is_there(path, &is_in_doubt))
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

struct exec_relay_call exec_relay_prepare(void *buffer, const char *path, char *const arguments[],
					  char *const environment[])
{
	char **to = buffer;
	struct exec_relay_call call = {command, to, NULL};

	*to++ = command;
	*to++ = "run";
	*to++ = "--argv0";
	*to++ = arguments[0];
	for (char *const *at = environment; *at; at++) {
		if (!is_for_loader(*at))
			continue;
		*to++ = "--env";
		*to++ = *at;
	}
	*to++ = "--";
	*to++ = (char *)path;
	for (char *const *at = arguments + 1; *at; at++)
		*to++ = *at;
	*to++ = NULL;
	call.environment = to;
	for (char *const *at = environment; *at; at++)
		if (!is_for_loader(*at))
			*to++ = *at;
	*to = NULL;
	return call;
}
