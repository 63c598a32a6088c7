/*
 * Our counts against the kernel's: every verdict from a fake kernel, then with real sockets over loopback.
 */
#include "pool/conn/ledger.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/fake/sys.h"

/* The length of struct tcp_info (linux/tcp.h, part of the kernel's interface) up to the end of tcpi_bytes_retrans. */
#define INFO_LENGTH_NEEDED 216

struct case_ {
	const char *what;
	struct ledger ledger;
	struct fake_socket socket;
	enum ledger_verdict verdict;
};

#define EST .state = FAKE_ESTABLISHED

static const struct case_ CASES[] = {
	{"nothing moved", {0, 0}, {EST}, LEDGER_EXACT},
	{"equal", {100, 2000}, {EST, .bytes_sent = 100, .bytes_received = 2000}, LEDGER_EXACT},
	{"sent again", {100, 0}, {EST, .bytes_sent = 300, .bytes_retrans = 200}, LEDGER_EXACT},
	{"beyond 4 GiB",
	 {1ull << 33, 1ull << 34},
	 {EST, .bytes_sent = 1ull << 33, .bytes_received = 1ull << 34},
	 LEDGER_EXACT},
	{"beyond 4 GiB, equal below", {1ull << 33, 0}, {EST, .bytes_sent = 1ull << 34}, LEDGER_MISMATCH},
	{"one sent elsewhere", {100, 0}, {EST, .bytes_sent = 101}, LEDGER_MISMATCH},
	{"one that never left", {100, 0}, {EST, .bytes_sent = 99}, LEDGER_MISMATCH},
	{"one received elsewhere", {0, 101}, {EST, .bytes_received = 100}, LEDGER_MISMATCH},
	{"one unread", {0, 99}, {EST, .bytes_received = 100}, LEDGER_SURPLUS},
	{"unread and unacknowledged", {0, 99}, {EST, .bytes_received = 100, .unacked = 1}, LEDGER_SURPLUS},
	{"unacknowledged", {100, 0}, {EST, .bytes_sent = 100, .unacked = 1}, LEDGER_IN_FLIGHT},
	{"sent again, unacknowledged",
	 {100, 0},
	 {EST, .bytes_sent = 300, .bytes_retrans = 200, .unacked = 1},
	 LEDGER_IN_FLIGHT},
	{"unacknowledged, one sent elsewhere", {100, 0}, {EST, .bytes_sent = 101, .unacked = 1}, LEDGER_UNSETTLED},
	{"unacknowledged, one received elsewhere",
	 {100, 9},
	 {EST, .bytes_sent = 100, .bytes_received = 8, .unacked = 1},
	 LEDGER_UNSETTLED},
	{"not sent yet", {100, 0}, {EST, .bytes_sent = 60, .notsent_bytes = 40}, LEDGER_UNSETTLED},
	{"FIN came", {0, 0}, {.state = FAKE_CLOSE_WAIT}, LEDGER_CLOSED},
	{"FIN came behind data", {0, 0}, {.state = FAKE_CLOSE_WAIT, .bytes_received = 9}, LEDGER_CLOSED},
	{"reset", {100, 0}, {.state = FAKE_CLOSE, .bytes_sent = 100, .unacked = 1}, LEDGER_CLOSED},
	{"connecting", {0, 0}, {.state = 2}, LEDGER_CLOSED},
	{"our own FIN is out", {0, 0}, {.state = 4}, LEDGER_CLOSED},
	{"no state at all", {0, 0}, {.state = 0}, LEDGER_CLOSED},
};

START_TEST(each_verdict)
{
	const struct case_ *c = &CASES[_i];
	int fd = fake_socket_new();
	socklen_t length = fake_socket(fd)->info_length;

	*fake_socket(fd) = c->socket;
	fake_socket(fd)->is_open = true;
	fake_socket(fd)->info_length = length;
	ck_assert_msg(ledger_check(&fake_sys, fd, &c->ledger, NULL) == c->verdict, "%s", c->what);
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_GETSOCKOPT], 1);
}
END_TEST

