/* See symbolize.h. */
#include "tools/symbolize.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More would only be made up by somebody. */
#define MAX_MODULES 256

struct module {
	char *path;
	Dwfl *dwfl; /* NULL: nothing can be known of it */
};

struct symbolizer {
	bool trusts_all;
	size_t n_modules;
	struct module modules[MAX_MODULES];
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

struct symbolizer *symbolizer_new(bool trusts_all)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (!symbolizer)
		return NULL;
	symbolizer->trusts_all = trusts_all;
	/* libdwfl would ask there for what is not on this machine. */
	unsetenv("DEBUGINFOD_URLS");
	return symbolizer;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	for (size_t i = 0; i < symbolizer->n_modules; i++) {
		if (symbolizer->modules[i].dwfl)
			dwfl_end(symbolizer->modules[i].dwfl);
		free(symbolizer->modules[i].path);
	}
	free(symbolizer);
}

static int open_module(const struct symbolizer *symbolizer, const char *path)
{
	int fd = path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	struct stat status;

	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (symbolizer->trusts_all || status.st_uid == 0))
		return fd;
	close(fd);
	return -1;
}

static Dwfl *begin_module(const struct symbolizer *symbolizer, const char *path)
{
	int fd = open_module(symbolizer, path);
	Dwfl *dwfl = fd < 0 ? NULL : dwfl_begin(&callbacks);

	if (!dwfl) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	dwfl_report_begin(dwfl);
	/* At the addresses that are in the file. It takes the descriptor, if it takes the file. */
	if (!dwfl_report_elf(dwfl, path, path, fd, 0, true)) {
		close(fd);
		dwfl_end(dwfl);
		return NULL;
	}
	dwfl_report_end(dwfl, NULL, NULL);
	return dwfl;
}

static Dwfl *find_module(struct symbolizer *symbolizer, const char *path)
{
	struct module *module = symbolizer->modules;

	for (size_t i = 0; i < symbolizer->n_modules; i++, module++)
		if (strcmp(module->path, path) == 0)
			return module->dwfl;
	if (symbolizer->n_modules == MAX_MODULES || !(module->path = strdup(path)))
		return NULL;
	symbolizer->n_modules++;
	module->dwfl = begin_module(symbolizer, path);
	return module->dwfl;
}

static void find_function(Dwfl_Module *module, GElf_Addr address, struct symbolize_place *place)
{
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);

	/* Of a file without the table of all symbols, the next exported one may be far away. */
	if (name && offset < symbol.st_size)
		place->function = name;
}

static void find_line(Dwfl_Module *module, GElf_Addr address, struct symbolize_place *place)
{
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	const char *file = line ? dwfl_lineinfo(line, NULL, &place->line, NULL, NULL, NULL) : NULL;

	if (file && place->line > 0)
		place->file = file;
	else
		place->line = 0;
}

bool symbolize(struct symbolizer *symbolizer, const char *module, uint64_t address, struct symbolize_place *place)
{
	Dwfl *dwfl = find_module(symbolizer, module);
	Dwfl_Module *found = dwfl && address ? dwfl_addrmodule(dwfl, address - 1) : NULL;

	memset(place, 0, sizeof(*place));
	if (!found)
		return false;
	find_function(found, address - 1, place);
	find_line(found, address - 1, place);
	return place->function || place->file;
}
