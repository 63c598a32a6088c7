/*
 * Which file a command line would run, and whether a library can be preloaded into it. The reference is our own
 * executable: a program of another machine or with another dynamic loader can't load our library.
 */
#include "tools/program/program.h"

#include "tools/program/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/base/text.h"

static int judge_executable_file(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
		return -EACCES;
	return 0;
}

int program_resolve(const char *name, char path[PATH_MAX])
{
	const char *search = getenv("PATH"), *end;
	int result = -ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return judge_executable_file(path);
	}
	snprintf(path, PATH_MAX, "%s", name);
	for (search = search ? search : "/bin:/usr/bin"; *name && search; search = *end ? end + 1 : NULL) {
		char candidate[PATH_MAX];
		int length;

		end = strchrnul(search, ':');
		length = snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)(end - search), search,
				  end == search ? "./" : "/", name);
		if (length >= PATH_MAX)
			continue;
		switch (judge_executable_file(candidate)) {
		case 0:
			strcpy(path, candidate);
			return 0;
		case -EACCES:
			result = -EACCES;
		}
	}
	return result;
}

/* Takes the next word of *text; NULL if there is none. Modifies the text. */
static char *take_word(char **text)
{
	char *word = *text + strspn(*text, " \t");

	*text = word + strcspn(word, " \t");
	if (**text)
		*(*text)++ = '\0';
	return *word ? word : NULL;
}

/* `#!/usr/bin/env [-S] [NAME=VALUE...] PROGRAM`: returns PROGRAM, which env finds in PATH. NULL if there is none. */
static char *find_program_of_env(char *arguments)
{
	char *word;

	while ((word = take_word(&arguments))) {
		if (strncmp(word, "-S", 2) == 0 && word[2])
			return word + 2;
		if (*word != '-' && !strchr(word, '='))
			return word;
	}
	return NULL;
}

/* The interpreter in the first line of a script. 0, or -ENOENT. */
static int find_interpreter(const struct elf_mapping *mapping, char path[PATH_MAX])
{
	char line[PATH_MAX], *rest = line, *interpreter, *wanted;
	size_t length = mapping->size - 2 < sizeof(line) - 1 ? mapping->size - 2 : sizeof(line) - 1;

	memcpy(line, (const char *)mapping->bytes + 2, length);
	line[length] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	interpreter = take_word(&rest);
	if (!interpreter)
		return -ENOENT;
	wanted = strcmp(text_base_name(interpreter), "env") == 0 ? find_program_of_env(rest) : NULL;
	if (wanted)
		return program_resolve(wanted, path);
	snprintf(path, PATH_MAX, "%s", interpreter);
	return judge_executable_file(path);
}

/* True if executing the file raises privileges: the loader then ignores LD_PRELOAD (ld.so(8)). */
static enum program_obstacle judge_privileges(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return PROGRAM_NO_OBSTACLE;
	if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
		return PROGRAM_SETUID;
	if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getgid())
		return PROGRAM_SETUID;
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return PROGRAM_CAPABILITIES;
	return PROGRAM_NO_OBSTACLE;
}

/* musl's loader finds its last stage by this name among its own symbols, whatever the file is called. */
static bool is_loader_of_musl(const struct elf *elf)
{
	struct elf_symbol symbol;
	size_t position = 0;

	while (elf_next_symbol(elf, &position, &symbol))
		if (symbol.is_exported && strcmp(symbol.name, "__dls3") == 0)
			return true;
	return false;
}

static enum program_obstacle judge_elf(const struct elf *elf)
{
	enum program_obstacle obstacle = PROGRAM_NO_OBSTACLE;
	struct elf_mapping mapping;
	struct elf self;

