/*
 * Which socket calls a program imports. Libraries are searched for as ld.so(8) does, but without its cache: the folders
 * that distributions list there are written down here instead.
 */
#include "tools/program/imports.h"

#include "tools/program/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL(name)                \
	{                         \
		name, false, 0, 0 \
	}

static struct imports_call calls[] = {
	CALL("__dprintf_chk"),
	CALL("__poll_chk"),
	CALL("__ppoll_chk"),
	CALL("__read_chk"),
	CALL("__recv_chk"),
	CALL("__recvfrom_chk"),
	CALL("aio_read"),
	CALL("aio_read64"),
	CALL("aio_write"),
	CALL("aio_write64"),
	CALL("bind"),
	CALL("close"),
	CALL("close_range"),
	CALL("closefrom"),
	CALL("connect"),
	CALL("dlmopen"),
	CALL("dlopen"),
	CALL("dprintf"),
	CALL("dup"),
	CALL("dup2"),
	CALL("dup3"),
	CALL("epoll_ctl"),
	CALL("epoll_pwait"),
	CALL("epoll_pwait2"),
	CALL("epoll_wait"),
	CALL("fclose"),
	CALL("fcntl"),
	CALL("fcntl64"),
	CALL("fdopen"),
	CALL("getpeername"),
	CALL("getsockname"),
	CALL("getsockopt"),
	CALL("io_uring_queue_init"),
	CALL("io_uring_queue_init_params"),
	CALL("ioctl"),
	CALL("lio_listio"),
	CALL("lio_listio64"),
	CALL("poll"),
	CALL("ppoll"),
	CALL("pselect"),
	CALL("read"),
	CALL("readv"),
	CALL("recv"),
	CALL("recvfrom"),
	CALL("recvmmsg"),
	CALL("recvmsg"),
	CALL("select"),
	CALL("send"),
	CALL("sendfile"),
	CALL("sendfile64"),
	CALL("sendmmsg"),
	CALL("sendmsg"),
	CALL("sendto"),
	CALL("setsockopt"),
	CALL("shutdown"),
	CALL("sockatmark"),
	CALL("socket"),
	CALL("splice"),
	CALL("syscall"),
	CALL("tee"),
	CALL("vmsplice"),
	CALL("write"),
	CALL("writev"),
};

#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

static const char *const default_folders =
	"/lib/" HOLDLINE_MULTIARCH ":/usr/lib/" HOLDLINE_MULTIARCH ":/usr/local/lib/" HOLDLINE_MULTIARCH
	":/lib64:/usr/lib64:/usr/local/lib:/lib:/usr/lib";

static int compare_calls(const void *left, const void *right)
{
	return strcmp(((const struct imports_call *)left)->name, ((const struct imports_call *)right)->name);
}

static struct imports_call *find_call(const char *name)
{
	struct imports_call key = CALL(name);

	return bsearch(&key, calls, N_CALLS, sizeof(calls[0]), compare_calls);
}

int imports_init(struct imports *imports, const char *shim_path)
{
	struct elf_mapping mapping;
	struct elf_symbol symbol;
	size_t position = 0;
	struct elf elf;
	int result;

	memset(imports, 0, sizeof(*imports));
	qsort(calls, N_CALLS, sizeof(calls[0]), compare_calls);
	imports->calls = calls;
	imports->n_calls = N_CALLS;
	result = elf_map(&mapping, shim_path);
	if (result < 0)
		return result;
	result = elf_parse(&elf, mapping.bytes, mapping.size);
	while (result == 0 && elf_next_symbol(&elf, &position, &symbol)) {
		struct imports_call *call = symbol.is_exported ? find_call(symbol.name) : NULL;

		if (call)
			call->is_interposed = true;
	}
	elf_unmap(&mapping);
	return result;
}

void imports_fini(struct imports *imports)
{
	for (size_t i = 0; i < imports->n_objects; i++)
		free(imports->objects[i]);
	for (size_t i = 0; i < imports->n_missing; i++)
		free(imports->missing[i]);
	imports->n_objects = imports->n_missing = 0;
}

