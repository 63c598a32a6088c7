/* Executed by execs.c: prints everything that a program gets from the one that executed it. Statically linked. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX 64
#define SIGNALS 32

extern char **environ;

/* Of the shim, and of the test's own run. */
static int is_hidden(const char *entry)
{
	return strncmp(entry, "HOLDLINE_", 9) == 0 || strncmp(entry, "LD_PRELOAD=", 11) == 0;
}

/* They have numbers and folders in them that differ from run to run. */
static int differs(const char *entry)
{
	static const char *const names[] = {"X_PID", "PATH=", "PWD=", "FAKETIME_SHARED="};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return 1;
	return 0;
}

static unsigned sum_of(const char *entry)
{
	unsigned sum = 0;

	while (*entry)
		sum = sum * 31 + (unsigned char)*entry++;
	return sum;
}

/* In any order: what is the loader's may come last. */
static void print_environment(void)
{
	unsigned n = 0, sum = 0;

	for (char **at = environ; *at; at++) {
		if (is_hidden(*at))
			continue;
		n++;
		if (!differs(*at))
			sum += sum_of(*at);
		if (strncmp(*at, "X_VALUE", 7) == 0)
			printf("%s\n", *at);
	}
	printf("%u variables, sum %u\n", n, sum);
}

static void print_signals(void)
{
	sigset_t mask, pending;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigpending(&pending);
	for (int number = 1; number < SIGNALS; number++) {
		struct sigaction action;

		sigaction(number, NULL, &action);
		if (sigismember(&mask, number) || sigismember(&pending, number) || action.sa_handler != SIG_DFL)
			printf("signal %d:%s%s%s\n", number, sigismember(&mask, number) ? " blocked" : "",
			       sigismember(&pending, number) ? " pending" : "",
			       action.sa_handler == SIG_IGN ? " ignored" : "");
	}
	printf("alarm %s\n", alarm(0) ? "set" : "not set");
}

static void print_process(void)
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	const char *pid = getenv("X_PID"), *parent = getenv("X_PID_OF_PARENT");
	struct rlimit limit;
	char folder[4096], name[17] = "";
	int death_signal = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	prctl(PR_GET_NAME, name);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	printf("pid %s, parent %s\n", pid ? atoi(pid) == getpid() ? "same" : "another" : "-",
	       parent ? atoi(parent) == getppid() ? "same" : "another" : "-");
	/* The folder has a name of its own in each run. */
	printf("name %s, executed as %s%s\n", name, *executed == '/' ? "/.../" : "",
	       *executed == '/' ? strrchr(executed, '/') + 1 : executed);
	printf("umask %o, files %lu, in %s, leader %d %d, death signal %d\n", (unsigned)umask(0),
	       (unsigned long)limit.rlim_cur, getcwd(folder, sizeof folder) ? strrchr(folder, '/') + 1 : "nowhere",
	       getpgrp() == getpid(), getsid(0) == getpid(), death_signal);
	printf("descriptors:");
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
}

/* An exchange of its own: connected, asked, read to the end. */
static void ask(int port)
{
	static const char request[] = "GET /bytes/3000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	unsigned long total = 0, sum = 0;
	char bytes[1000];
	ssize_t n;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	printf("connect %d\n", connect(fd, (struct sockaddr *)&server, sizeof server));
	printf("write %zd\n", write(fd, request, sizeof request - 1));
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		for (ssize_t i = 0; i < n; i++, total++)
			sum = sum * 31 + (unsigned char)bytes[i];
	printf("read %lu to %zd, sum %lu\n", total, n, sum);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "ask") == 0) {
		ask(atoi(argv[2]));
		ask(atoi(argv[2]));
		return 0;
	}
	for (int i = 0; i < argc; i++)
		printf("argument %d: \"%s\"\n", i, argv[i]);
	print_environment();
	print_signals();
	print_process();
	return 9;
}
