/* Signals sent to the witness stay pending, and /proc shows them: it never has to wake up. See witness.h. */
#include "tools/run/witness.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "tools/base/proc_file.h"

static pid_t witness = -1;

void run_witness_start(void)
{
	pid_t parent = getpid();
	sigset_t all;

	witness = fork();
	if (witness != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	close(STDERR_FILENO);
	for (;;)
		pause();
}

void run_witness_end(void)
{
	if (witness <= 0)
		return;
	kill(witness, SIGKILL);
	waitpid(witness, NULL, 0);
	witness = -1;
}

void run_witness_forget(pid_t pid)
{
	if (pid == witness)
		witness = -1;
}

/* Pending signals of the whole process: a mask in hexadecimal, proc(5). */
static uint64_t pending(void)
{
	const char *field;
	char text[4096];

	proc_file_read(witness, "status", text, sizeof(text));
	field = strstr(text, "\nShdPnd:");
	return field ? strtoull(field + strlen("\nShdPnd:"), NULL, 16) : 0;
}

bool run_witness_saw(int signal_number)
{
	if (witness <= 0)
		return false;
	/* The kernel may reach the witness later than us. */
	nanosleep(&(struct timespec){.tv_nsec = MILLISECOND_NS}, NULL);
	if (!(pending() >> (signal_number - 1) & 1))
		return false;
	/* Pending signals don't add up: a fresh witness is needed to see the next one. */
	run_witness_end();
	run_witness_start();
	return true;
}
