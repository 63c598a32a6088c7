/*
 * Packets with descriptors, over real sockets: they arrive as they were sent, and no descriptor is ever left over,
 * whatever the other side sends.
 */
#include "pool/base/fdpass.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fake/wire.h"

#define HERE fake_wire_fds[0]
#define THERE fake_wire_fds[1]

static char packet[64];
static int passed;
static unsigned n_passed;
static unsigned n_fds_before;

static void start(void)
{
	fake_wire_start();
	n_fds_before = fake_wire_n_fds();
	memset(packet, 0, sizeof(packet));
}

static ssize_t receive(void)
{
	return fdpass_receive(&fake_wire_sys, THERE, packet, sizeof(packet), &passed, &n_passed);
}

static int send_text(const char *text, int fd)
{
	return fdpass_send(&fake_wire_sys, HERE, text, strlen(text), fd);
}

static bool is_same_file(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

START_TEST(packets_keep_their_bounds)
{
	ck_assert_int_eq(send_text("one", -1), 0);
	ck_assert_int_eq(send_text("three", -1), 0);
	ck_assert_int_eq(receive(), 3);
	ck_assert_mem_eq(packet, "one", 3);
	ck_assert_int_eq(passed, -1);
	ck_assert_uint_eq(n_passed, 0);
	ck_assert_int_eq(receive(), 5);
	ck_assert_mem_eq(packet, "three", 5);
	ck_assert_int_eq(receive(), -EAGAIN);
	ck_assert_int_eq(passed, -1);
	ck_assert_uint_eq(n_passed, 0);
}
END_TEST

START_TEST(a_descriptor_arrives)
{
	int fd = fake_wire_memory(1);

	ck_assert_int_eq(send_text("it", fd), 0);
	ck_assert_int_eq(send_text("nothing", -1), 0);
	ck_assert_int_eq(receive(), 2);
	ck_assert_uint_eq(n_passed, 1);
	ck_assert_int_ge(passed, 0);
	ck_assert_int_ne(passed, fd);
	ck_assert(is_same_file(passed, fd));
	ck_assert_int_eq(fcntl(passed, F_GETFD), FD_CLOEXEC);
	close(passed);
	close(fd);
	ck_assert_int_eq(receive(), 7);
	ck_assert_int_eq(passed, -1);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}
END_TEST

START_TEST(of_many_the_first_is_kept)
{
	int fds[64];

	for (unsigned i = 0; i < 64; i++)
		fds[i] = fake_wire_memory(1);
	for (unsigned n = 2; n <= 64; n++) {
		fake_wire_send(HERE, "many", 4, fds, n);
		ck_assert_int_eq(receive(), 4);
		ck_assert_uint_gt(n_passed, 1);
		ck_assert_uint_le(n_passed, n);
		ck_assert(is_same_file(passed, fds[0]));
		close(passed);
		ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 64);
	}
	for (unsigned i = 0; i < 64; i++)
		close(fds[i]);
}
END_TEST

START_TEST(two_arrive)
{
	int fds[FDPASS_MAX] = {fake_wire_memory(1), fake_wire_memory(1)}, got[FDPASS_MAX];

	for (unsigned n = 0; n <= FDPASS_MAX; n++) {
		ck_assert_int_eq(fdpass_send_some(&fake_wire_sys, HERE, "two", 3, fds, n), 0);
		ck_assert_int_eq(
			fdpass_receive_some(&fake_wire_sys, THERE, packet, sizeof(packet), got, FDPASS_MAX, &n_passed),
			3);
		ck_assert_uint_eq(n_passed, n);
		for (unsigned i = 0; i < FDPASS_MAX; i++) {
			ck_assert((got[i] >= 0) == (i < n));
			ck_assert(got[i] < 0 || is_same_file(got[i], fds[i]));
			close(got[i]);
		}
	}
	/* Neither is left beside an end. */
	ck_assert_int_eq(fdpass_send_some(&fake_wire_sys, HERE, "", 0, fds, FDPASS_MAX), 0);
	ck_assert_int_eq(fdpass_receive_some(&fake_wire_sys, THERE, packet, sizeof(packet), got, FDPASS_MAX, &n_passed),
			 0);
	ck_assert(got[0] == -1 && got[1] == -1);
	close(fds[0]);
	close(fds[1]);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}
END_TEST

