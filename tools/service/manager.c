/* See manager.h. */
#include "tools/service/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool manager_runs(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

/* Runs systemctl and reads what it prints. Its exit status, or -errno. */
static int ask(char *const arguments[], char *answer, size_t room)
{
	int pair[2], status = -1;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (dup2(pair[1], STDOUT_FILENO) >= 0)
			execvp(arguments[0], arguments);
		_exit(127);
	}
	close(pair[1]);
	while (pid > 0 && length + 1 < room && (n = read(pair[0], answer + length, room - 1 - length)) > 0)
		length += (size_t)n;
	answer[length] = '\0';
	close(pair[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return WEXITSTATUS(status);
}

int manager_reload(void)
{
	char *const arguments[] = {"systemctl", "daemon-reload", NULL};
	char answer[256];

	return ask(arguments, answer, sizeof(answer)) == 0 ? 0 : -EIO;
}

pid_t manager_find_process(const char *unit)
{
	char *const arguments[] = {"systemctl", "show", "--property=MainPID", "--value", "--", (char *)unit, NULL};
	char answer[64];

	return ask(arguments, answer, sizeof(answer)) == 0 ? (pid_t)atol(answer) : 0;
}
