/*
 * holdline complete: what can stand at the cursor, for the completion of shells (tools/packaging/completion). Its
 * arguments are the words behind `holdline` up to the cursor. It prints a candidate a line, with a tab and what it
 * means; or, alone, ":files", or ":command N": the words from the Nth on are a command line of their own.
 *
 * Commands come from their table, and the flags of `run` and `enable` from that of the options.
 */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "pool/config/config.h"
#include "tools/base/text.h"
#include "tools/commands.h"

enum operand {
	OPERAND_NONE,
	OPERAND_FILE,
	OPERAND_PROGRAM,      /* a command's name */
	OPERAND_COMMAND_LINE, /* the rest is a command line of its own */
	OPERAND_UNIT,
	OPERAND_ENABLED_UNIT,
};

/* The flags of each command's own; with `=` where a value follows. Tested against their help. */
static const struct grammar {
	const char *command, *flags;
	enum operand operand;
	bool has_options; /* of the option table */
} grammars[] = {
	{"run", "--quiet --report --report=", OPERAND_COMMAND_LINE, true},
	{"check", "", OPERAND_PROGRAM, false},
	{"metrics", "--textfile= --listen= --destinations=", OPERAND_NONE, false},
	{"report", "--html=", OPERAND_FILE, false},
	{"status", "--json", OPERAND_NONE, false},
	{"broker", "--exit-when-idle", OPERAND_FILE, false},
	{"doctor", "--json --window= --pid=", OPERAND_NONE, false},
	{"top", "--batch --order= --filter= --pid=", OPERAND_NONE, false},
	{"env", "--export --kubernetes --library=", OPERAND_NONE, true},
	{"enable", "--dry-run --force --root=", OPERAND_UNIT, true},
	{"disable", "--dry-run --root=", OPERAND_ENABLED_UNIT, false},
	{"enabled", "--root=", OPERAND_NONE, false},
	{"demo", "", OPERAND_NONE, false},
	{"bench", "--server= --requests= --json", OPERAND_NONE, false},
	{"version", "--verbose", OPERAND_NONE, false},
	{"bugreport", "--output=", OPERAND_PROGRAM, false},
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const struct grammar *find_grammar(const char *command)
{
	for (size_t i = 0; i < sizeof(grammars) / sizeof(grammars[0]); i++)
		if (strcmp(grammars[i].command, command) == 0)
			return &grammars[i];
	return NULL;
}

static void complete_command(const char *word)
{
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].summary && begins(commands[i].name, word))
			printf("%s\t%s\n", commands[i].name, commands[i].summary);
}

/* `--mode=ob`: the choices of the option. True if there are any. */
static bool complete_choice(const char *word)
{
	const char *equals = strchr(word, '=');

	for (size_t i = 0; i < config_n_options && equals; i++) {
		const struct config_option *option = &config_options[i];
		bool is_list = option->kind == CONFIG_KIND_CHOICE || option->kind == CONFIG_KIND_SWITCH;
		size_t length = (size_t)(equals - word - 2);

		if (!is_list || strlen(option->flag) != length || strncmp(option->flag, word + 2, length) != 0)
			continue;
		for (const char *choice = option->value_name; *choice; choice += *choice == '|') {
			int n = (int)strcspn(choice, "|");

			if (strncmp(choice, equals + 1, strlen(equals + 1)) == 0)
				printf("--%s=%.*s\n", option->flag, n, choice);
			choice += n;
		}
		return true;
	}
	return false;
}

static void complete_flag(const struct grammar *grammar, const char *word)
{
	for (const char *flag = grammar->flags; *flag; flag += strspn(flag, " ")) {
		int n = (int)strcspn(flag, " ");

		if (strncmp(flag, word, strlen(word)) == 0)
			printf("%.*s\n", n, flag);
		flag += n;
	}
	for (size_t i = 0; i < config_n_options && grammar->has_options; i++) {
		const struct config_option *option = &config_options[i];

		if (strncmp(option->flag, word + 2, strlen(word) < 2 ? 0 : strlen(word) - 2) == 0)
			printf("--%s=\t%s\n", option->flag, option->help);
	}
	if (begins("--help", word))
		puts("--help");
}

/* Names of units by their files; of those that are enabled, by the folders of their drop-ins. */
static void complete_unit(const char *word, bool is_enabled)
{
	static const char *const units[] = {"/etc/systemd/system/*.service", "/run/systemd/system/*.service",
					    "/usr/lib/systemd/system/*.service", "/lib/systemd/system/*.service"};
	glob_t found = {0};

	if (is_enabled)
		(void)!glob("/etc/systemd/system/*.service.d/*holdline.conf", 0, NULL, &found);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && !is_enabled; i++)
		(void)!glob(units[i], found.gl_pathc ? GLOB_APPEND : 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *name = found.gl_pathv[i];

		if (is_enabled)
			*strstr(name, ".d/") = '\0';
		name = strrchr(name, '/') + 1;
		if (begins(name, word))
			puts(name);
	}
	globfree(&found);
}

/* The first operand among the words, or `n`. The value of a flag stands in its word. */
static int find_operand(char **words, int n)
{
	for (int i = 1; i < n; i++) {
		if (strcmp(words[i], "--") == 0)
			return i + 1;
		if (words[i][0] != '-')
			return i;
	}
	return n;
}

static void complete_operand(const struct grammar *grammar, const char *word, int at, bool is_first)
{
	switch (grammar->operand) {
	case OPERAND_NONE:
		return;
	case OPERAND_FILE:
		puts(":files");
		return;
	case OPERAND_PROGRAM:
		if (is_first)
			printf(":command %d\n", at);
		return;
	case OPERAND_COMMAND_LINE:
		printf(":command %d\n", at);
		return;
	case OPERAND_UNIT:
	case OPERAND_ENABLED_UNIT:
		if (is_first)
			complete_unit(word, grammar->operand == OPERAND_ENABLED_UNIT);
		return;
	}
}

int command_complete(int argc, char **argv)
{
	static char empty[] = "";
	char **words = argv + 1, *word = argc > 1 ? argv[argc - 1] : empty;
	const struct grammar *grammar;
	int last = argc - 2, operand;

	if (last < 1) {
		complete_command(word);
		return 0;
	}
	grammar = find_grammar(words[0]);
	if (!grammar)
		return 0;
	operand = find_operand(words, last);
	/* Only `run` takes no flags behind its operand: they are the program's. */
	if (word[0] == '-' && (operand >= last || grammar->operand != OPERAND_COMMAND_LINE) &&
	    !(last > 1 && strcmp(words[last - 1], "--") == 0)) {
		if (strchr(word, '=') && !(grammar->has_options && complete_choice(word)))
			puts(":files");
		else if (!strchr(word, '='))
			complete_flag(grammar, word);
	} else {
		complete_operand(grammar, word, operand, operand >= last);
	}
	return 0;
}
