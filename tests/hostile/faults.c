/* See faults.h. The framings of RFC 9112 6 and 7, and messages that follow none of them. */
#include "tests/hostile/faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CLOSE "Connection: close\r\n\r\n"
#define GET "GET /a HTTP/1.1\r\nHost: x\r\n" CLOSE
#define GET_KEPT "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n" CLOSE "body"
#define OK "HTTP/1.1 200 OK\r\n"
#define ENTRY(entry_name, entry_request, entry_answer, ...)                                                    \
	{                                                                                                      \
		.name = (entry_name), .request = (entry_request), .request_length = sizeof(entry_request) - 1, \
		.answer = (entry_answer), .answer_length = sizeof(entry_answer) - 1, __VA_ARGS__               \
	}
#define SAFE .is_idempotent = 1

const char *const faults_names[N_FAULTS] = {"none",	     "request-fin", "request-rst", "request-split",
					    "request-pause", "answer-fin",  "answer-rst",  "answer-split",
					    "answer-pause",  "answer-drip"};

const struct framing faults_framings[] = {
	ENTRY("length", GET, OK "Content-Length: 10\r\n\r\n0123456789", SAFE),
	ENTRY("chunked", GET, OK "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n", SAFE),
	ENTRY("post", POST, OK "Content-Length: 10\r\n\r\n0123456789"),
	ENTRY("http-1.0", "GET /a HTTP/1.0\r\n\r\n", OK "Content-Length: 10\r\n\r\n0123456789", SAFE),
	ENTRY("no-length", GET, OK "\r\n0123456789", .server_closes = 1, SAFE),
	ENTRY("length-kept", GET_KEPT, OK "Content-Length: 10\r\n\r\n0123456789", .is_kept = 1, SAFE),
	ENTRY("empty", GET, OK "Content-Length: 0\r\n\r\n", SAFE),
	ENTRY("head", "HEAD /a HTTP/1.1\r\nHost: x\r\n" CLOSE, OK "Content-Length: 10\r\n\r\n", SAFE),
	ENTRY("options", "OPTIONS * HTTP/1.1\r\nHost: x\r\n" CLOSE, OK "Allow: GET\r\nContent-Length: 0\r\n\r\n", SAFE),
	ENTRY("absolute", "GET http://x/a HTTP/1.1\r\nHost: x\r\n" CLOSE, OK "Content-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("204", GET, "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", SAFE),
	ENTRY("304", GET, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\n", SAFE),
	ENTRY("chunked-trailers", GET,
	      OK
	      "Transfer-Encoding: chunked\r\n\r\n00A;name=\"va\\\"lue\"\r\n0123456789\r\n000\r\nX-Sum: 1\r\nX-More:\r\n\r\n",
	      SAFE),
	ENTRY("chunked-kept", GET_KEPT, OK "transfer-encoding:chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
	      .is_kept = 1, SAFE),
	ENTRY("continue", "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n" CLOSE "body",
	      "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi"),
	ENTRY("refused", "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n" CLOSE "body",
	      "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"),
	ENTRY("early-hints", GET, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi",
	      SAFE),
	ENTRY("post-chunked",
	      "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" CLOSE "4\r\nbody\r\n0\r\n\r\n",
	      OK "Content-Length: 2\r\n\r\nhi"),
	ENTRY("put", "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" CLOSE,
	      "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
	ENTRY("keep-alive-timeout", GET, OK "Keep-Alive: timeout=5, max=9\r\nContent-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("answer-1.0-kept", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", .is_kept = 1, SAFE),
	ENTRY("answer-1.0", GET, "HTTP/1.0 200 OK\r\n\r\n0123456789", .server_closes = 1, SAFE),
	ENTRY("answer-1.0-length", GET, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", .server_closes = 1, SAFE),
	ENTRY("answer-closes", GET, OK "Content-Length: 2\r\nConnection: close\r\n\r\nhi", .server_closes = 1, SAFE),
	ENTRY("upgrade", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
	      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nHTTP/1.1 bytes",
	      .server_closes = 1, SAFE),
	ENTRY("connect", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", OK "\r\nContent-Length: 0\r\n\r\n",
	      .server_closes = 1),
	ENTRY("ntlm", "GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: NTLM abcd\r\n\r\n",
	      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM efgh\r\nContent-Length: 0\r\n\r\n", .is_kept = 1),
	ENTRY("two-requests", GET_KEPT GET, OK "Content-Length: 1\r\n\r\na" OK "Content-Length: 1\r\n\r\nb", SAFE),
	/* Messages that readers interpret differently: none may be followed by a reuse. The server stays if it is asked
	 * to. */
	ENTRY("no-length-kept", GET, OK "\r\n0123456789", SAFE),
	ENTRY("surplus", GET, OK "Content-Length: 2\r\n\r\nhi and more", .surplus_length = 9, SAFE),
	ENTRY("surplus-answer", GET, OK "Content-Length: 2\r\n\r\nhi" OK "Content-Length: 2\r\n\r\nha",
	      .surplus_length = 40, SAFE),
	ENTRY("same-length-twice", GET, OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("two-lengths", GET, OK "Content-Length: 2\r\nContent-Length: 4\r\n\r\nhigh", SAFE),
	ENTRY("list-of-lengths", GET, OK "Content-Length: 2, 2\r\n\r\nhi", SAFE),
	ENTRY("length-and-chunked", GET,
	      OK "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", SAFE),
	ENTRY("negative-length", GET, OK "Content-Length: -2\r\n\r\nhi", SAFE),
	ENTRY("huge-length", GET, OK "Content-Length: 18446744073709551618\r\n\r\nhi", SAFE),
	ENTRY("odd-length", GET, OK "Content-Length: +2\r\n\r\nhi", SAFE),
	ENTRY("other-coding", GET, OK "Transfer-Encoding: gzip\r\n\r\nhi", SAFE),
	ENTRY("chunked-not-last", GET, OK "Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
	      .server_closes = 1, SAFE),
	ENTRY("huge-chunk", GET, OK "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n",
	      .server_closes = 1, SAFE),
	ENTRY("odd-chunk", GET, OK "Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", SAFE),
	ENTRY("chunk-without-end", GET, OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n", SAFE),
	ENTRY("bare-lf", GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", SAFE),
	ENTRY("bare-cr", GET, OK "X: a\rContent-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("folded", GET, OK "X: a\r\n b\r\nContent-Length:\r\n 2\r\n\r\nhi", SAFE),
	ENTRY("space-before-colon", GET, OK "Content-Length : 2\r\n\r\nhi", SAFE),
	ENTRY("nul-in-header", GET, OK "X: a\0b\r\nContent-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("leading-line", GET, "\r\n" OK "Content-Length: 2\r\n\r\nhi", SAFE),
	ENTRY("http-0.9", GET, "<html>hi</html>", SAFE),
	ENTRY("garbage", GET, "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", SAFE),
	ENTRY("nothing", GET, "", .server_closes = 1, SAFE),
};
const size_t faults_n_framings = sizeof(faults_framings) / sizeof(*faults_framings);

struct plan *faults_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *page = fd >= 0 ? mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	return page == MAP_FAILED ? NULL : page;
}
