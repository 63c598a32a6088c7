/*
 * Slots and the total: taken, put back, taken over from dead processes, with every system call failing in turn.
 */
#include "pool/stats/file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/conn/destination.h"
#include "tools/stats/sys.h"

static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static char path[64];
static int folder;
static struct stats_page *page;

/* The call that fails, counted down; 0: none. Its errno. */
static int fail_in, fail_error;
static pid_t dead_pid;

static bool fails(void)
{
	if (!fail_in || --fail_in)
		return false;
	errno = fail_error;
	return true;
}

static int faulty_openat(int at, const char *name, int flags, ...)
{
	return fails() ? -1 : openat(at, name, flags, 0600);
}

static int faulty_fstat(int fd, struct stat *status)
{
	return fails() ? -1 : fstat(fd, status);
}

static ssize_t faulty_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
	return pwrite(fd, buffer, fails() ? length / 2 : length, offset);
}

static int faulty_fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fails() ? -1 : fallocate(fd, mode, offset, length);
}

static int faulty_flock(int fd, int operation)
{
	return operation != LOCK_UN && fails() ? -1 : flock(fd, operation);
}

static void *faulty_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : mmap(address, length, protection, flags, fd, offset);
}

static int fake_kill(pid_t pid, int signal_number)
{
	ck_assert_int_eq(signal_number, 0);
	errno = ESRCH;
	return pid == dead_pid ? -1 : 0;
}

static unsigned n_waits;

static int counted_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	ck_assert_int_eq(time->tv_sec, 0);
	n_waits++;
	return 0;
}

static struct stats_sys sys;

static struct stats_page *new_page(unsigned pid)
{
	struct stats_page *made =
		mmap(NULL, STATS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(made, MAP_FAILED);
	stats_init(made, room);
	made->pid = pid;
	return made;
}

static void begin(void)
{
	sys = stats_sys_libc;
	sys.openat = faulty_openat;
	sys.fstat = faulty_fstat;
	sys.pwrite = faulty_pwrite;
	sys.fallocate = faulty_fallocate;
	sys.flock = faulty_flock;
	sys.mmap = faulty_mmap;
	sys.kill = fake_kill;
	sys.nanosleep = counted_nanosleep;
	n_waits = 0;
	fail_in = 0;
	dead_pid = 0;
	strcpy(path, "/tmp/holdline-stats-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	folder = stats_file_open_folder(&sys, path, geteuid());
	ck_assert_int_ge(folder, 0);
	page = new_page(7);
}

static void end(void)
{
	char command[128];

	close(folder);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	ck_assert_int_eq(system(command), 0);
}

static void count(struct stats_page *in, unsigned n)
{
	struct destination_key key = {.family = AF_INET, .port = 80, .address = {1}};

	stats_add(&stats_find(in, &key)->counts.counter[STATS_CONNECTS], n);
}

/* The counts in a file of the folder; 0: nothing, or no file. */
static uint64_t counted_in(const char *name, uint32_t *pid)
{
	static _Alignas(8) char copy[512 * 1024];
	int fd = openat(folder, name, O_RDONLY);
	ssize_t length = fd < 0 ? 0 : pread(fd, copy, sizeof(copy), 0);
	struct stats_counts sum = {0};

	if (fd >= 0)
		close(fd);
	if (!stats_is_sound((struct stats_page *)copy, (size_t)length))
		return 0;
	if (pid)
		*pid = ((struct stats_page *)copy)->pid;
	stats_sum((struct stats_page *)copy, &sum);
	ck_assert_uint_eq(((struct stats_page *)copy)->generation % 2, 0);
	return sum.counter[STATS_CONNECTS];
}

static bool exists(const char *name)
{
	return faccessat(folder, name, F_OK, 0) == 0;
}

START_TEST(a_slot_shows_what_is_counted)
{
	uint32_t pid = 0;

	count(page, 2);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	count(page, 3);
	ck_assert_uint_eq(counted_in("0007", &pid), 5);
	ck_assert_uint_eq(pid, 7);
	ck_assert(!exists(STATS_TOTAL_NAME));
}
END_TEST

START_TEST(what_ends_is_in_the_total_once)
{
	int slot = stats_file_take(&sys, folder, &page);

	count(page, 5);
	ck_assert_int_eq(stats_file_put(&sys, folder, (unsigned)slot, page), 0);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 5);
	ck_assert(!exists("0007"));
	ck_assert_uint_eq(page->pid, 0);
	/* It may go on counting, without effect. */
	count(page, 1);
	page = new_page(7);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	count(page, 1);
	ck_assert_int_eq(stats_file_put(&sys, folder, 7, page), 0);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 6);
}
END_TEST

START_TEST(the_dead_are_added_and_the_living_left_alone)
{
	struct stats_page *other = new_page(7 + STATS_SLOTS), *third = new_page(7 + 2 * STATS_SLOTS);

	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	count(page, 5);
	ck_assert_int_eq(stats_file_take(&sys, folder, &other), 8);
	ck_assert_uint_eq(counted_in("0007", NULL), 5);
	dead_pid = 7;
	ck_assert_int_eq(stats_file_take(&sys, folder, &third), 7);
	ck_assert_uint_eq(counted_in("0007", NULL), 0);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 5);
}
END_TEST

