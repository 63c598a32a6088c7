/*
 * The board as a process sees it: only a file that nobody else can write to is believed, and another one in its place
 * is found.
 */
#include "pool/share/board_view.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[64], broker_path[96], path[128];
static struct broker_board_view view;
static struct broker_counts counts;
static struct broker_board board;
static struct destination_key key;
static unsigned n_opened, n_closed;
static bool is_read_only;

static int open_file(const char *name)
{
	int fd = open(name, (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	n_opened += fd >= 0;
	return fd;
}

static int close_file(int fd)
{
	n_closed++;
	return close(fd);
}

static int stat_file(int fd, const char *name, struct stat *status)
{
	return name ? lstat(name, status) : fstat(fd, status);
}

static void *map_file(int fd, uint64_t length, void *place, bool *is_writable)
{
	int protection = PROT_READ | (is_read_only ? 0 : PROT_WRITE);
	void *memory = MAP_FAILED;

	if (!is_read_only || !*is_writable)
		memory = mmap(place, length, protection, MAP_SHARED | (place ? MAP_FIXED : 0), fd, 0);
	*is_writable = !is_read_only;
	return memory == MAP_FAILED ? NULL : memory;
}

static ssize_t read_file(int fd, void *bytes, size_t length, uint64_t offset)
{
	return pread(fd, bytes, length, (off_t)offset);
}

static const struct pool_sys sys = {
	.open_file = open_file,
	.close_file = close_file,
	.stat_file = stat_file,
	.read_file = read_file,
	.map_file = map_file,
};

/* Puts the board in the place of any other. */
static void write_file(size_t length)
{
	char new[160];
	int fd;

	snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &board, length), (ssize_t)length);
	close(fd);
	ck_assert_int_eq(rename(new, path), 0);
}

/* One on which so many are held. */
static void write_board(unsigned n_held, size_t length)
{
	memset(&board, 0, sizeof(board));
	memset(&counts, 0, sizeof(counts));
	broker_board_open(&counts, &board, 7);
	for (unsigned i = 0; i < n_held; i++)
		broker_board_count(&counts, &key, 1);
	write_file(length);
}

static void write_another_version(void)
{
	board.stamp++;
	write_file(sizeof(board));
}

/* Whoever reads the file sees the same as who maps it. */
static void check_peek(uint32_t n_held, uint32_t euid)
{
	struct broker_board_view other;
	unsigned before = n_opened;

	memset(&other, 0, sizeof(other));
	ck_assert_uint_eq(broker_board_view_glance(&other, &sys, broker_path, euid, &key), n_held);
	ck_assert_uint_eq(n_opened, n_closed);
	/* It is mapped where there is something. */
	ck_assert_int_eq(other.memory != NULL, n_held && n_held != UINT32_MAX);
	ck_assert_uint_eq(broker_board_view_n_held(&other, &key), other.memory ? n_held : UINT32_MAX);
	if (other.memory)
		munmap(other.memory, sizeof(board));
	n_opened = n_closed = before;
}

static uint32_t look(void)
{
	uint32_t n_held;

	broker_board_view_look(&view, &sys, broker_path, geteuid());
	ck_assert_uint_eq(n_opened, n_closed);
	n_held = broker_board_view_n_held(&view, &key);
	check_peek(n_held, geteuid());
	return n_held;
}

