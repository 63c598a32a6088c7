/*
 * holdline bugreport: what we would ask of who reports a fault, in one text. Each part runs in a process of its own,
 * whose output goes through redact_line(): no part can let a secret through, or take the others with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/base/path_trust.h"
#include "tools/about/redact.h"
#include "tools/about/version.h"
#include "tools/base/cli.h"
#include "tools/base/text.h"
#include "tools/commands.h"

#define LINE_MAX_SIZE 4096
#define LOG_TAIL_SIZE 16384
#define PATIENCE_S 10 /* of a part, until it is given up */

static const struct cli cli = {
	"bugreport",
	"usage: holdline bugreport [--output=FILE] [PROGRAM]\n\n"
	"Prints what helps to find a fault: versions, kernel settings of ports, limits, settings and files of\n"
	"Holdline, what `check` says of PROGRAM, what is kept, the end of the log. What looks like a password, a\n"
	"token, a cookie or the user of a URL is left out. Read it before you send it.\n\n"
	"  --output=FILE   write a new file\n",
	EXIT_USAGE};

static char *subject; /* PROGRAM, or NULL */

/* A line without its end; false: there is none. What does not fit is dropped: a secret might begin in one piece and
 * go on in the next. */
static bool take_line(FILE *file, char line[LINE_MAX_SIZE])
{
	int c;

	if (!fgets(line, LINE_MAX_SIZE, file))
		return false;
	if (strlen(line) == LINE_MAX_SIZE - 1 && line[LINE_MAX_SIZE - 2] != '\n')
		while ((c = getc(file)) != EOF && c != '\n')
			;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* `ExecStart=PROGRAM ...`: its arguments are the user's. A drop-in of ours may have `holdline run` before it. */
static void cut_arguments(char *line)
{
	static const char relay[] = " run --quiet -- ";
	char *value = line + strspn(line, " \t"), *program;

	if (strncmp(value, "Exec", strlen("Exec")) != 0 || !(value = strchr(value, '=')))
		return;
	program = strstr(value, relay);
	program = program ? program + strlen(relay) : value + 1;
	program += strspn(program, " \t@-:+!|");
	if (*program == '"' || *program == '\'')
		program += 1 + strcspn(program + 1, (const char[]){*program, '\0'});
	program[strcspn(program, " \t")] = '\0';
}

static void print_file(const char *path, const char *prefix)
{
	char line[LINE_MAX_SIZE];
	FILE *file = fopen(path, "re");

	if (!file) {
		printf("%s%s\n", prefix, errno == ENOENT ? "none" : strerror(errno));
		return;
	}
	while (take_line(file, line)) {
		cut_arguments(line);
		printf("%s%s\n", prefix, line);
	}
	fclose(file);
}

static void print_system(void)
{
	print_file("/etc/os-release", "");
}

static void print_kernel_settings(void)
{
	static const char *const names[] = {"net/ipv4/ip_local_port_range",
					    "net/ipv4/ip_local_reserved_ports",
					    "net/ipv4/tcp_tw_reuse",
					    "net/ipv4/tcp_max_tw_buckets",
					    "net/ipv4/tcp_fin_timeout",
					    "net/ipv4/tcp_timestamps",
					    "net/core/somaxconn",
					    "net/netfilter/nf_conntrack_max",
					    "net/netfilter/nf_conntrack_count",
					    "kernel/yama/ptrace_scope",
					    "fs/nr_open"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[PATH_MAX], prefix[PATH_MAX];

		snprintf(path, sizeof(path), "/proc/sys/%s", names[i]);
		snprintf(prefix, sizeof(prefix), "%s = ", names[i]);
		print_file(path, prefix);
	}
}

static void print_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		printf("descriptors: soft %llu, hard %llu\n", (unsigned long long)files.rlim_cur,
		       (unsigned long long)files.rlim_max);
	print_file("/proc/sys/fs/file-nr", "open files of the machine: ");
}

static void print_settings(void)
{
	static const char *const others[] = {"LD_PRELOAD=", "LD_LIBRARY_PATH=", "XDG_RUNTIME_DIR="};

	for (char **variable = environ; *variable; variable++) {
		bool is_ours = strncmp(*variable, "HOLDLINE_", strlen("HOLDLINE_")) == 0;

		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			is_ours |= strncmp(*variable, others[i], strlen(others[i])) == 0;
		if (is_ours)
			puts(*variable);
	}
}

