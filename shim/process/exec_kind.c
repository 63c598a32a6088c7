/* See exec_kind.h. Sources: elf(5), execve(2). */
#include "shim/process/exec_kind.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/base/real.h"
#include "shim/process/exec_known.h"

/* The machine, its dynamic loaders, and a string of the other libc's loader: musl's finds its last stage by that name
 * among its own symbols, whatever the file is called. glibc's has its name. */
#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define LOADER_OF_GLIBC "ld-linux-x86-64.so.2"
#define LOADER_OF_MUSL "ld-musl-x86_64.so.1"
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define LOADER_OF_GLIBC "ld-linux-aarch64.so.1"
#define LOADER_OF_MUSL "ld-musl-aarch64.so.1"
#else
#define MACHINE EM_NONE
#define LOADER_OF_GLIBC ""
#define LOADER_OF_MUSL ""
#endif
#ifdef __GLIBC__
#define LOADER LOADER_OF_GLIBC
static const char string_of_other_loader[] = "\0__dls3";
#else
#define LOADER LOADER_OF_MUSL
static const char string_of_other_loader[] = "\0" LOADER_OF_GLIBC;
#endif

#define OUR_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define HEAD_MAX 1024
#define PIECE_MAX 512
#define STRINGS_MAX 65536
/* Of a script: how much the kernel reads for the line with its interpreter, and how many scripts it follows. */
#define SCRIPT_LINE_MAX 256
#define SCRIPTS_MAX 5
#define MODES_OF_EXECUTION (S_IXUSR | S_IXGRP | S_IXOTH)

const bool exec_kind_has_machine = MACHINE != EM_NONE;

/* The first bytes of a file. */
struct head {
	int fd;
	size_t length;
	_Alignas(8) unsigned char bytes[HEAD_MAX];
};

/* Opening anything else might do something. As the next ones, raw calls: exec is no cancellation point. `flags` as
 * those of fstatat(2). */
static bool is_plain_program(int directory, const char *path, int flags, struct stat *status)
{
	return libc.syscall(SYS_newfstatat, directory, path, status, flags) == 0 && S_ISREG(status->st_mode) &&
	       (status->st_mode & MODES_OF_EXECUTION) && !(status->st_mode & (S_ISUID | S_ISGID));
}

static ssize_t read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
	return offset > INT64_MAX ? -1 : libc.syscall(SYS_pread64, fd, bytes, length, (off_t)offset);
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

/* The dynamic section, as far as it is looked at. */
struct dynamic {
	bool is_program;	 /* it is marked as one */
	ElfW(Addr) strings;	 /* the string table of its symbols; 0: none */
	uint64_t strings_length; /* in bytes */
};

static struct dynamic read_dynamic(const char *piece, size_t length)
{
	struct dynamic dynamic = {0};
	ElfW(Dyn) entry;

	for (size_t at = 0; at + sizeof(entry) <= length; at += sizeof(entry)) {
		memcpy(&entry, piece + at, sizeof(entry));
		if (entry.d_tag == DT_FLAGS_1)
			dynamic.is_program = entry.d_un.d_val & DF_1_PIE;
		else if (entry.d_tag == DT_STRTAB)
			dynamic.strings = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_STRSZ)
			dynamic.strings_length = entry.d_un.d_val;
	}
	return dynamic;
}

static bool is_elf(const struct head *head)
{
	return head->length > EI_CLASS && memcmp(head->bytes, ELFMAG, SELFMAG) == 0;
}

static bool is_elf_of_ours(const struct head *head, ElfW(Ehdr) * header)
{
	memcpy(header, head->bytes, sizeof(*header));
	return head->length >= sizeof(*header) && is_elf(head) && header->e_ident[EI_CLASS] == OUR_CLASS &&
	       header->e_machine == MACHINE && (header->e_type == ET_EXEC || header->e_type == ET_DYN) &&
	       header->e_phentsize == sizeof(ElfW(Phdr)) && header->e_phnum && header->e_phoff <= head->length &&
	       header->e_phnum <= (head->length - header->e_phoff) / sizeof(ElfW(Phdr));
}