static void start(void)
{
	strcpy(folder, "/tmp/holdline-board-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(broker_path, sizeof(broker_path), "%s/broker", folder);
	snprintf(path, sizeof(path), "%s%s", broker_path, BROKER_BOARD_SUFFIX);
	memset(&view, 0, sizeof(view));
	key = (struct destination_key){.family = AF_INET, .port = 80};
	n_opened = n_closed = 0;
}

static void stop(void)
{
	unlink(path);
	rmdir(folder);
}

START_TEST(it_is_seen)
{
	ck_assert_uint_eq(broker_board_view_n_held(&view, &key), UINT32_MAX);
	write_board(3, sizeof(board));
	ck_assert_uint_eq(look(), 3);
	ck_assert_uint_eq(look(), 3);
	ck_assert_uint_eq(n_opened, 1); /* it is the same */
}
END_TEST

START_TEST(another_comes)
{
	const struct broker_board *memory;

	write_board(3, sizeof(board));
	ck_assert_uint_eq(look(), 3);
	memory = view.memory;
	write_board(1, sizeof(board));
	ck_assert_uint_eq(look(), 1);
	/* What was taken from the first one's shelf is there still. */
	ck_assert_ptr_ne(view.memory, memory);
	ck_assert_uint_eq(broker_board_n_held(memory, &key), 3);
	unlink(path);
	ck_assert_uint_eq(look(), UINT32_MAX);
	write_board(2, sizeof(board));
	ck_assert_uint_eq(look(), 2);
	ck_assert_ptr_eq(view.memory, memory);
}
END_TEST

START_TEST(it_is_not_trusted)
{
	uint32_t other = geteuid() ? geteuid() + 1 : 0;

	write_board(3, sizeof(board));
	ck_assert_int_eq(chmod(path, _i ? 0602 : 0620), 0);
	ck_assert_uint_eq(look(), UINT32_MAX);
	ck_assert_int_eq(chmod(path, 0600), 0);
	broker_board_view_look(&view, &sys, broker_path, other);
	ck_assert_uint_eq(broker_board_view_n_held(&view, &key), other ? UINT32_MAX : 3);
	check_peek(other ? UINT32_MAX : 3, other);
	ck_assert_uint_eq(look(), 3);
}
END_TEST

START_TEST(it_is_no_board)
{
	write_board(3, sizeof(board) - 1);
	ck_assert_uint_eq(look(), UINT32_MAX);
	unlink(path);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	ck_assert_uint_eq(look(), UINT32_MAX);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_uint_eq(look(), UINT32_MAX);
	unlink(path);
	write_board(3, sizeof(board));
	ck_assert_uint_eq(look(), 3);
	unlink(path);
	write_another_version();
	ck_assert_uint_eq(look(), UINT32_MAX);
}
END_TEST

START_TEST(its_path_is_too_long)
{
	char longest[PATH_MAX];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	broker_board_view_look(&view, &sys, longest, geteuid());
	ck_assert_uint_eq(broker_board_view_n_held(&view, &key), UINT32_MAX);
	ck_assert_uint_eq(broker_board_view_glance(&view, &sys, longest, geteuid(), &key), UINT32_MAX);
	ck_assert_uint_eq(n_opened, 0);
}
END_TEST

/* Only who may write to it can take something from its shelf, and only where the broker says that there is one. */
START_TEST(its_shelf_is_for_who_may_write)
{
	write_board(3, sizeof(board));
	ck_assert_uint_eq(look(), 3);
	ck_assert_ptr_null(broker_board_view_shelf(&view));
	broker_board_open_shelf(&counts, 4711, 5, 6);
	write_file(sizeof(board));
	ck_assert_ptr_null(broker_board_view_shelf(&view));
	ck_assert_uint_eq(look(), 3);
	ck_assert_ptr_eq(broker_board_view_shelf(&view), view.memory);
	ck_assert_uint_eq(view.memory->pid, 4711);
	unlink(path);
	ck_assert_uint_eq(look(), UINT32_MAX);
	ck_assert_ptr_null(broker_board_view_shelf(&view));
	/* One that can't be written to does not come in the place of one that can: it may be in use. */
	is_read_only = true;
	write_file(sizeof(board));
	broker_board_view_look(&view, &sys, broker_path, geteuid());
	ck_assert_uint_eq(broker_board_view_n_held(&view, &key), UINT32_MAX);
	memset(&view, 0, sizeof(view));
	ck_assert_uint_eq(look(), 3);
	ck_assert_ptr_null(broker_board_view_shelf(&view));
}
END_TEST

START_TEST(its_broker_has_gone)
{
	write_board(3, sizeof(board));
	ck_assert_uint_eq(look(), 3);
	broker_board_close(&counts);
	write_file(sizeof(board));
	ck_assert_uint_eq(look(), UINT32_MAX);
}
END_TEST

Suite *board_view_suite(void);
Suite *board_view_suite(void)
{
	Suite *suite = suite_create("board_view");
	TCase *tcase = tcase_create("board_view");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, it_is_seen);
	tcase_add_test(tcase, another_comes);
	tcase_add_loop_test(tcase, it_is_not_trusted, 0, 2);
	tcase_add_test(tcase, it_is_no_board);
	tcase_add_test(tcase, its_path_is_too_long);
	tcase_add_test(tcase, its_shelf_is_for_who_may_write);
	tcase_add_test(tcase, its_broker_has_gone);
	suite_add_tcase(suite, tcase);
	return suite;
}