START_TEST(an_exec_begins_anew)
{
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	count(page, 5);
	page = new_page(7);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 5);
}
END_TEST

START_TEST(pids_of_another_namespace_mean_nothing)
{
	struct stats_page *other = new_page(7);

	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	other->pid_namespace = 99;
	dead_pid = 7;
	ck_assert_int_eq(stats_file_take(&sys, folder, &other), 8);
}
END_TEST

START_TEST(a_slot_that_is_locked_is_passed_by)
{
	int fd = openat(folder, "0007", O_RDWR | O_CREAT, 0600);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 8);
	close(fd);
}
END_TEST

START_TEST(a_total_that_is_locked_is_not_waited_for_long)
{
	int slot = stats_file_take(&sys, folder, &page), fd;

	count(page, 5);
	fd = openat(folder, STATS_TOTAL_NAME, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(stats_file_put(&sys, folder, (unsigned)slot, page), -EWOULDBLOCK);
	ck_assert_uint_gt(n_waits, 10);
	ck_assert_uint_lt(n_waits, 1000);
	close(fd);
	ck_assert_uint_eq(page->pid, 7);
	/* The slot's next owner adds it. */
	page = new_page(7);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), 7);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 5);
}
END_TEST

START_TEST(all_slots_taken)
{
	for (unsigned pid = 1; pid <= STATS_SLOTS; pid++) {
		struct stats_page *one = new_page(pid);

		ck_assert_int_ge(stats_file_take(&sys, folder, &one), 0);
		munmap(one, STATS_PAGE_SIZE);
	}
	count(page, 1);
	page->pid = 5000;
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), -EBUSY);
	count(page, 1);
}
END_TEST

/* Whatever fails, the page can be counted in, nothing is lost or counted twice, and the remains are picked up later. */
START_TEST(every_call_fails_once)
{
	static const int errors[] = {ENOSPC, EMFILE, EACCES, EINTR};
	bool was_reached = true;
	uint64_t expected = 0;

	fail_error = errors[_i];
	for (int n = 1; was_reached; n++) {
		struct stats_page *one = new_page(7);
		int taken, put = -EAGAIN;

		fail_in = n;
		count(one, 1);
		taken = stats_file_take(&sys, folder, &one);
		count(one, 1);
		if (taken >= 0) {
			put = stats_file_put(&sys, folder, (unsigned)taken, one);
			expected += 2;
		}
		was_reached = fail_in == 0;
		fail_in = 0;
		ck_assert_int_lt(n, 60);
		if (taken >= 0 && put)
			ck_assert_uint_ne(one->pid, 0);
		munmap(one, STATS_PAGE_SIZE);
		/* The next of the same pid finds it. */
		one = new_page(7);
		ck_assert_int_ge(taken = stats_file_take(&sys, folder, &one), 0);
		ck_assert_int_eq(stats_file_put(&sys, folder, (unsigned)taken, one), 0);
	}
	for (unsigned slot = 0; slot < 20; slot++) {
		char name[STATS_SLOT_NAME_MAX];

		stats_file_name_slot(slot, name);
		expected -= counted_in(name, NULL); /* left in another slot: still to be read there */
	}
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), expected);
}
END_TEST

START_TEST(a_folder_is_the_users_alone)
{
	char link[80], inner[80];
	int opened;

	ck_assert_int_eq(chmod(path, 0750), 0);
	ck_assert_int_eq(stats_file_open_folder(&sys, path, geteuid()), -EPERM);
	ck_assert_int_eq(chmod(path, 0700), 0);
	ck_assert_int_eq(stats_file_open_folder(&sys, path, geteuid() + 1), -EPERM);
	snprintf(link, sizeof(link), "%s/link", path);
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert_int_eq(stats_file_open_folder(&sys, link, geteuid()), -ENOTDIR);
	snprintf(inner, sizeof(inner), "%s/one/two", path);
	ck_assert_int_ge(opened = stats_file_open_folder(&sys, inner, geteuid()), 0);
	close(opened);
	snprintf(inner, sizeof(inner), "%s/a/b/c", path);
	ck_assert_int_eq(stats_file_open_folder(&sys, inner, geteuid()), -ENOENT);
}
END_TEST