START_TEST(what_an_abrupt_end_would_take_back)
{
	static const struct {
		struct fake_socket socket;
		bool has_unsent;
	} cases[] = {
		{{EST}, false},
		{{EST, .bytes_sent = 100}, false},
		{{EST, .bytes_sent = 100, .unacked = 1}, true},
		{{EST, .notsent_bytes = 1}, true},
		{{.state = FAKE_CLOSE_WAIT, .unacked = 1}, true},
		{{.state = FAKE_CLOSE_WAIT}, false},
		{{.state = FAKE_CLOSE, .unacked = 1}, false},
		{{.state = 2, .unacked = 1}, false}, /* its own SYN */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = fake_socket_new();
		socklen_t length = fake_socket(fd)->info_length;

		*fake_socket(fd) = cases[i].socket;
		fake_socket(fd)->is_open = true;
		fake_socket(fd)->info_length = length;
		ck_assert_msg(ledger_has_unsent(&fake_sys, fd) == cases[i].has_unsent, "%zu", i);
	}
}
END_TEST

START_TEST(reading_is_given)
{
	struct ledger ledger = {0, 0};
	struct ledger_reading reading = {0};
	int fd = fake_socket_new();

	fake_socket(fd)->rtt_us = 12345;
	fake_socket(fd)->bytes_received = 1ull << 40;
	fake_socket(fd)->last_ack_ms = 777;
	fake_socket(fd)->last_data_ms = 888;
	fake_socket(fd)->state = FAKE_CLOSE_WAIT;
	ck_assert_int_eq(ledger_check(&fake_sys, fd, &ledger, &reading), LEDGER_CLOSED);
	ck_assert_uint_eq(reading.rtt_us, 12345);
	ck_assert_uint_eq(reading.received, 1ull << 40);
	ck_assert_uint_eq(reading.last_ack_ms, 777);
	ck_assert_uint_eq(reading.last_data_ms, 888);
}
END_TEST

START_TEST(a_kernel_that_does_not_tell)
{
	struct ledger ledger = {0, 0};
	struct ledger_reading reading = {1, 2, 4, 3};
	int fd = fake_socket_new();

	for (socklen_t length = 0; length < INFO_LENGTH_NEEDED; length++) {
		fake_socket(fd)->info_length = length;
		ck_assert_int_eq(ledger_check(&fake_sys, fd, &ledger, &reading), LEDGER_UNKNOWN);
	}
	fake_socket(fd)->info_length = INFO_LENGTH_NEEDED;
	fake_sys_fail(FAKE_CALL_GETSOCKOPT, 1, 1, ENOPROTOOPT);
	ck_assert_int_eq(ledger_check(&fake_sys, fd, &ledger, &reading), LEDGER_UNKNOWN);
	ck_assert_uint_eq(reading.rtt_us, 1);
	ck_assert_uint_eq(reading.received, 2);
	ck_assert_uint_eq(reading.last_ack_ms, 3);
	ck_assert_int_eq(ledger_check(&fake_sys, fd, &ledger, &reading), LEDGER_EXACT);
}
END_TEST

/* The real kernel from here on. */

static const struct pool_sys real_sys = {.getsockopt = getsockopt};
static int ours, theirs;
static struct ledger counted;

static void connect_pair(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int small = 4096;

	ck_assert_int_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ours = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(ours, (struct sockaddr *)&address, length), 0);
	theirs = accept(listener, NULL, NULL);
	ck_assert_int_ge(theirs, 0);
	close(listener);
	counted = (struct ledger){0, 0};
}

static void close_pair(void)
{
	close(ours);
	close(theirs);
}

static enum ledger_verdict check(struct ledger_reading *reading)
{
	return ledger_check(&real_sys, ours, &counted, reading);
}

/* An acknowledgement may take its 40 ms. */
static enum ledger_verdict settled(void)
{
	enum ledger_verdict verdict = check(NULL);

	for (int i = 0; (verdict == LEDGER_UNSETTLED || verdict == LEDGER_IN_FLIGHT) && i < 2000; i++) {
		poll(NULL, 0, 1);
		verdict = check(NULL);
	}
	return verdict;
}

