/* exec and posix_spawn: of programs that load the library, of a static one that can't (executed/witness.c), of what
 * can't be executed. The program sees the same, and the caller gets the same errors. */
#include "tests/lib/probe.h"

#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>

extern char **environ;

static char folder[] = "/tmp/holdline-execs-XXXXXX";
static char witness[PATH_MAX]; /* the file; in the folder it has a link */

static void reap(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		say("waitpid failed: %s", error_name(errno));
	say("ended with %x", (unsigned)status);
}

static void write_file(const char *name, const char *text, size_t length, int mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || fchmod(fd, (mode_t)mode) < 0)
		say("can't write %s", name);
	close(fd);
}

/* The working directory becomes an empty folder of our own, with the static program in it. */
static void begin(void)
{
	ssize_t length = readlink("/proc/self/exe", witness, sizeof witness - 16);

	witness[length > 0 ? length : 0] = 0;
	strcpy(strrchr(witness, '/'), "/witness");
	if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("here", 0700) < 0 || chdir("here") < 0 ||
	    link(witness, "witness") < 0)
		say("no folder: %s", error_name(errno));
}

static void end(void)
{
	char command[64];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	if (chdir("/") < 0 || system(command) != 0)
		say("can't remove the folder");
	strcpy(folder + sizeof folder - 7, "XXXXXX");
}

/* The child of a fork, in the working directory of begin(). */
static void in_child(void (*run)(void))
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		char text[16];

		snprintf(text, sizeof text, "%d", (int)getpid());
		setenv("X_PID", text, 1);
		snprintf(text, sizeof text, "%d", (int)parent);
		setenv("X_PID_OF_PARENT", text, 1);
		run();
		_exit(77);
	}
	reap(pid);
}

static void in_folder(void (*run)(void))
{
	begin();
	in_child(run);
	end();
}

static void set_path(void)
{
	char path[sizeof folder + 8];

	snprintf(path, sizeof path, "%s/here", folder);
	setenv("PATH", path, 1);
}

static char *const some_arguments[] = {"another name", "a b", "", "--", "--env", "-q", NULL};

/* ---- The static program ---- */

static void execute_by_path(void)
{
	execve("./witness", some_arguments, environ);
}
static void run_static(void)
{
	in_folder(execute_by_path);
}

static void execute_without_slash(void)
{
	execv("witness", some_arguments);
}
static void run_static_without_slash(void)
{
	in_folder(execute_without_slash);
}

static void execute_found(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "/nonexistent:/dev/null:%s/here:/usr/bin", folder);
	setenv("PATH", path, 1);
	execlp("witness", "witness", "x", NULL);
}
static void run_static_found(void)
{
	in_folder(execute_found);
}

static void execute_found_here(void)
{
	setenv("PATH", ":/usr/bin", 1);
	execvp("witness", some_arguments);
}
static void run_static_found_here(void)
{
	in_folder(execute_found_here);
}

static void execute_by_fd(void)
{
	fexecve(open("witness", O_RDONLY), some_arguments, environ);
}
static void run_static_by_fd(void)
{
	in_folder(execute_by_fd);
}

static void execute_with_environment(void)
{
	char *environment[] = {"X_VALUE=1", "X_VALUE=twice", "odd", "=", "LD_BIND_NOW=", "X_VALUE_LAST= ", NULL};

	execle("./witness", "w", NULL, environment);
}
static void run_static_environment(void)
{
	in_folder(execute_with_environment);
}

static void execute_with_more(void)
{
	setenv("LD_BIND_NOW", "1", 1);
	setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
	setenv("GLIBC_TUNABLES", "glibc.malloc.check=0", 1);
	setenv("X_VALUE", "a b\n=c", 1);
	execv("./witness", some_arguments);
}
static void run_static_loader_variables(void)
{
	in_folder(execute_with_more);
}

static void execute_with_signals(void)
{
	sigset_t some;

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGCHLD);
	sigprocmask(SIG_BLOCK, &some, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	raise(SIGUSR1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	umask(027);
	setsid();
	alarm(100);
	execv("./witness", some_arguments);
}
static void run_static_signals(void)
{
	in_folder(execute_with_signals);
}

static void execute_with_descriptors(void)
{
	close(0);
	fcntl(2, F_DUPFD, 20);
	fcntl(2, F_DUPFD_CLOEXEC, 30);
	execv("./witness", some_arguments);
}
static void run_static_descriptors(void)
{
	in_folder(execute_with_descriptors);
}

static void execute_exchange(void)
{
	char port[16];

	snprintf(port, sizeof port, "%d", probe_port);
	execl("./witness", "witness", "ask", port, NULL);
}
static void run_static_exchange(void)
{
	in_folder(execute_exchange);
}

static void run_static_twice(void)
{
	probe_exchange("/bytes/10");
	begin();
	in_child(execute_exchange);
	in_child(execute_exchange);
	end();
	probe_exchange("/bytes/10");
}

static void execute_script(void)
{
	char line[PATH_MAX + 32];
	int length = snprintf(line, sizeof line, "#! %s -k  l\nnothing\n", witness);

	write_file("script", line, (size_t)length, 0700);
	execl("./script", "no name", "x y", NULL);
}
static void run_static_script(void)
{
	in_folder(execute_script);
}

static void run_static_vfork(void)
{
	pid_t pid;

	begin();
	pid = vfork();
	if (pid == 0) {
		execv("./witness", some_arguments);
		_exit(77);
	}
	reap(pid);
	end();
}

static void spawn(const char *path, bool is_searched, const posix_spawn_file_actions_t *actions)
{
	posix_spawnattr_t attributes;
	sigset_t blocked;
	pid_t pid = -1;
	int error;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &blocked);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	error = (is_searched ? posix_spawnp : posix_spawn)(&pid, path, actions, &attributes, some_arguments, environ);
	/* The program prints, too. */
	if (error)
		say("spawn: %s", error_name(error));
	else
		reap(pid);
	posix_spawnattr_destroy(&attributes);
}

