/*
 * Runs that keep the broker alive: real processes and groups, with an epoll set like the loop's.
 */
#include "tools/broker/runs.h"

#include <check.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG 3

static int epoll;

static void start(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert(!broker_runs_any());
}

static void stop(void)
{
	close(epoll);
}

/* Sleeps until it is killed; in a group of its own, or in another's. */
static pid_t begin_process(pid_t group)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, group);
		pause();
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	setpgid(pid, group);
	return pid;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void add(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	ck_assert_int_ge(pidfd, 0);
	broker_runs_add(epoll, pidfd, pid, TAG);
}

/* How many of the set's events are about runs; each of those is noted. */
static unsigned hear(void)
{
	struct epoll_event events[4];
	int n = epoll_wait(epoll, events, 4, 0);

	for (int i = 0; i < n; i++) {
		ck_assert_uint_eq(events[i].data.u64 & 7, TAG);
		broker_runs_note_end(epoll, events[i].data.u64 >> BROKER_RUNS_TAG_BITS);
	}
	return n > 0 ? (unsigned)n : 0;
}

START_TEST(a_run_is_its_process)
{
	pid_t one = begin_process(0), two = begin_process(0);

	add(one);
	add(two);
	ck_assert(broker_runs_any());
	ck_assert_int_eq(broker_runs_certain_ms(), -1);
	ck_assert_uint_eq(hear(), 0);
	end_process(one);
	ck_assert_uint_eq(hear(), 1);
	ck_assert(broker_runs_any());
	end_process(two);
	ck_assert_uint_eq(hear(), 1);
	ck_assert_uint_eq(hear(), 0);
	ck_assert(!broker_runs_any());
}
END_TEST

START_TEST(and_what_is_left_of_its_group)
{
	pid_t leader = begin_process(0), other = begin_process(leader);

	add(leader);
	end_process(leader);
	ck_assert_uint_eq(hear(), 1);
	ck_assert(broker_runs_any());
	ck_assert_int_gt(broker_runs_certain_ms(), 0);
	end_process(other);
	ck_assert(!broker_runs_any());
}
END_TEST

/* Its group belongs to somebody else, and may live for ever. */
START_TEST(but_not_of_anothers)
{
	pid_t leader = begin_process(0), member = begin_process(leader);

	add(member);
	end_process(member);
	ck_assert_uint_eq(hear(), 1);
	ck_assert(!broker_runs_any());
	end_process(leader);
}
END_TEST

START_TEST(more_than_there_is_room_for)
{
	pid_t pid = begin_process(0);
	unsigned n = 0;

	for (int i = 0; i < 1100; i++)
		add(pid);
	end_process(pid);
	for (unsigned heard; (heard = hear());)
		n += heard;
	ck_assert_uint_eq(n, 1024);
	ck_assert(!broker_runs_any());
	/* Events that are not about runs. */
	broker_runs_note_end(epoll, 5);
	broker_runs_note_end(epoll, UINT64_MAX);
	ck_assert(!broker_runs_any());
}
END_TEST

/* Runs that can't be watched, and a descriptor that is no process. */
START_TEST(other_descriptors)
{
	int ends[2], file = dup(STDIN_FILENO);

	ck_assert_int_eq(pipe(ends), 0);
	broker_runs_add(epoll, ends[0], 0, TAG);
	ck_assert(broker_runs_any());
	close(ends[1]);
	/* The read end is readable, or hung up. */
	ck_assert_uint_eq(hear(), 1);
	ck_assert(!broker_runs_any());
	close(file);
	broker_runs_add(epoll, file, 1, TAG);
	ck_assert(!broker_runs_any());
}
END_TEST

Suite *broker_runs_suite(void);
Suite *broker_runs_suite(void)
{
	Suite *suite = suite_create("broker_runs");
	TCase *tcase = tcase_create("runs");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, a_run_is_its_process);
	tcase_add_test(tcase, and_what_is_left_of_its_group);
	tcase_add_test(tcase, but_not_of_anothers);
	tcase_add_test(tcase, more_than_there_is_room_for);
	tcase_add_test(tcase, other_descriptors);
	suite_add_tcase(suite, tcase);
	return suite;
}