static void wait_for(int fd, short events)
{
	struct pollfd wanted = {.fd = fd, .events = events};

	ck_assert_int_eq(poll(&wanted, 1, 5000), 1);
}

START_TEST(real_bytes_sent)
{
	char buffer[100] = "";

	ck_assert_int_eq(check(NULL), LEDGER_EXACT);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(send(ours, buffer, sizeof(buffer), 0), sizeof(buffer));
		counted.sent += sizeof(buffer);
		ck_assert_int_eq(recv(theirs, buffer, sizeof(buffer), MSG_WAITALL), sizeof(buffer));
		ck_assert_int_eq(settled(), LEDGER_EXACT);
	}
	ck_assert_int_eq(send(ours, buffer, 1, 0), 1); /* uncounted */
	ck_assert_int_eq(settled(), LEDGER_MISMATCH);
	counted.sent += 2;
	ck_assert_int_eq(settled(), LEDGER_MISMATCH);
}
END_TEST

START_TEST(real_bytes_received_and_unread)
{
	struct ledger_reading reading;
	char buffer[100] = "";

	ck_assert_int_eq(send(theirs, buffer, sizeof(buffer), 0), sizeof(buffer));
	wait_for(ours, POLLIN);
	ck_assert_int_eq(check(&reading), LEDGER_SURPLUS);
	ck_assert_uint_eq(reading.received, 100);
	ck_assert_int_eq(recv(ours, buffer, 99, 0), 99);
	counted.received = 99;
	ck_assert_int_eq(check(NULL), LEDGER_SURPLUS);
	ck_assert_int_eq(recv(ours, buffer, 1, MSG_PEEK), 1);
	ck_assert_int_eq(check(NULL), LEDGER_SURPLUS);
	ck_assert_int_eq(recv(ours, buffer, 1, 0), 1);
	counted.received = 100;
	ck_assert_int_eq(check(&reading), LEDGER_EXACT);
	ck_assert_uint_gt(reading.rtt_us, 0);
	counted.received = 101;
	ck_assert_int_eq(check(NULL), LEDGER_MISMATCH);
}
END_TEST

