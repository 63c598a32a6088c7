/* See symbolize.h. Without libdw all addresses are unknown. */
#include "tools/stats/symbolize.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/base/library.h"

/* More modules than this are made up. */
#define MAX_MODULES 256

struct module {
	char *path;
	Dwfl *dwfl; /* NULL: nothing is known of the file */
};

struct symbolizer {
	bool trusts_all;
	size_t n_modules;
	struct module modules[MAX_MODULES];
};

/* libdw, once it is loaded. */
static struct {
	__typeof__(dwfl_begin) *begin;
	__typeof__(dwfl_end) *end;
	__typeof__(dwfl_report_begin) *report_begin;
	__typeof__(dwfl_report_elf) *report_elf;
	__typeof__(dwfl_report_end) *report_end;
	__typeof__(dwfl_addrmodule) *addrmodule;
	__typeof__(dwfl_module_addrinfo) *module_addrinfo;
	__typeof__(dwfl_module_getsrc) *module_getsrc;
	__typeof__(dwfl_lineinfo) *lineinfo;
	__typeof__(dwfl_build_id_find_elf) *build_id_find_elf;
	__typeof__(dwfl_standard_find_debuginfo) *standard_find_debuginfo;
	__typeof__(dwfl_offline_section_address) *offline_section_address;
} dw;

static const struct library_symbol symbols[] = {
	{"dwfl_begin", &dw.begin},
	{"dwfl_end", &dw.end},
	{"dwfl_report_begin", &dw.report_begin},
	{"dwfl_report_elf", &dw.report_elf},
	{"dwfl_report_end", &dw.report_end},
	{"dwfl_addrmodule", &dw.addrmodule},
	{"dwfl_module_addrinfo", &dw.module_addrinfo},
	{"dwfl_module_getsrc", &dw.module_getsrc},
	{"dwfl_lineinfo", &dw.lineinfo},
	{"dwfl_build_id_find_elf", &dw.build_id_find_elf},
	{"dwfl_standard_find_debuginfo", &dw.standard_find_debuginfo},
	{"dwfl_offline_section_address", &dw.offline_section_address},
};

static Dwfl_Callbacks callbacks; /* likewise */

static bool load(void)
{
	static bool is_loaded;

	if (is_loaded)
		return true;
	if (library_load("libdw.so.1", symbols, sizeof(symbols) / sizeof(symbols[0])) < 0)
		return false;
	callbacks = (Dwfl_Callbacks){
		.find_elf = dw.build_id_find_elf,
		.find_debuginfo = dw.standard_find_debuginfo,
		.section_address = dw.offline_section_address,
	};
	is_loaded = true;
	return true;
}

struct symbolizer *symbolizer_new(bool trusts_all)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (!symbolizer)
		return NULL;
	symbolizer->trusts_all = trusts_all;
	/* By default libdwfl would ask the network. */
	unsetenv("DEBUGINFOD_URLS");
	return symbolizer;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	for (size_t i = 0; i < symbolizer->n_modules; i++) {
		if (symbolizer->modules[i].dwfl)
			dw.end(symbolizer->modules[i].dwfl);
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
	int fd = load() ? open_module(symbolizer, path) : -1;
	Dwfl *dwfl = fd < 0 ? NULL : dw.begin(&callbacks);

	if (!dwfl) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	dw.report_begin(dwfl);
	/* At the addresses in the file. On success libdwfl owns the descriptor. */
	if (!dw.report_elf(dwfl, path, path, fd, 0, true)) {
		close(fd);
		dw.end(dwfl);
		return NULL;
	}
	dw.report_end(dwfl, NULL, NULL);
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
	const char *name = dw.module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);

	/* In a file with only exported symbols, the nearest one may be far away. */
	if (name && offset < symbol.st_size)
		place->function = name;
}

static void find_line(Dwfl_Module *module, GElf_Addr address, struct symbolize_place *place)
{
	Dwfl_Line *line = dw.module_getsrc(module, address);
	const char *file = line ? dw.lineinfo(line, NULL, &place->line, NULL, NULL, NULL) : NULL;

	if (file && place->line > 0)
		place->file = file;
	else
		place->line = 0;
}

bool symbolize(struct symbolizer *symbolizer, const char *module, uint64_t address, struct symbolize_place *place)
{
	Dwfl *dwfl = find_module(symbolizer, module);
	Dwfl_Module *found = dwfl && address ? dw.addrmodule(dwfl, address - 1) : NULL;

	memset(place, 0, sizeof(*place));
	if (!found)
		return false;
	find_function(found, address - 1, place);
	find_line(found, address - 1, place);
	return place->function || place->file;
}
