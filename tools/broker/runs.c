/* See runs.h. */
#include "tools/broker/runs.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* Further runs keep the broker alive only by the connections that they share. */
#define MAX_RUNS 1024
/* Nothing reports that a process leaves its group: look again this often. */
#define LOOK_MS 2000

/* RUN_GROUP: the run's process has ended, others of its group go on. */
enum run_state { RUN_NONE, RUN_PROCESS, RUN_GROUP };

static struct run {
	enum run_state state;
	int pidfd; /* of a RUN_PROCESS */
	pid_t pid;
} runs[MAX_RUNS];
static unsigned n_in_state[RUN_GROUP + 1];

static void change_state(struct run *run, enum run_state to)
{
	if (run->state != RUN_NONE)
		n_in_state[run->state]--;
	run->state = to;
	if (to != RUN_NONE)
		n_in_state[to]++;
}

/* Unlike kill(2), getpriority(2) need not be forbidden by the sandbox. The group's number can't be reused meanwhile. */
static bool is_group_left(pid_t pid)
{
	errno = 0;
	return pid > 1 && (getpriority(PRIO_PGRP, (id_t)pid) != -1 || errno != ESRCH);
}

static struct run *find_room(void)
{
	for (unsigned i = 0; i < MAX_RUNS; i++)
		if (runs[i].state == RUN_NONE)
			return &runs[i];
	return NULL;
}

void broker_runs_add(int epoll, int pidfd, pid_t pid, uint64_t tag)
{
	struct run *run = find_room();
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};

	if (run)
		event.data.u64 |= (uint64_t)(run - runs) << BROKER_RUNS_TAG_BITS;
	if (!run || epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event) < 0) {
		close(pidfd);
		return;
	}
	run->pidfd = pidfd;
	run->pid = pid;
	change_state(run, RUN_PROCESS);
}

void broker_runs_note_end(int epoll, uint64_t index)
{
	struct run *run = &runs[index % MAX_RUNS];

	if (run->state != RUN_PROCESS)
		return;
	/* The sender may have a descriptor left, and epoll would go on watching that (epoll(7), Q6). */
	epoll_ctl(epoll, EPOLL_CTL_DEL, run->pidfd, NULL);
	close(run->pidfd);
	change_state(run, is_group_left(run->pid) ? RUN_GROUP : RUN_NONE);
}

bool broker_runs_any(void)
{
	for (unsigned i = 0; i < MAX_RUNS && n_in_state[RUN_GROUP]; i++)
		if (runs[i].state == RUN_GROUP && !is_group_left(runs[i].pid))
			change_state(&runs[i], RUN_NONE);
	return n_in_state[RUN_PROCESS] || n_in_state[RUN_GROUP];
}

int broker_runs_certain_ms(void)
{
	return n_in_state[RUN_PROCESS] ? -1 : LOOK_MS;
}