	if (!elf->native)
		return PROGRAM_OTHER_ARCHITECTURE;
	if (elf->is_go)
		return PROGRAM_GO;
	if (elf_map(&mapping, "/proc/self/exe") < 0)
		return PROGRAM_NO_OBSTACLE;
	if (elf_parse(&self, mapping.bytes, mapping.size) < 0 || elf->machine != self.machine)
		obstacle = PROGRAM_OTHER_ARCHITECTURE;
	else if (!elf->interpreter)
		obstacle = is_loader_of_musl(elf) ? PROGRAM_MUSL : PROGRAM_STATIC;
	else if (strncmp(text_base_name(elf->interpreter), "ld-musl", strlen("ld-musl")) == 0)
		obstacle = PROGRAM_MUSL;
	else if (self.interpreter && strcmp(text_base_name(elf->interpreter), text_base_name(self.interpreter)) != 0)
		obstacle = PROGRAM_OTHER_LIBC;
	elf_unmap(&mapping);
	return obstacle;
}

static bool looks_like_text(const struct elf_mapping *mapping)
{
	return !memchr(mapping->bytes, '\0', mapping->size < 128 ? mapping->size : 128);
}

/* Judges the last step. 0: that was the end; 1: *next is the next file. */
static int judge_step(struct program *program, const char *path, char next[PATH_MAX])
{
	struct elf_mapping mapping;
	struct elf elf;
	int result = elf_map(&mapping, path);

	if (result < 0)
		return result;
	if (mapping.size > 2 && memcmp(mapping.bytes, "#!", 2) == 0) {
		result = find_interpreter(&mapping, next);
		result = result < 0 ? result : 1;
	} else if (elf_parse(&elf, mapping.bytes, mapping.size) == 0) {
		program->obstacle = judge_privileges(path);
		if (program->obstacle == PROGRAM_NO_OBSTACLE)
			program->obstacle = judge_elf(&elf);
	} else if (looks_like_text(&mapping)) {
		strcpy(next, "/bin/sh"); /* as in execvp() */
		result = 1;
	} else {
		program->obstacle = PROGRAM_UNKNOWN_FORMAT;
	}
	elf_unmap(&mapping);
	return result;
}

int program_judge(struct program *program, const char *name)
{
	int result;

	program->n_steps = 1;
	program->obstacle = PROGRAM_NO_OBSTACLE;
	result = program_resolve(name, program->steps[0]);
	while (result == 0) {
		char next[PATH_MAX] = "";
		int more = judge_step(program, program->steps[program->n_steps - 1], next);

		if (*next && program->n_steps == PROGRAM_MAX_STEPS)
			return -ELOOP;
		if (*next)
			strcpy(program->steps[program->n_steps++], next);
		if (more <= 0)
			return more;
	}
	return result;
}

bool program_fits_relay(enum program_obstacle obstacle)
{
	switch (obstacle) {
	case PROGRAM_STATIC:
	case PROGRAM_GO:
	case PROGRAM_MUSL:
	case PROGRAM_OTHER_LIBC:
		return true;
	case PROGRAM_NO_OBSTACLE:
	case PROGRAM_SETUID:
	case PROGRAM_CAPABILITIES:
	case PROGRAM_OTHER_ARCHITECTURE:
	case PROGRAM_UNKNOWN_FORMAT:
		return false;
	}
	return false;
}

const char *program_explain(enum program_obstacle obstacle)
{
	switch (obstacle) {
	case PROGRAM_NO_OBSTACLE:
		return "nothing stands in the way";
	case PROGRAM_STATIC:
		return "it is statically linked, so no library can be preloaded";
	case PROGRAM_GO:
		return "it is a Go program, which makes its system calls without libc";
	case PROGRAM_SETUID:
		return "it is setuid or setgid, so the loader ignores LD_PRELOAD";
	case PROGRAM_CAPABILITIES:
		return "it has file capabilities, so the loader ignores LD_PRELOAD";
	case PROGRAM_MUSL:
		return "it uses musl, and libholdline.so is made for glibc";
	case PROGRAM_OTHER_LIBC:
		return "it uses another dynamic loader than libholdline.so is made for";
	case PROGRAM_OTHER_ARCHITECTURE:
		return "it is built for another architecture or word size than libholdline.so";
	case PROGRAM_UNKNOWN_FORMAT:
		return "it is neither an ELF program nor a script";
	}
	return "it is unknown";
}
