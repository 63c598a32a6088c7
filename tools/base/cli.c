/* See cli.h. */
#include "tools/base/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"

/* Numbers of options in getopt_long(3), beyond those of letters. */
#define FIRST_NUMBER 256
#define HELP 'h'

/* The options as getopt_long(3) wants them; all zero at first. */
struct table {
	struct option names[CLI_MAX_OPTIONS + 2];
	char letters[2 * CLI_MAX_OPTIONS + 2];
};

static void make_table(struct table *table, const struct cli_option *options)
{
	struct option *name = table->names;
	char *letter = table->letters;

	*name++ = (struct option){"help", no_argument, NULL, HELP};
	*letter++ = HELP;
	for (int i = 0; i < CLI_MAX_OPTIONS && (options[i].name || options[i].letter); i++) {
		bool has_value = options[i].kind == CLI_TEXT;

		if (options[i].name)
			*name++ = (struct option){options[i].name, has_value ? required_argument : no_argument, NULL,
						  FIRST_NUMBER + i};
		if (!options[i].letter)
			continue;
		*letter++ = options[i].letter;
		if (has_value)
			*letter++ = ':';
	}
}

static const struct cli_option *find(const struct cli_option *options, int number)
{
	if (number >= FIRST_NUMBER)
		return &options[number - FIRST_NUMBER];
	while (options->letter != number)
		options++;
	return options;
}

bool cli_parse(const struct cli *cli, const struct cli_option *options, int argc, char **argv, int *status)
{
	struct table table = {0};
	int number;

	make_table(&table, options);
	while ((number = getopt_long(argc, argv, table.letters, table.names, NULL)) != -1) {
		const struct cli_option *option;

		if (number == HELP) {
			fputs(cli->help, stdout);
			*status = 0;
			return false;
		}
		if (number == '?') {
			*status = cli_print_usage(cli);
			return false;
		}
		option = find(options, number);
		if (option->kind == CLI_SWITCH)
			*(bool *)option->value = true;
		else
			*(const char **)option->value = optarg;
	}
	return true;
}

int cli_print_usage(const struct cli *cli)
{
	fputs(cli->help, stderr);
	return cli->usage_status;
}

int cli_complain(const char *command, const char *what, int error)
{
	fprintf(stderr, "holdline %s: %s: %s\n", command, what, strerror(error));
	return EXIT_CANNOT;
}
