/*
 * How a kept connection ends: by close() alone where that sends an end of file, else after one has been sent. (The fake
 * kernel refuses a reset before that.)
 */
#include <check.h>
#include <errno.h>

#include "tests/unit/fake/sys.h"
#include "pool/conn/ending.h"

static const struct ledger LEDGER = {100, 200};

static int open_idle(void)
{
	int fd = fake_socket_new();
	struct fake_socket *socket = fake_socket(fd);

	socket->bytes_sent = LEDGER.sent;
	socket->bytes_received = LEDGER.received;
	return fd;
}

START_TEST(alone_and_clean_is_closed)
{
	int fd = open_idle();

	ending_make(&fake_sys, fd, &LEDGER, false, NULL);
	ck_assert(!fake_socket(fd)->has_sent_end && !fake_socket(fd)->was_disconnected);
}
END_TEST

START_TEST(others_have_it)
{
	int fd = open_idle();

	ending_make(&fake_sys, fd, &LEDGER, true, NULL);
	ck_assert(fake_socket(fd)->has_sent_end && fake_socket(fd)->was_disconnected);
	/* Ending the other direction would leave a TIME_WAIT if the server answers. */
	ck_assert(!fake_socket(fd)->was_shut_down);
}
END_TEST

/* close() would be a reset, without an end of file. */
START_TEST(bytes_were_left_unread)
{
	int fd = open_idle();

	fake_socket(fd)->bytes_received++;
	ending_make(&fake_sys, fd, &LEDGER, false, NULL);
	ck_assert(fake_socket(fd)->has_sent_end && fake_socket(fd)->was_disconnected);
}
END_TEST

START_TEST(the_server_has_ended_it)
{
	int fd = open_idle();

	fake_socket(fd)->state = FAKE_CLOSE;
	ending_make(&fake_sys, fd, &LEDGER, false, NULL);
	ck_assert(!fake_socket(fd)->was_disconnected);
	/* The caller's errno is preserved. */
	fake_sys_fail(FAKE_CALL_DISCONNECT, 1, 1, EIO);
	errno = EAGAIN;
	ending_make_for_all(&fake_sys, fd, NULL);
	ck_assert_int_eq(errno, EAGAIN);
	ending_make_for_all(&fake_sys, fd, NULL);
	ck_assert(fake_socket(fd)->was_disconnected);
}
END_TEST

static size_t n_said;
static bool was_said_first;

static ssize_t note_farewell(int fd, const void *packet, size_t length, int passed)
{
	ck_assert_int_eq(passed, -1);
	ck_assert_mem_eq(packet, "so long", length);
	was_said_first = !fake_socket(fd)->has_sent_end;
	fake_socket(fd)->unacked = 1;
	n_said += length;
	return (ssize_t)length;
}

static const struct pool_farewell FAREWELL = {7, "so long"};

/* It goes before the end of file, and is not waited for. */
START_TEST(the_server_is_told)
{
	bool has_holders = _i;
	int fd = open_idle();

	fake_sys_on_send = note_farewell;
	n_said = 0;
	ending_make(&fake_sys, fd, &LEDGER, has_holders, &FAREWELL);
	ck_assert_uint_eq(n_said, FAREWELL.length);
	ck_assert(was_said_first);
	ck_assert_int_eq(fake_socket(fd)->was_disconnected, has_holders);
	ck_assert(!fake_socket(fd)->was_shut_down);
}
END_TEST

START_TEST(a_server_that_has_ended_is_not_told)
{
	int fd = open_idle();

	fake_socket(fd)->state = FAKE_CLOSE_WAIT;
	ending_make(&fake_sys, fd, &LEDGER, _i, &FAREWELL);
}
END_TEST

static ssize_t refuse(int fd, const void *packet, size_t length, int passed)
{
	(void)fd;
	(void)packet;
	(void)length;
	(void)passed;
	return -EAGAIN;
}

START_TEST(a_farewell_that_fails_is_no_matter)
{
	int fd = open_idle();

	fake_sys_on_send = refuse;
	errno = ENOENT;
	ending_make(&fake_sys, fd, &LEDGER, _i, &FAREWELL);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(fake_socket(fd)->was_disconnected, _i);
}
END_TEST

Suite *ending_suite(void);
Suite *ending_suite(void)
{
	Suite *suite = suite_create("ending");
	TCase *tcase = tcase_create("ending");

	tcase_add_checked_fixture(tcase, fake_sys_start, fake_sys_stop);
	tcase_add_test(tcase, alone_and_clean_is_closed);
	tcase_add_test(tcase, others_have_it);
	tcase_add_test(tcase, bytes_were_left_unread);
	tcase_add_test(tcase, the_server_has_ended_it);
	tcase_add_loop_test(tcase, the_server_is_told, 0, 2);
	tcase_add_loop_test(tcase, a_server_that_has_ended_is_not_told, 0, 2);
	tcase_add_loop_test(tcase, a_farewell_that_fails_is_no_matter, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
