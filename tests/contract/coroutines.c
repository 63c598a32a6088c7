/* Coroutines of swapcontext(3), which musl has not: each on a stack of its own, switched in the middle of exchanges. */
#include "tests/lib/probe.h"

#include <ucontext.h>

static ucontext_t scheduler, coroutines[8];
static long totals[8];
static int fds[8];

static void coroutine(int i)
{
	char bytes[64];
	long n;

	fds[i] = probe_dial_nonblocking();
	swapcontext(&coroutines[i], &scheduler);
	probe_ask(fds[i], "/slow-two-pieces/5");
	do {
		swapcontext(&coroutines[i], &scheduler);
		while ((n = recv(fds[i], bytes, sizeof bytes, 0)) > 0)
			totals[i] += n;
	} while (n < 0 && errno == EAGAIN);
	close(fds[i]);
	fds[i] = -1;
	swapcontext(&coroutines[i], &scheduler);
}

static void make_coroutine(int i)
{
	static char stacks[8][24576];

	totals[i] = fds[i] = 0;
	getcontext(&coroutines[i]);
	coroutines[i].uc_stack.ss_sp = stacks[i];
	coroutines[i].uc_stack.ss_size = sizeof stacks[i];
	makecontext(&coroutines[i], (void (*)(void))coroutine, 1, i);
}

static void run_eight(void)
{
	volatile int n_alive = 8;

	for (int i = 0; i < 8; i++)
		make_coroutine(i);
	for (int round = 0; n_alive && round < 1000; round++) {
		n_alive = 0;
		for (int i = 0; i < 8; i++) {
			if (fds[i] < 0)
				continue;
			n_alive++;
			swapcontext(&scheduler, &coroutines[i]);
		}
		usleep(1000);
	}
	for (int i = 0; i < 8; i++)
		say("%d: %ld bytes, closed %d", i, totals[i], fds[i] < 0);
}

static const struct probe_case cases[] = {
	{"eight", run_eight},
};
PROBE_MAIN(cases)
