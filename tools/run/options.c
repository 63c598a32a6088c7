/*
 * holdline options: the option table in words, as the list for holdline(5) (make lint compares the two) and as a
 * Markdown table.
 */
#include "tools/run/options.h"

#include "pool/config/config.h"
#include "tools/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void options_print_help(FILE *stream)
{
	for (size_t i = 0; i < config_n_options; i++) {
		const struct config_option *option = &config_options[i];

		fprintf(stream, "  --%s=%s\n      %s\n      %s, default: %s\n", option->flag, option->value_name,
			option->help, option->variable, *option->default_value ? option->default_value : "none");
	}
}

const char *options_describe_value(const struct config_option *option)
{
	switch (option->kind) {
	case CONFIG_KIND_CHOICE:
	case CONFIG_KIND_SWITCH:
		return option->value_name;
	case CONFIG_KIND_DURATION:
		return "a duration such as 60s, 1m30s or 500ms";
	case CONFIG_KIND_COUNT:
		return "a number from 0 to 4294967295";
	case CONFIG_KIND_PATH:
		return "a path";
	case CONFIG_KIND_RULES:
		return "rules such as '10.0.0.0/8:8080 max-conn-age=10s; *:9200 off'";
	}
	return "another value";
}

/* A `|` would end the cell of a Markdown table. */
static void print_cell(const char *text)
{
	for (; *text; text++)
		printf(*text == '|' ? "\\|" : "%c", *text);
}

static void print_markdown(void)
{
	puts("| Variable | Flag of `holdline run` | Default | Meaning |\n|---|---|---|---|");
	for (size_t i = 0; i < config_n_options; i++) {
		const struct config_option *option = &config_options[i];

		printf("| `%s` | `--%s=", option->variable, option->flag);
		print_cell(option->value_name);
		printf("` | %s%s%s | ", *option->default_value ? "`" : "",
		       *option->default_value ? option->default_value : "none", *option->default_value ? "`" : "");
		print_cell(option->help);
		puts(" |");
	}
}

/* mdoc(7) text: no word may read as a request or an escape. Words in backquotes are quoted. */
static void print_man_text(const char *text)
{
	bool is_quoted = false;

	if (*text == '.')
		fputs("\\&", stdout);
	for (; *text; text++) {
		switch (*text) {
		case '\\':
			fputs("\\e", stdout);
			break;
		case '\'':
			fputs("\\(aq", stdout);
			break;
		case '`':
			is_quoted = !is_quoted;
			fputs(is_quoted ? "\\(lq" : "\\(rq", stdout);
			break;
		default:
			putchar(*text);
		}
	}
	putchar('\n');
}

static void print_man(void)
{
	for (size_t i = 0; i < config_n_options; i++) {
		const struct config_option *option = &config_options[i];
		bool is_word = option->kind == CONFIG_KIND_CHOICE || option->kind == CONFIG_KIND_SWITCH;

		printf(".It Ev %s Pq Fl -%s Ns = Ns %s %s\n", option->variable, option->flag, is_word ? "Cm" : "Ar",
		       option->value_name);
		print_man_text(option->help);
		if (*option->default_value)
			printf("Default:\n.Cm %s .\n", option->default_value);
		else
			puts("Default: none.");
		if (config_is_policy(option))
			puts("A rule may set it.");
	}
}

int command_options(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
		print_markdown();
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--man") == 0) {
		print_man();
		return 0;
	}
	if (argc != 1) {
		fputs("usage: holdline options [--man | --markdown]\n", stderr);
		return EXIT_USAGE;
	}
	options_print_help(stdout);
	return 0;
}