/* A program of another word size or another machine, which the kernel may know how to execute (binfmt_misc). The byte
 * order of a large machine number is the file's own: such a file is another machine's in any case. */
static bool is_elf_of_another_machine(const struct head *head)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)(const void *)head->bytes;

	return head->length >= offsetof(ElfW(Ehdr), e_version) && is_elf(head) &&
	       (header->e_ident[EI_CLASS] != OUR_CLASS || (exec_kind_has_machine && header->e_machine != MACHINE)) &&
	       (header->e_ident[EI_CLASS] == ELFCLASS32 || header->e_ident[EI_CLASS] == ELFCLASS64);
}

static void read_segment(const struct head *head, const ElfW(Ehdr) * header, unsigned i, ElfW(Phdr) * segment)
{
	memcpy(segment, head->bytes + header->e_phoff + i * sizeof(*segment), sizeof(*segment));
}

/* Where in the file that address is; false: nowhere. */
static bool find_offset(const struct head *head, const ElfW(Ehdr) * header, ElfW(Addr) address, uint64_t *offset)
{
	ElfW(Phdr) segment;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		read_segment(head, header, i, &segment);
		if (segment.p_type != PT_LOAD || address < segment.p_vaddr ||
		    address - segment.p_vaddr >= segment.p_filesz)
			continue;
		*offset = segment.p_offset + (address - segment.p_vaddr);
		return true;
	}
	return false;
}

/* The dynamic loader is a file without a loader. Ours takes our library into what it runs, another libc's must not. */
static bool is_other_loader(const struct head *head, const ElfW(Ehdr) * header, const struct dynamic *dynamic)
{
	const size_t wanted = sizeof(string_of_other_loader), step = PIECE_MAX - wanted + 1;
	uint64_t offset, end;
	char piece[PIECE_MAX];

	if (!dynamic->strings || !find_offset(head, header, dynamic->strings, &offset))
		return false;
	end = offset + (dynamic->strings_length < STRINGS_MAX ? dynamic->strings_length : STRINGS_MAX);
	/* Each piece has the end of the one before. */
	for (; offset + wanted <= end; offset += step) {
		uint64_t left = end - offset;
		ssize_t n = read_at(head->fd, piece, left < PIECE_MAX ? left : PIECE_MAX, offset);

		if (n <= 0)
			return false;
		if (memmem(piece, (size_t)n, string_of_other_loader, wanted))
			return true;
	}
	return false;
}

/* Of a program of this machine; doubt is about what cannot be read. */
static enum exec_kind judge_elf_of_ours(const struct head *head)
{
	bool has_interpreter = false, has_our_loader = false, is_go = false;
	struct dynamic dynamic = {0};
	char piece[PIECE_MAX + 1];
	ElfW(Ehdr) header;

	if (!is_elf_of_ours(head, &header))
		return EXEC_KIND_WITH_US;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		ElfW(Phdr) segment;
		size_t length;

		read_segment(head, &header, i, &segment);
		if (segment.p_type != PT_INTERP && segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC)
			continue;
		if (segment.p_type == PT_DYNAMIC && has_interpreter)
			continue;
		length = read_piece(head, &segment, piece);
		if (segment.p_type == PT_INTERP) {
			has_interpreter = true;
			has_our_loader = !length || is_loader(piece);
		} else if (segment.p_type == PT_NOTE) {
			is_go |= has_note_of_go(piece, length);
		} else {
			dynamic = read_dynamic(piece, length);
		}
	}
	if (has_interpreter && !has_our_loader)
		return EXEC_KIND_OTHER_LIBC;
	if (has_interpreter ? is_go : header.e_type == ET_EXEC || dynamic.is_program)
		return EXEC_KIND_WITHOUT_US;
	return !has_interpreter && is_other_loader(head, &header, &dynamic) ? EXEC_KIND_OTHER_LIBC : EXEC_KIND_WITH_US;
}