static void print_configuration(void)
{
	static const char *const patterns[] = {"/etc/ld.so.preload", "/etc/holdline/*",
					       "/etc/systemd/system/*.d/*holdline.conf"};
	glob_t found = {0};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &found) != 0 && i == 0)
			found.gl_pathc = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		bool is_named_only = strncmp(found.gl_pathv[i], "/etc/holdline/", strlen("/etc/holdline/")) == 0;

		printf("%s%s\n", found.gl_pathv[i], is_named_only ? "" : ":");
		if (!is_named_only)
			print_file(found.gl_pathv[i], "    ");
	}
	if (found.gl_pathc == 0)
		puts("no file");
	globfree(&found);
}

static void print_check(void)
{
	char *arguments[] = {"check", "--", subject, NULL};

	if (!subject) {
		puts("no program was named: holdline bugreport PROGRAM");
		return;
	}
	optind = 0;
	printf("status: %d\n", command_check(3, arguments));
}

static void print_status(void)
{
	char *arguments[] = {"status", NULL};

	optind = 0;
	command_status(1, arguments);
}

/* Others may have put something else at the log's path. */
static void print_log(void)
{
	const char *path = getenv("HOLDLINE_LOG");
	static char text[LOG_TAIL_SIZE + 1];
	struct stat status;
	ssize_t length;
	int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY) : -1;

	if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || !path_trust_is_log(&status)) {
		puts(path && *path ? "HOLDLINE_LOG can't be read" : "HOLDLINE_LOG is not set");
	} else {
		off_t begin = status.st_size > LOG_TAIL_SIZE ? status.st_size - LOG_TAIL_SIZE : 0;

		length = pread(fd, text, LOG_TAIL_SIZE, begin);
		text[length > 0 ? length : 0] = '\0';
		puts(begin && strchr(text, '\n') ? strchr(text, '\n') + 1 : text);
	}
	if (fd >= 0)
		close(fd);
}

static const struct part {
	const char *title;
	void (*print)(void);
} parts[] = {
	{"Versions", version_print_verbose},
	{"System", print_system},
	{"Kernel settings", print_kernel_settings},
	{"Limits", print_limits},
	{"Settings of this environment", print_settings},
	{"Files", print_configuration},
	{"holdline check", print_check},
	{"holdline status", print_status},
	{"The log's last lines", print_log},
};

static void run_part(const struct part *part, int output)
{
	alarm(PATIENCE_S);
	if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(1);
	close(output);
	part->print();
	fflush(stdout);
	_exit(0);
}

static void copy_redacted(FILE *from, FILE *to)
{
	char line[LINE_MAX_SIZE], clean[2 * LINE_MAX_SIZE];

	while (take_line(from, line)) {
		for (char *tab = line; (tab = strchr(tab, '\t')); tab++)
			*tab = ' ';
		redact_line(line, clean, sizeof(clean));
		text_print_safe(to, clean);
		putc('\n', to);
	}
}

static int report_part(const struct part *part, FILE *to)
{
	int pair[2], status = 0;
	FILE *from;
	pid_t pid;

	fprintf(to, "== %s\n", part->title);
	fflush(to);
	if (pipe2(pair, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_part(part, pair[1]);
	close(pair[1]);
	from = pid > 0 ? fdopen(pair[0], "re") : NULL;
	if (!from) {
		close(pair[0]);
		return -ENOMEM;
	}
	copy_redacted(from, to);
	fclose(from);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		fprintf(to, "(ended by signal %d)\n", WTERMSIG(status));
	putc('\n', to);
	return 0;
}

/* For its user alone: no redaction knows everything. */
static FILE *open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd >= 0 ? fdopen(fd, "w") : NULL;
}

int command_bugreport(int argc, char **argv)
{
	const char *path = NULL;
	const struct cli_option options[] = {{"output", 'o', CLI_TEXT, &path}, {0}};
	FILE *to = stdout;
	int status;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (argc - optind > 1)
		return cli_print_usage(&cli);
	subject = optind < argc ? argv[optind] : NULL;
	if (path)
		to = open_output(path);
	if (!to)
		return cli_complain(cli.command, path, errno);
	status = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == 0; i++)
		status = report_part(&parts[i], to);
	if (fflush(to) != 0 || ferror(to))
		status = -errno;
	if (path && fclose(to) != 0)
		status = -errno;
	return status ? cli_complain(cli.command, path ? path : "stdout", -status) : 0;
}