/* Writes FOLDER/NAME; $ORIGIN at the folder's beginning becomes the folder of `origin`. False if too long. */
static bool join_path(char path[PATH_MAX], const char *folder, size_t length, const char *name, const char *origin)
{
	static const char *const tokens[] = {"$ORIGIN", "${ORIGIN}"};
	int origin_length = 0;

	for (size_t i = 0; i < 2; i++) {
		size_t token_length = strlen(tokens[i]);

		if (length < token_length || strncmp(folder, tokens[i], token_length) != 0)
			continue;
		origin_length = (int)(strrchr(origin, '/') ? strrchr(origin, '/') - origin : 0);
		folder += token_length;
		length -= token_length;
	}
	return length < PATH_MAX &&
	       snprintf(path, PATH_MAX, "%.*s%.*s/%s", origin_length, origin, (int)length, folder, name) < PATH_MAX;
}

/* Looks for a library in a colon-separated list of folders (NULL: none). */
static bool find_in_folders(char path[PATH_MAX], const char *folders, const char *name, const char *origin)
{
	while (folders && *folders) {
		size_t length = strcspn(folders, ":");

		if (length > 0 && join_path(path, folders, length, name, origin) && access(path, R_OK) == 0)
			return true;
		folders += length + (folders[length] == ':');
	}
	return false;
}

static bool find_library(char path[PATH_MAX], const struct elf *elf, const char *name, const char *origin)
{
	const char *runpath = elf_dynamic_string(elf, DT_RUNPATH, 0);

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && access(path, R_OK) == 0;
	return (!runpath && find_in_folders(path, elf_dynamic_string(elf, DT_RPATH, 0), name, origin)) ||
	       find_in_folders(path, getenv("LD_LIBRARY_PATH"), name, origin) ||
	       find_in_folders(path, runpath, name, origin) || find_in_folders(path, default_folders, name, origin);
}

bool imports_find(char path[PATH_MAX], const char *name)
{
	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && access(path, R_OK) == 0;
	return find_in_folders(path, getenv("LD_LIBRARY_PATH"), name, "") ||
	       find_in_folders(path, default_folders, name, "");
}

/* libc and the loader call the kernel, not exported functions: the shim can't interpose those calls. */
static bool belongs_to_libc(const char *name)
{
	return strncmp(name, "libc.so.", 8) == 0 || strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld64", 4) == 0;
}

static int add_name(char **list, size_t *n, size_t limit, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(list[i], name) == 0)
			return 0;
	if (*n == limit)
		return -E2BIG;
	list[*n] = strdup(name);
	return list[*n] ? ((*n)++, 0) : -ENOMEM;
}

static int add_libraries(struct imports *imports, const struct elf *elf, const char *origin)
{
	const char *name;
	int result = 0;

	for (size_t i = 0; result == 0 && (name = elf_dynamic_string(elf, DT_NEEDED, i)); i++) {
		char path[PATH_MAX];

		if (belongs_to_libc(name))
			continue;
		if (find_library(path, elf, name, origin))
			result = add_name(imports->objects, &imports->n_objects, IMPORTS_MAX_OBJECTS, path);
		else if (add_name(imports->missing, &imports->n_missing, IMPORTS_MAX_MISSING, name) == -ENOMEM)
			result = -ENOMEM;
	}
	return result;
}

static int collect_object(struct imports *imports, unsigned index)
{
	struct elf_mapping mapping;
	struct elf_symbol symbol;
	size_t position = 0;
	struct elf elf;
	int result;

	if (elf_map(&mapping, imports->objects[index]) < 0)
		return 0;
	result = elf_parse(&elf, mapping.bytes, mapping.size) < 0
			 ? 0
			 : add_libraries(imports, &elf, imports->objects[index]);
	while (result == 0 && elf_next_symbol(&elf, &position, &symbol)) {
		struct imports_call *call = symbol.is_undefined ? find_call(symbol.name) : NULL;

		if (call && call->n_users++ == 0)
			call->first_user = index;
	}
	elf_unmap(&mapping);
	return result;
}

int imports_collect(struct imports *imports, const char *path)
{
	int result = add_name(imports->objects, &imports->n_objects, IMPORTS_MAX_OBJECTS, path);

	for (size_t i = 0; result == 0 && i < imports->n_objects; i++)
		result = collect_object(imports, (unsigned)i);
	return result;
}