/* If the user did not choose the folder, every component of its path is checked. */
START_TEST(its_parents_are_the_users_too)
{
	char outer[80], inner[100];
	int opened;

	snprintf(outer, sizeof(outer), "/dev/shm/%s", strrchr(path, '/'));
	snprintf(inner, sizeof(inner), "%s/holdline/stats", outer);
	ck_assert_int_eq(mkdir(outer, 0700), 0);
	opened = stats_file_open_default(&sys, inner, geteuid());
	close(opened);
	/* A user who may rename entries of the outer folder could replace the inner one. */
	chmod(outer, 0777);
	ck_assert_int_eq(stats_file_open_default(&sys, inner, geteuid()), -EPERM);
	chmod(outer, 01777);
	snprintf(inner, sizeof(inner), "%s/holdline", outer);
	chmod(inner, 0750);
	snprintf(inner, sizeof(inner), "%s/holdline/stats", outer);
	ck_assert_int_eq(stats_file_open_default(&sys, inner, geteuid()), -EPERM);
	rmdir(inner);
	snprintf(inner, sizeof(inner), "%s/holdline", outer);
	rmdir(inner);
	rmdir(outer);
	ck_assert_int_ge(opened, 0);
}
END_TEST

START_TEST(a_disk_is_not_memory)
{
	struct statfs system;
	char inner[80], proc[] = "/proc/sys/x";

	ck_assert_int_eq(statfs("/dev/shm", &system), 0);
	ck_assert_int_eq(stats_file_open_default(&sys, proc, 0), -EPERM);
	snprintf(inner, sizeof(inner), "%s/inner", path);
	if (fstatfs(folder, &system) == 0 && system.f_type != 0x01021994)
		ck_assert_int_eq(stats_file_open_default(&sys, inner, geteuid()), -EXDEV);
}
END_TEST

START_TEST(a_slot_that_is_a_link_is_not_followed)
{
	ck_assert_int_eq(symlinkat("target", folder, "0007"), 0);
	ck_assert_int_eq(stats_file_take(&sys, folder, &page), -ELOOP);
	ck_assert(!exists("target"));
}
END_TEST

START_TEST(places)
{
	char place[PATH_MAX], long_name[PATH_MAX];

	ck_assert_int_eq(stats_file_place(0, "/run/user/5", 5, place), 0);
	ck_assert_str_eq(place, "/run/user/5/holdline/stats.4");
	ck_assert_int_eq(stats_file_place(0, NULL, 5, place), -ENOENT);
	ck_assert_int_eq(stats_file_place(0, "relative", 5, place), -ENOENT);
	ck_assert_int_eq(stats_file_place(1, NULL, 1234567890, place), 0);
	ck_assert_str_eq(place, "/dev/shm/holdline-1234567890/stats.4");
	ck_assert_int_eq(stats_file_place(1, NULL, 0, place), 0);
	ck_assert_str_eq(place, "/dev/shm/holdline-0/stats.4");
	ck_assert_int_eq(stats_file_place(2, "/run", 5, place), -ENOENT);
	memset(long_name, '/', sizeof(long_name));
	long_name[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(stats_file_place(0, long_name, 5, place), -ENAMETOOLONG);
}
END_TEST

START_TEST(totals_are_added_to_totals)
{
	char inner[80];
	int inner_folder, slot;
	static _Alignas(8) char copy[512 * 1024];
	int fd;

	snprintf(inner, sizeof(inner), "%s/run-1", path);
	inner_folder = stats_file_open_folder(&sys, inner, geteuid());
	slot = stats_file_take(&sys, inner_folder, &page);
	count(page, 4);
	ck_assert_int_eq(stats_file_put(&sys, inner_folder, (unsigned)slot, page), 0);
	fd = openat(inner_folder, STATS_TOTAL_NAME, O_RDONLY);
	ck_assert_int_gt(pread(fd, copy, sizeof(copy), 0), 0);
	close(fd);
	ck_assert_int_eq(stats_file_fold_total(&sys, folder, (struct stats_page *)copy), 0);
	ck_assert_uint_eq(counted_in(STATS_TOTAL_NAME, NULL), 4);
	close(inner_folder);
}
END_TEST

Suite *stats_file_suite(void)
{
	Suite *suite = suite_create("stats_file");
	TCase *tcase = tcase_create("slots");

	/* A thousand files take a while on a busy machine. */
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, a_slot_shows_what_is_counted);
	tcase_add_test(tcase, what_ends_is_in_the_total_once);
	tcase_add_test(tcase, the_dead_are_added_and_the_living_left_alone);
	tcase_add_test(tcase, an_exec_begins_anew);
	tcase_add_test(tcase, pids_of_another_namespace_mean_nothing);
	tcase_add_test(tcase, a_slot_that_is_locked_is_passed_by);
	tcase_add_test(tcase, a_total_that_is_locked_is_not_waited_for_long);
	tcase_add_test(tcase, all_slots_taken);
	tcase_add_loop_test(tcase, every_call_fails_once, 0, 4);
	tcase_add_test(tcase, a_folder_is_the_users_alone);
	tcase_add_test(tcase, its_parents_are_the_users_too);
	tcase_add_test(tcase, a_disk_is_not_memory);
	tcase_add_test(tcase, a_slot_that_is_a_link_is_not_followed);
	tcase_add_test(tcase, places);
	tcase_add_test(tcase, totals_are_added_to_totals);
	suite_add_tcase(suite, tcase);
	return suite;
}