/* The interpreter of a script, in place in its first line, which ends with the file at the latest. NULL: it is no
 * script, or one that the kernel refuses. A relative one is in the working directory. */
static const char *find_interpreter(struct head *head)
{
	char *line = (char *)head->bytes, *end;
	size_t length = head->length < SCRIPT_LINE_MAX ? head->length : SCRIPT_LINE_MAX;

	line[length] = '\0';
	if (strncmp(line, "#!", 2) != 0)
		return NULL;
	line += 2;
	line += strspn(line, " \t");
	end = line + strcspn(line, " \t\n");
	/* A name that fills all that is read may go on. */
	if (end == line || end == (char *)head->bytes + SCRIPT_LINE_MAX)
		return NULL;
	*end = '\0';
	return line;
}

static void read_head(struct head *head)
{
	ssize_t n = read_at(head->fd, head->bytes, sizeof(head->bytes), 0);

	head->length = n > 0 ? (size_t)n : 0;
}

static enum exec_kind judge(const struct head *head)
{
	return is_elf_of_another_machine(head) ? EXEC_KIND_FOREIGN : judge_elf_of_ours(head);
}

/* The head stays, for the interpreter's name in it. `path` may be in the head: it is used up before that is read. */
static enum exec_kind judge_file(struct head *head, int directory, const char *path)
{
	enum exec_kind kind = EXEC_KIND_WITH_US;
	struct stat status;

	head->length = 0;
	if (!is_plain_program(directory, path, 0, &status) || exec_known_find(&status, &kind))
		return kind;
	head->fd = (int)libc.syscall(SYS_openat, directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	if (head->fd < 0)
		return errno == EMFILE || errno == ENFILE ? EXEC_KIND_UNSEEN : EXEC_KIND_WITH_US;
	read_head(head);
	kind = judge(head);
	libc.syscall(SYS_close, head->fd);
	/* A script is what its interpreter is by then. */
	if (is_elf(head))
		exec_known_note(&status, kind);
	return kind;
}

/* That of what is found from the working directory, where a spawned program may have another one: the call must then
 * fail, which a relay would not see. */
static enum exec_kind without_relay(enum exec_kind kind)
{
	if (kind == EXEC_KIND_WITHOUT_US)
		return EXEC_KIND_WITH_US;
	return kind == EXEC_KIND_OTHER_LIBC ? EXEC_KIND_FOREIGN : kind;
}

/* A script's interpreter may be a script again. The head is that of the file looked at last. */
static enum exec_kind judge_interpreters(struct head *head, enum exec_kind kind)
{
	const char *interpreter;
	bool is_relative = false;

	for (int i = 0; i < SCRIPTS_MAX && (interpreter = find_interpreter(head)); i++) {
		is_relative |= *interpreter != '/';
		kind = judge_file(head, AT_FDCWD, interpreter);
	}
	return is_relative ? without_relay(kind) : kind;
}

enum exec_kind exec_kind_of(int directory, const char *path)
{
	struct head head;
	enum exec_kind kind = judge_file(&head, directory, path);

	return judge_interpreters(&head, kind);
}

enum exec_kind exec_kind_of_open(int fd)
{
	struct head head = {.fd = fd};
	struct stat status;

	if (!is_plain_program(fd, "", AT_EMPTY_PATH, &status))
		return EXEC_KIND_WITH_US;
	read_head(&head);
	return judge_interpreters(&head, judge(&head));
}

bool exec_kind_may_be_relayed(enum exec_kind kind)
{
	return kind == EXEC_KIND_WITHOUT_US || kind == EXEC_KIND_OTHER_LIBC;
}

bool exec_kind_cannot_load_us(enum exec_kind kind)
{
	return kind == EXEC_KIND_OTHER_LIBC || kind == EXEC_KIND_FOREIGN;
}