static void run_static_spawn(void)
{
	begin();
	spawn("./witness", false, NULL);
	spawn("witness", false, NULL);
	spawn("nothing", true, NULL);
	end();
}

static void run_static_spawn_actions(void)
{
	posix_spawn_file_actions_t actions;
	char *before = strdup(getenv("PATH"));

	begin();
	set_path();
	mkdir("below", 0700);
	link("witness", "below/other");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, 1, 40);
	posix_spawn_file_actions_addclose(&actions, 0);
	posix_spawn_file_actions_addchdir_np(&actions, "below");
	spawn("./other", false, &actions);
	spawn("./witness", false, &actions);
	spawn("witness", true, &actions);
	posix_spawn_file_actions_addopen(&actions, 41, "/nonexistent", O_RDONLY, 0);
	spawn("witness", true, &actions);
	posix_spawn_file_actions_destroy(&actions);
	setenv("PATH", before, 1);
	free(before);
	end();
}

static void run_static_by_shell(void)
{
	begin();
	CALL(system("./witness 'a b' && true; echo $?; (exec ./witness x) | head -n 3"));
	end();
}

/* ---- What can't be executed ---- */

static char *const plain_arguments[] = {"x", NULL};

static void run_missing(void)
{
	begin();
	CALL(execv("./missing", plain_arguments));
	CALL(execvp("missing-program", plain_arguments));
	CALL(execv("./witness/below", plain_arguments));
	CALL(execv("", plain_arguments));
	CALL(execvp("", plain_arguments));
	CALL(execv(".", plain_arguments));
	CALL(execvp("./", plain_arguments));
	end();
}

static void run_long_name(void)
{
	static char name[PATH_MAX + 10];

	memset(name, 'n', sizeof name - 1);
	CALL(execv(name, plain_arguments));
	name[300] = 0;
	CALL(execv(name, plain_arguments));
	CALL(execvp(name, plain_arguments));
}

static void run_not_executable(void)
{
	begin();
	unlink("witness");
	write_file("data", "data", 4, 0600);
	CALL(execv("./data", plain_arguments));
	CALL(mkfifo("fifo", 0700));
	CALL(execv("./fifo", plain_arguments));
	CALL(execv("/dev/null", plain_arguments));
	CALL(symlink("loop", "loop"));
	CALL(execv("./loop", plain_arguments));
	end();
}

static void execute_text_found(void)
{
	set_path();
	CALL(execv("./text", plain_arguments));
	unsetenv("PATH");
	setenv("PATH", "/usr/bin:/bin", 1);
	execvp("./text", plain_arguments);
}

static void run_no_format(void)
{
	begin();
	write_file("text", "echo text $0 $#\n", 16, 0700);
	write_file("empty", "", 0, 0700);
	write_file("line", "#!\n", 3, 0700);
	write_file("lost", "#!/nonexistent/interpreter\n", 27, 0700);
	write_file("relative", "#!witness x\n", 12, 0700);
	CALL(execv("./empty", plain_arguments));
	CALL(execv("./line", plain_arguments));
	CALL(execv("./lost", plain_arguments));
	in_child(execute_text_found);
	end();
}

/* A static program that is cut off, of another machine, or whose parts lie anywhere: as the kernel says. */
static void run_broken(void)
{
	static char bytes[4096];
	int fd;

	begin();
	fd = open("witness", O_RDONLY | O_CLOEXEC);
	CALL(read(fd, bytes, sizeof bytes));
	close(fd);
	write_file("head", bytes, 64, 0700);
	CALL(execv("./head", plain_arguments));
	write_file("half", bytes, 40, 0700);
	CALL(execv("./half", plain_arguments));
	bytes[18] = 1;
	write_file("machine", bytes, sizeof bytes, 0700);
	CALL(execv("./machine", plain_arguments));
	bytes[18] = 62;
	bytes[56] = 0;
	write_file("no-parts", bytes, sizeof bytes, 0700);
	CALL(execv("./no-parts", plain_arguments));
	end();
}

