/* holdline report: shows a file of `holdline run --report=FILE.json`, as tables or as a page of HTML. */
#include "tools/commands.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/base/cli.h"
#include "tools/report/html.h"
#include "tools/report/read.h"
#include "tools/report/text.h"

static const struct cli cli = {
	"report",
	"usage: holdline report [--html FILE] RUN.json\n\n"
	"Shows what 'holdline run --report=RUN.json' has written ('-': standard input): as tables, or as a page in\n"
	"FILE ('-': standard output) that needs no other file and no network.\n\n"
	"Exit status: 0; 1: a file can't be read or written; 2: bad arguments.\n",
	EXIT_USAGE};

/* A reader of the page sees the old one or the new one, never half of it. */
static int write_page(const char *path, const struct cJSON *root)
{
	char temporary[PATH_MAX];
	mode_t mask = umask(0);
	FILE *stream;
	int fd;

	umask(mask);
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return cli_complain(cli.command, path, ENAMETOOLONG);
	fd = mkstemp(temporary);
	stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!stream)
		return cli_complain(cli.command, path, errno);
	fchmod(fd, 0666 & ~mask);
	report_write_html(stream, root);
	if (fclose(stream) == 0 && rename(temporary, path) == 0)
		return 0;
	fd = errno;
	unlink(temporary);
	return cli_complain(cli.command, path, fd);
}

int command_report(int argc, char **argv)
{
	const char *page = NULL;
	const struct cli_option options[] = {{"html", 0, CLI_TEXT, &page}, {0}};
	struct cJSON *root;
	int status = 0;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (optind != argc - 1)
		return cli_print_usage(&cli);
	root = report_load(argv[optind], "holdline report");
	if (!root)
		return EXIT_CANNOT;
	if (!page)
		report_print(stdout, root);
	else if (strcmp(page, "-") == 0)
		report_write_html(stdout, root);
	else
		status = write_page(page, root);
	cJSON_Delete(root);
	if (fflush(stdout) != 0)
		status = cli_complain(cli.command, "standard output", errno);
	return status;
}