START_TEST(real_bytes_that_do_not_leave)
{
	static char buffer[65536];
	ssize_t n;
	size_t left;

	while ((n = send(ours, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		counted.sent += (uint64_t)n;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(check(NULL), LEDGER_UNSETTLED);
	poll(NULL, 0, 100); /* longer than the delay of an acknowledgement */
	ck_assert_int_eq(check(NULL), LEDGER_UNSETTLED);
	for (left = counted.sent; left; left -= (size_t)n) {
		n = recv(theirs, buffer, sizeof(buffer), 0);
		ck_assert_int_gt(n, 0);
	}
	ck_assert_int_eq(settled(), LEDGER_EXACT);
}
END_TEST

START_TEST(real_fin)
{
	struct ledger_reading reading;

	ck_assert_int_eq(send(theirs, "bye", 3, 0), 3);
	ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
	wait_for(ours, POLLRDHUP);
	ck_assert_int_eq(check(&reading), LEDGER_CLOSED);
	ck_assert(reading.received == 3 || reading.received == 4); /* Linux counts a FIN as one */
	poll(NULL, 0, 100);
	ck_assert_int_eq(check(&reading), LEDGER_CLOSED);
	ck_assert_uint_ge(reading.last_ack_ms, 80); /* since the FIN arrived */
	ck_assert_uint_lt(reading.last_ack_ms, 2000);
}
END_TEST

START_TEST(real_rst)
{
	struct linger abort = {1, 0};

	ck_assert_int_eq(setsockopt(theirs, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)), 0);
	close(theirs);
	wait_for(ours, POLLRDHUP);
	ck_assert_int_eq(check(NULL), LEDGER_CLOSED);
	theirs = -1;
}
END_TEST

START_TEST(real_descriptors_that_are_no_connection)
{
	struct ledger_reading reading;
	int fresh = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0), file = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(ledger_check(&real_sys, fresh, &counted, &reading), LEDGER_CLOSED);
	ck_assert_int_eq(ledger_check(&real_sys, udp, &counted, &reading), LEDGER_UNKNOWN);
	ck_assert_int_eq(ledger_check(&real_sys, local, &counted, &reading), LEDGER_UNKNOWN);
	ck_assert_int_eq(ledger_check(&real_sys, file, &counted, &reading), LEDGER_UNKNOWN);
	ck_assert_int_eq(ledger_check(&real_sys, -1, &counted, &reading), LEDGER_UNKNOWN);
	close(fresh);
	close(udp);
	close(local);
	close(file);
}
END_TEST

/* The answer to a fence of 8 bytes, of which 2 are proven. */
static const struct case_ FENCED[] = {
	{"not read by the server", {100, 9}, {EST, .bytes_sent = 100, .bytes_received = 9, .unacked = 1}, LEDGER_EXACT},
	{"not answered", {100, 9}, {EST, .bytes_sent = 100, .bytes_received = 9}, LEDGER_EXACT},
	{"begun", {100, 9}, {EST, .bytes_sent = 100, .bytes_received = 10}, LEDGER_EXACT},
	{"answered", {100, 9}, {EST, .bytes_sent = 100, .bytes_received = 15}, LEDGER_EXACT},
	{"answered otherwise", {100, 9}, {EST, .bytes_sent = 100, .bytes_received = 16}, LEDGER_EXACT},
	{"sent elsewhere", {100, 9}, {EST, .bytes_sent = 101, .bytes_received = 9}, LEDGER_MISMATCH},
	{"not sent yet", {100, 9}, {EST, .bytes_sent = 90, .bytes_received = 9, .notsent_bytes = 10}, LEDGER_UNSETTLED},
	{"ended", {100, 9}, {.state = FAKE_CLOSE_WAIT, .bytes_sent = 100, .bytes_received = 15}, LEDGER_CLOSED},
};

START_TEST(an_awaited_answer_may_have_come)
{
	const struct case_ *c = &FENCED[_i];
	const struct fence due = {.n_due = 8, .n_proven = 2}, none = {.n_due = 8, .n_proven = 8};
	int fd = fake_socket_new();
	socklen_t length = fake_socket(fd)->info_length;

	*fake_socket(fd) = c->socket;
	fake_socket(fd)->is_open = true;
	fake_socket(fd)->info_length = length;
	ck_assert_msg(ledger_check_fenced(&fake_sys, fd, &c->ledger, &due, NULL) == c->verdict, "%s", c->what);
	ck_assert_msg(ledger_check_fenced(&fake_sys, fd, &c->ledger, &none, NULL) ==
			      ledger_check(&fake_sys, fd, &c->ledger, NULL),
		      "%s", c->what);
}
END_TEST

Suite *ledger_suite(void)
{
	Suite *suite = suite_create("ledger");
	TCase *fake = tcase_create("fake kernel");
	TCase *real = tcase_create("real kernel");

	tcase_add_checked_fixture(fake, fake_sys_start, fake_sys_stop);
	tcase_add_loop_test(fake, each_verdict, 0, sizeof(CASES) / sizeof(CASES[0]));
	tcase_add_loop_test(fake, an_awaited_answer_may_have_come, 0, sizeof(FENCED) / sizeof(FENCED[0]));
	tcase_add_test(fake, reading_is_given);
	tcase_add_test(fake, what_an_abrupt_end_would_take_back);
	tcase_add_test(fake, a_kernel_that_does_not_tell);
	suite_add_tcase(suite, fake);
	tcase_add_checked_fixture(real, connect_pair, close_pair);
	tcase_set_timeout(real, 30);
	tcase_add_test(real, real_bytes_sent);
	tcase_add_test(real, real_bytes_received_and_unread);
	tcase_add_test(real, real_bytes_that_do_not_leave);
	tcase_add_test(real, real_fin);
	tcase_add_test(real, real_rst);
	tcase_add_test(real, real_descriptors_that_are_no_connection);
	suite_add_tcase(suite, real);
	return suite;
}