START_TEST(too_long_a_packet)
{
	char longer[sizeof(packet) + 1] = "";
	int fd = fake_wire_memory(1);

	fake_wire_send(HERE, longer, sizeof(longer), NULL, 0);
	fake_wire_send(HERE, longer, sizeof(longer), &fd, 1);
	fake_wire_send(HERE, longer, sizeof(packet), &fd, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(receive(), -EMSGSIZE);
		ck_assert_int_eq(passed, -1);
		ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
	}
	ck_assert_int_eq(receive(), sizeof(packet));
	close(passed);
	close(fd);
}
END_TEST

/* A length of 0 means an end: the receiver no longer looks for a descriptor. */
START_TEST(an_empty_packet_brings_nothing)
{
	int fd = fake_wire_memory(1);

	fake_wire_send(HERE, "", 0, &fd, 1);
	ck_assert_int_eq(receive(), 0);
	ck_assert_int_eq(passed, -1);
	close(fd);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}
END_TEST

/* A full table of descriptors. */
START_TEST(no_room_for_a_descriptor)
{
	int fds[2] = {fake_wire_memory(1), fake_wire_memory(1)};
	struct rlimit before, full;
	int last = dup(fds[0]);
	ssize_t length;

	fake_wire_send(HERE, "fullfull", 8, fds, (unsigned)_i);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	full = before;
	full.rlim_cur = (rlim_t)last + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
	length = receive();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(length, 8);
	ck_assert_int_eq(passed, -1);
	ck_assert_uint_eq(n_passed, 1);
	close(last);
	close(fds[0]);
	close(fds[1]);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}
END_TEST

START_TEST(interrupted_calls_are_made_again)
{
	fake_wire.n_interrupted = 3;
	ck_assert_int_eq(send_text("word", -1), 0);
	ck_assert_uint_eq(fake_wire.n_sent, 4);
	fake_wire.n_interrupted = 3;
	ck_assert_int_eq(receive(), 4);
	ck_assert_uint_eq(fake_wire.n_received, 4);
}
END_TEST

START_TEST(a_receiver_that_is_behind)
{
	int fd = fake_wire_memory(1);
	unsigned n = 0;
	int error;

	while (!(error = send_text("more", n % 8 ? -1 : fd)))
		ck_assert_uint_lt(++n, 100000);
	ck_assert_int_eq(error, -EAGAIN);
	ck_assert_uint_gt(n, 0);
	for (; n; n--) {
		ck_assert_int_eq(receive(), 4);
		if (passed >= 0)
			close(passed);
	}
	ck_assert_int_eq(receive(), -EAGAIN);
	ck_assert_int_eq(send_text("again", -1), 0);
	close(fd);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}
END_TEST

START_TEST(the_other_side_has_gone)
{
	ck_assert_int_eq(send_text("last", -1), 0);
	close(HERE);
	ck_assert_int_eq(receive(), 4);
	ck_assert_int_eq(receive(), 0);
	ck_assert_int_eq(passed, -1);
	/* No signal. */
	ck_assert_int_eq(fdpass_send(&fake_wire_sys, THERE, "x", 1, -1), -EPIPE);
	HERE = -1;
	ck_assert_int_eq(send_text("x", -1), -EBADF);
	ck_assert_int_eq(fdpass_receive(&fake_wire_sys, -1, packet, sizeof(packet), &passed, &n_passed), -EBADF);
}
END_TEST

START_TEST(nothing_that_could_be_passed)
{
	ck_assert_int_eq(send_text("x", 1 << 20), -EBADF);
	ck_assert_int_eq(receive(), -EAGAIN);
}
END_TEST

Suite *fdpass_suite(void)
{
	Suite *suite = suite_create("fdpass");
	TCase *tcase = tcase_create("packets");

	tcase_add_checked_fixture(tcase, start, fake_wire_stop);
	tcase_add_test(tcase, packets_keep_their_bounds);
	tcase_add_test(tcase, a_descriptor_arrives);
	tcase_add_test(tcase, of_many_the_first_is_kept);
	tcase_add_test(tcase, two_arrive);
	tcase_add_test(tcase, too_long_a_packet);
	tcase_add_test(tcase, an_empty_packet_brings_nothing);
	tcase_add_loop_test(tcase, no_room_for_a_descriptor, 1, 3);
	tcase_add_test(tcase, interrupted_calls_are_made_again);
	tcase_add_test(tcase, a_receiver_that_is_behind);
	tcase_add_test(tcase, the_other_side_has_gone);
	tcase_add_test(tcase, nothing_that_could_be_passed);
	suite_add_tcase(suite, tcase);
	return suite;
}