static void run_busy(void)
{
	int from, to;
	char bytes[65536];
	ssize_t n;

	begin();
	from = open("witness", O_RDONLY | O_CLOEXEC);
	to = open("copy", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		if (write(to, bytes, (size_t)n) != n)
			say("no room");
	CALL(execv("./copy", plain_arguments));
	close(from);
	close(to);
	end();
}

static void run_too_much(void)
{
	static char text[200 * 1024];
	char *arguments[] = {"x", text, NULL};

	begin();
	memset(text, 'x', sizeof text - 1);
	CALL(execv("./witness", arguments));
	CALL(execve("./witness", plain_arguments, arguments));
	CALL(execv("/bin/true", arguments));
	end();
}

static void run_bad_pointers(void)
{
	char *arguments[] = {"x", (char *)16, NULL};
	char **nowhere = (char **)16;

	begin();
	CALL(execv((char *)16, plain_arguments));
	CALL(execv("./witness", nowhere));
	CALL(execv("./witness", arguments));
	CALL(execve("./witness", plain_arguments, nowhere));
	CALL(execve("./witness", plain_arguments, arguments));
	CALL(execve("/bin/true", plain_arguments, nowhere));
	end();
}

static void execute_without_arguments(void)
{
	char *none[] = {NULL};

	execve("./witness", none, environ);
}
static void execute_without_environment(void)
{
	execve("./witness", plain_arguments, NULL);
}
static void run_nothing_given(void)
{
	begin();
	in_child(execute_without_arguments);
	in_child(execute_without_environment);
	end();
}

/* ---- More variables than the caller's stack has room for ---- */

#define N_VARIABLES 40000
#define SMALL_STACK (128 * 1024)

static char *many[N_VARIABLES + 1000];

static void execute_with_many(const char *path, char *const arguments[])
{
	pid_t pid;

	pid = vfork();
	if (pid == 0) {
		execve(path, arguments, many);
		_exit(77);
	}
	reap(pid);
	pid = fork();
	if (pid == 0) {
		execve(path, arguments, many);
		_exit(77);
	}
	reap(pid);
	CALL(posix_spawn(&pid, path, NULL, NULL, arguments, many));
	reap(pid);
	CALL(execve("./missing", arguments, many));
}

static void *use_small_stack(void *unused)
{
	char *const shell[] = {"sh", "-c", "echo $MANY $LAST; cat <&5", NULL};
	int fd;

	(void)unused;
	execute_with_many("./witness", plain_arguments);
	fd = probe_dial();
	probe_ask(fd, "/bytes/100");
	dup2(fd, 5);
	execute_with_many("/bin/sh", shell);
	close(fd);
	close(5);
	return NULL;
}

static void run_many_variables(void)
{
	size_t n = N_VARIABLES;
	pthread_attr_t attributes;
	pthread_t thread;

	for (size_t i = 0; i < N_VARIABLES; i++)
		many[i] = "MANY=many";
	for (char **at = environ; *at && n < N_VARIABLES + 998; at++)
		many[n++] = *at;
	many[n++] = "LAST=last";
	many[n] = NULL;
	begin();
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SMALL_STACK);
	if (pthread_create(&thread, &attributes, use_small_stack, NULL) == 0)
		pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	end();
}

/* ---- Dynamic programs ---- */

static void execute_dynamic(void)
{
	execl("/bin/sh", "a name", "-c", "echo $0 $# $X_VALUE; exec ./witness x", "s", "t", NULL);
}
static void run_dynamic(void)
{
	setenv("X_VALUE", "value", 1);
	in_folder(execute_dynamic);
}

static const struct probe_case cases[] = {
	{"static", run_static},
	{"static-without-slash", run_static_without_slash},
	{"static-found", run_static_found},
	{"static-found-here", run_static_found_here},
	{"static-by-fd", run_static_by_fd},
	{"static-environment", run_static_environment},
	{"static-loader-variables", run_static_loader_variables},
	{"static-signals", run_static_signals},
	{"static-descriptors", run_static_descriptors},
	{"static-exchange", run_static_exchange},
	{"static-twice", run_static_twice},
	{"static-script", run_static_script},
	{"static-vfork", run_static_vfork},
	{"static-spawn", run_static_spawn},
	{"static-spawn-actions", run_static_spawn_actions},
	{"static-by-shell", run_static_by_shell},
	{"missing", run_missing},
	{"long-name", run_long_name},
	{"not-executable", run_not_executable},
	{"no-format", run_no_format},
	{"broken", run_broken},
	{"busy", run_busy},
	{"too-much", run_too_much},
	{"bad-pointers", run_bad_pointers},
	{"nothing-given", run_nothing_given},
	{"many-variables", run_many_variables},
	{"dynamic", run_dynamic},
};
PROBE_MAIN(cases)
