/* Whole exchanges with blocking reads: the bytes, their end, and the state of the socket afterwards. */
#include "tests/lib/probe.h"

static void finish(int fd)
{
	probe_drain(fd);
	probe_poll("after the end", fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0);
	probe_read(fd, 10);
	CALL(close(fd));
	CALL(close(fd));
}

static void close_delimited(const char *path)
{
	int fd = probe_dial();

	say("fd %d path %s", fd, path);
	probe_ask(fd, path);
	finish(fd);
}

static void send_text(int fd, const char *text)
{
	say("sent %ld of %zu", (long)send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void send_and_finish(const char *text)
{
	int fd = probe_dial();

	send_text(fd, text);
	finish(fd);
}

static void run_plain(void)
{
	close_delimited("/bytes/100");
}
static void run_empty(void)
{
	close_delimited("/bytes/0");
}
static void run_large(void)
{
	close_delimited("/bytes/300000");
}
static void run_chunked(void)
{
	close_delimited("/chunked/5000");
}
static void run_204(void)
{
	close_delimited("/204");
}
static void run_304(void)
{
	close_delimited("/304");
}
static void run_two_pieces(void)
{
	close_delimited("/slow-two-pieces/5");
}
static void run_drip(void)
{
	close_delimited("/drip/20");
}
static void run_close_header(void)
{
	close_delimited("/close-header");
}
static void run_http10_answer(void)
{
	close_delimited("/http10");
}
static void run_no_length(void)
{
	close_delimited("/no-length");
}
static void run_no_length_kept(void)
{
	close_delimited("/no-length-kept");
}
static void run_no_length_kept10(void)
{
	int fd = probe_dial();

	probe_ask10(fd, "/no-length-kept");
	finish(fd);
}
/* A program that polls and reads only available bytes. */
static void run_no_length_kept_polled(void)
{
	int fd = probe_dial_nonblocking();

	probe_ask(fd, "/no-length-kept");
	finish(fd);
}
/* Its poll when the end has come, but is not read. */
static void run_no_length_kept_revents(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/no-length-kept");
	probe_read(fd, 50);
	probe_settle();
	probe_poll("before the end", fd, POLLIN | POLLRDHUP, 2000);
	finish(fd);
}
static void run_garbage(void)
{
	close_delimited("/garbage");
}
static void run_surplus(void)
{
	close_delimited("/surplus");
}
static void run_long_surplus(void)
{
	close_delimited("/surplus/100");
}
static void run_both_lengths(void)
{
	close_delimited("/both-lengths");
}
static void run_two_lengths(void)
{
	close_delimited("/two-lengths");
}
static void run_bad_chunk(void)
{
	close_delimited("/bad-chunk");
}
static void run_bare_lf(void)
{
	close_delimited("/bare-lf");
}
static void run_204_with_body(void)
{
	close_delimited("/204-with-body");
}
static void run_interim(void)
{
	close_delimited("/interim/2");
}
static void run_ntlm(void)
{
	close_delimited("/ntlm");
}
static void run_408(void)
{
	close_delimited("/status/408");
}
static void run_500(void)
{
	close_delimited("/status/500");
}
static void run_big_header(void)
{
	close_delimited("/big-header/100000");
}

static void run_http10(void)
{
	int fd = probe_dial();

	probe_ask10(fd, "/bytes/100");
	finish(fd);
}

static void run_http10_keep(void)
{
	int fd = probe_dial();

	send_text(fd, "GET /bytes/10 HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
	probe_read_answer(fd);
	probe_poll("kept", fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	probe_ask10(fd, "/bytes/20");
	finish(fd);
}

static void run_keep(void)
{
	int fd = probe_dial();

	for (int i = 0; i < 3; i++) {
		probe_ask_keep(fd, "/bytes/50");
		probe_read_answer(fd);
		probe_poll("kept", fd, POLLIN | POLLOUT | POLLRDHUP, 20);
	}
	CALL(close(fd));
}

static void run_keep_then_close(void)
{
	int fd = probe_dial();

	probe_ask_keep(fd, "/bytes/50");
	probe_read_answer(fd);
	probe_ask(fd, "/bytes/60");
	finish(fd);
}

static void run_pipelined(void)
{
	send_and_finish(
		"GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\nGET /bytes/20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

static void run_pipelined_after_close(void)
{
	send_and_finish("GET /bytes/10 HTTP/1.1\r\nConnection: close\r\n\r\nGET /bytes/20 HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void run_head(void)
{
	send_and_finish("HEAD /bytes/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}
static void run_options(void)
{
	send_and_finish("OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}
static void run_post(void)
{
	send_and_finish("POST /body HTTP/1.1\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world");
}

static void run_post_chunked(void)
{
	send_and_finish(
		"POST /body HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

static void run_put_http10(void)
{
	send_and_finish("PUT /body HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
}
static void run_early(void)
{
	send_and_finish("POST /early HTTP/1.1\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nhello");
}

static void run_expect(void)
{
	int fd = probe_dial();

	send_text(fd, "POST /body HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	probe_poll("continue", fd, POLLIN, 2000);
	probe_read(fd, 1000);
	send_text(fd, "hello");
	finish(fd);
}

static void run_expect_refused(void)
{
	send_and_finish(
		"POST /status/417 HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
}

static void run_upgrade(void)
{
	int fd = probe_dial();

	send_text(fd, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
	probe_poll("upgraded", fd, POLLIN, 2000);
	probe_read(fd, 1000);
	send_text(fd, "GET /not-http HTTP/1.1\r\nConnection: close\r\n\r\n");
	probe_poll("echoed", fd, POLLIN, 2000);
	probe_read(fd, 1000);
	CALL(shutdown(fd, SHUT_WR));
	finish(fd);
}

static void run_upgrade_ignored(void)
{
	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();

		send_text(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
		probe_poll("answered", fd, POLLIN, 2000);
		probe_read(fd, 1000);
		CALL(close(fd));
	}
}

/* A tunnel whose first bytes look like requests, on a connection that others used: no byte is changed, and it is not
 * kept. */
static void run_upgrade_again(void)
{
	for (int i = 0; i < 3; i++)
		run_upgrade();
}

/* The wish to close is sent before the offer. */
static void run_upgrade_in_pieces(void)
{
	static const char *const paths[] = {"bytes/10", "upgrade", "bytes/20"};

	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();
		char head[64];

		snprintf(head, sizeof head, "GET /%s HTTP/1.1\r\nConnection: close, Upgrade\r\n", paths[i]);
		send_text(fd, head);
		send_text(fd, "Upgrade: echo\r\n\r\n");
		probe_poll("answered", fd, POLLIN, 2000);
		if (i == 1) {
			probe_read(fd, 1000);
			send_text(fd, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
			probe_poll("echoed", fd, POLLIN, 2000);
			probe_read(fd, 1000);
			CALL(shutdown(fd, SHUT_WR));
		}
		finish(fd);
	}
}

static void run_in_three_pieces(void)
{
	int fd = probe_dial();

	send_text(fd, "GET /bytes/100 HT");
	send_text(fd, "TP/1.1\r\nHost: x\r\nConn");
	send_text(fd, "ection: close\r\n\r\n");
	finish(fd);
}

static void run_byte_by_byte(void)
{
	static const char request[] = "GET /bytes/30 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	int fd = probe_dial();
	long total = 0;
	char byte;

	for (size_t i = 0; i < sizeof request - 1; i++)
		if (write(fd, request + i, 1) != 1)
			say("write failed at %zu", i);
	while (read(fd, &byte, 1) == 1)
		total++;
	say("read %ld bytes one by one", total);
	finish(fd);
}

static void run_not_http(void)
{
	int fd = probe_dial();

	send_text(fd, "\x16\x03\x01 this is something else\r\n\r\n");
	finish(fd);
}

static void run_nothing_sent(void)
{
	int fd = probe_dial();

	probe_poll("idle", fd, POLLIN | POLLOUT | POLLRDHUP, 20);
	CALL(close(fd));
	fd = probe_dial();
	say("next fd %d", fd);
	probe_ask(fd, "/bytes/5");
	finish(fd);
}

static void run_not_read(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/500");
	probe_settle();
	CALL(close(fd));
	close_delimited("/bytes/7");
}

static void run_half_read(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/500");
	probe_settle();
	probe_read(fd, 100);
	CALL(close(fd));
	close_delimited("/bytes/7");
}

static void run_abandoned_keep(void)
{
	int fd = probe_dial();

	probe_ask_keep(fd, "/bytes/50");
	probe_read_answer(fd);
	CALL(close(fd));
	close_delimited("/bytes/7");
}

static void run_ten(void)
{
	for (int i = 0; i < 10; i++)
		close_delimited("/bytes/100");
}

static void run_two_open(void)
{
	int first = probe_dial(), second = probe_dial();

	probe_ask(first, "/bytes/100");
	probe_ask(second, "/bytes/200");
	finish(second);
	finish(first);
	close_delimited("/bytes/7");
}

/* A server that was asked to close reads nothing behind the last request: it ends by FIN or RST, by chance. (If it was
 * not asked to, it answers another request before it ends.) */
static void run_sent_behind(void)
{
	static const char *const behind[] = {"\r\n", "\n", "\r\n\r\n", "x",
					     "GET /bytes/20 HTTP/1.1\r\nHost: x\r\n\r\n"};

	for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
		int fd = probe_dial();
		char bytes[4096];
		long n, total = 0;

		probe_ask(fd, "/slow-two-pieces/50");
		usleep(10000);
		CALL(send(fd, behind[i], strlen(behind[i]), MSG_NOSIGNAL) > 0);
		alarm(10);
		while ((n = read(fd, bytes, sizeof bytes)) > 0)
			total += n;
		alarm(0);
		say("%ld bytes", total < 164 ? total : 164);
		CALL(close(fd));
		probe_exchange("/bytes/10");
	}
}

static const struct probe_case cases[] = {
	{"sent-behind", run_sent_behind},
	{"plain", run_plain},
	{"empty", run_empty},
	{"large", run_large},
	{"chunked", run_chunked},
	{"204", run_204},
	{"304", run_304},
	{"two-pieces", run_two_pieces},
	{"drip", run_drip},
	{"close-header", run_close_header},
	{"http10-answer", run_http10_answer},
	{"no-length", run_no_length},
	{"no-length-kept", run_no_length_kept},
	{"no-length-kept-1.0", run_no_length_kept10},
	{"no-length-kept-polled", run_no_length_kept_polled},
	{"no-length-kept-revents", run_no_length_kept_revents},
	{"garbage", run_garbage},
	{"surplus", run_surplus},
	{"long-surplus", run_long_surplus},
	{"both-lengths", run_both_lengths},
	{"two-lengths", run_two_lengths},
	{"bad-chunk", run_bad_chunk},
	{"bare-lf", run_bare_lf},
	{"204-with-body", run_204_with_body},
	{"interim", run_interim},
	{"ntlm", run_ntlm},
	{"408", run_408},
	{"500", run_500},
	{"big-header", run_big_header},
	{"http10", run_http10},
	{"http10-keep", run_http10_keep},
	{"keep", run_keep},
	{"keep-then-close", run_keep_then_close},
	{"pipelined", run_pipelined},
	{"pipelined-after-close", run_pipelined_after_close},
	{"head", run_head},
	{"options", run_options},
	{"post", run_post},
	{"post-chunked", run_post_chunked},
	{"put-http10", run_put_http10},
	{"early", run_early},
	{"expect", run_expect},
	{"expect-refused", run_expect_refused},
	{"upgrade", run_upgrade},
	{"upgrade-ignored", run_upgrade_ignored},
	{"upgrade-again", run_upgrade_again},
	{"upgrade-in-pieces", run_upgrade_in_pieces},
	{"in-three-pieces", run_in_three_pieces},
	{"byte-by-byte", run_byte_by_byte},
	{"not-http", run_not_http},
	{"nothing-sent", run_nothing_sent},
	{"not-read", run_not_read},
	{"half-read", run_half_read},
	{"abandoned-keep", run_abandoned_keep},
	{"ten", run_ten},
	{"two-open", run_two_open},
};
PROBE_MAIN(cases)
