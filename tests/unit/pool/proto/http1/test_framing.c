/*
 * Where messages end and whether they are canonical: a table of exchanges, each fed whole, cut at every byte, and byte
 * by byte; the verdict must be the same.
 */
#include "pool/proto/http1/framing.h"

#include <check.h>
#include <string.h>

enum {
	ENDED = 1, /* response_ended */
	BOUNDARY = 2,
	KEEP = 4, /* framing_can_keep(), provided that a wish to close was withheld */
	REPLAY = 8,
	CLOSES = 16, /* server_closes */
	WANTED = 32, /* close_wanted */
	LOST = 64,
	KEPT = ENDED | BOUNDARY | KEEP | REPLAY,
	DONE = ENDED | BOUNDARY | REPLAY,
};

struct exchange {
	const char *request;
	const char *response;
	bool fin;
	enum framing_doubt doubt;
	unsigned is;
	unsigned n_requests, n_outstanding; /* both zero: 1, 0 */
};

#define NOT_CANONICAL FRAMING_DOUBT_NOT_CANONICAL
#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define UPGRADE \
	"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(fields, body) "POST /p HTTP/1.1\r\n" fields "\r\n" body
#define OK(fields, body) "HTTP/1.1 200 OK\r\n" fields "\r\n" body
#define LENGTH_0 "Content-Length: 0\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct exchange EXCHANGES[] = {
	/* Canonical. */
	{GET, OK("Content-Length: 5\r\n", "hello"), .is = KEPT},
	{GET, OK(LENGTH_0, ""), .is = KEPT},
	{GET, "HTTP/1.1 200\r\n" LENGTH_0 "\r\n", .is = KEPT},
	{GET, "HTTP/1.1 200 \r\n" LENGTH_0 "\r\n", .is = KEPT},
	{GET, "HTTP/1.1 404 Not \xff\tFound\r\ncontent-LENGTH:\t 007  \r\n\r\n1234567", .is = KEPT},
	{GET_CLOSE, OK(LENGTH_0, ""), .is = KEPT | WANTED},
	{GET_CLOSE, OK(LENGTH_0 "Connection: close\r\n", ""), .is = DONE | WANTED | CLOSES},
	{GET, OK(LENGTH_0 "Connection: foo, ClOsE ,bar\r\n", ""), .is = DONE | CLOSES},
	{GET, OK(LENGTH_0 "Connection: closed, enclose, close d\r\n", ""), .is = KEPT},
	{GET, OK(LENGTH_0 "Proxy-Connection: close\r\n", ""), .is = DONE | CLOSES},
	{GET, OK(CHUNKED, "5\r\nhello\r\n0\r\n\r\n"), .is = KEPT},
	{GET, OK(CHUNKED, "1a;n=v;q=\"x;y\"\r\nabcdefghijklmnopqrstuvwxyz\r\n000\r\n\r\n"), .is = KEPT},
	{GET, OK(CHUNKED, "1\r\na\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nConnection: close\r\n\r\n"), .is = KEPT},
	{HEAD, OK("Content-Length: 500\r\n", ""), .is = KEPT},
	{HEAD, OK(CHUNKED, ""), .is = KEPT},
	{HEAD, OK("", ""), .is = KEPT},
	{GET, "HTTP/1.1 204 No Content\r\n\r\n", .is = KEPT},
	{GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", .is = KEPT},
	{GET, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK(LENGTH_0, ""), .is = KEPT},
	{GET, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" OK("Content-Length: 1\r\n", "x"), .is = KEPT},
	{GET GET HEAD, OK("Content-Length: 1\r\n", "x") OK(CHUNKED, "0\r\n\r\n") OK("Content-Length: 9\r\n", ""),
	 .is = KEPT, .n_requests = 3},
	{GET GET, OK("Content-Length: 1\r\n", "x"), .is = REPLAY, .n_requests = 2, .n_outstanding = 1},
	{POST("Content-Length: 3\r\n", "abc"), OK(LENGTH_0, ""), .is = KEPT},
	{POST(CHUNKED, "3\r\nabc\r\n0\r\n\r\n"), OK(LENGTH_0, ""), .is = KEPT},
	{POST("Content-Length: 3\r\n", "ab"), OK(LENGTH_0, ""), .is = ENDED},
	{POST(CHUNKED, "3\r\nabc\r\n0\r\n"), OK(LENGTH_0, ""), .is = ENDED},
	{"OPTIONS * HTTP/1.1\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT},
	{"GET /\xc3\xbc?a=b#c HTTP/1.1\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT},
	{"POST / HTTP/1.1\r\nContent-Le", "", .is = REPLAY, .n_outstanding = 1},
	{"GE", "", .is = REPLAY, .n_outstanding = 1},
	{GET, "", .is = REPLAY, .n_requests = 1, .n_outstanding = 1},
	{GET, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", .is = REPLAY, .n_requests = 1, .n_outstanding = 1},

	/* HTTP/1.0. */
	{"GET / HTTP/1.0\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT | WANTED},
	{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT},
	{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT | WANTED},
	{GET, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", .is = DONE | CLOSES},
	{GET, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", .is = KEPT},
	{GET, "HTTP/1.0 200 OK\r\n" CHUNKED "\r\n0\r\n\r\n", .fin = true, .doubt = NOT_CANONICAL, .is = DONE | CLOSES},

	/* Delimited by the connection's end. */
	{GET, OK("", "any body"), .is = REPLAY | CLOSES, .n_requests = 1, .n_outstanding = 1},
	{GET, OK("", "any body"), .fin = true, .is = DONE | CLOSES},
	{GET, OK("Content-Length: 9\r\n", "cut"), .fin = true, .doubt = NOT_CANONICAL, .is = REPLAY | CLOSES,
	 .n_requests = 1, .n_outstanding = 1},
	{GET, "HTTP/1.1 200 OK\r\nServ", .fin = true, .doubt = NOT_CANONICAL, .is = REPLAY | CLOSES, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, OK(CHUNKED, "5\r\nhello\r\n"), .fin = true, .doubt = NOT_CANONICAL, .is = REPLAY | CLOSES,
	 .n_requests = 1, .n_outstanding = 1},
	{GET, OK(LENGTH_0, ""), .fin = true, .is = DONE | CLOSES},
	{GET, OK("Transfer-Encoding: gzip\r\n", "xyz"), .fin = true, .doubt = NOT_CANONICAL, .is = DONE | CLOSES},
	{GET, OK("Transfer-Encoding: chunked, gzip\r\n", "xyz"), .fin = true, .doubt = NOT_CANONICAL,
	 .is = DONE | CLOSES},
	{GET, OK("Transfer-Encoding:\r\n", "xyz"), .fin = true, .doubt = NOT_CANONICAL, .is = DONE | CLOSES},

	/* Readable, but not canonical. */
	{GET, OK(CHUNKED "Content-Length: 4\r\n", "0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 4\r\n" CHUNKED, "0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED CHUNKED, "0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 2\r\nContent-Length: \r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 2, 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("X: a\r\n  folded\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("X: a\r\n : b\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length : 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("no colon\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET,
	 OK("nocolon\r\n: empty\r\nb\x01"
	    "d(): x\r\nContent-Length: 2\r\n",
	    "ok"),
	 .doubt = NOT_CANONICAL, .is = DONE},
	{GET,
	 OK("X: b\x01"
	    "d\x7f\r\nContent-Length: 2\r\n",
	    "ok"),
	 .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("X: a\x7f\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 2\r\n\rX\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.0 200 OK\r\nbad line\r\nContent-Length: 0\r\n\r\n", .doubt = NOT_CANONICAL, .is = DONE | CLOSES},
	{GET, "HTTP/1.1 304 N\r\nbad line\r\nContent-Length: 3\r\n\r\n", .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("X: a\rb\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("Content-Length: 2\rX\r\nX: y\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK("X:\rb\r\n\rY: b\r\nZ:\rZ\r\nContent-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "\r\n" OK("Content-Length: 2\r\n", "ok"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", .doubt = NOT_CANONICAL, .is = DONE},
	{GET, "HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\n" OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = DONE},
	{HEAD, OK("Content-Length: x\r\n", ""), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "2\nok\r\n0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "2\r\nok\n0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "2  \r\nok\r\n0 \r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "2;a\rb\r\nok\r\n0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "2;a\nok\r\n0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "0\r\nno colon\r\n\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "0\r\nX: y\r\n fold\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{GET, OK(CHUNKED, "00000000000000002\r\nok\r\n0\r\n\r\n"), .doubt = NOT_CANONICAL, .is = DONE},
	{"GET / HTTP/1.1\nHost: h\n\n", OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = DONE},
	{"GET / HTTP/1.1\r\nbad name: h\r\n\r\n", OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = DONE},
	{"\r\n" GET, OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = DONE},
	{POST("Content-Length: 1\r\n", "a\r\n") GET, OK(LENGTH_0, "") OK(LENGTH_0, ""), .doubt = NOT_CANONICAL,
	 .is = DONE, .n_requests = 2},
	{POST("Content-Length: 2\r\n" CHUNKED, "0\r\n\r\n"), OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = DONE},

	/* Surplus, or no end to be found. */
	{GET, OK(LENGTH_0, "") "x", .doubt = NOT_CANONICAL, .is = ENDED | REPLAY | LOST},
	{GET, OK(LENGTH_0, "") OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = ENDED | REPLAY | LOST},
	{GET, OK(LENGTH_0, "") "\r\n", .doubt = NOT_CANONICAL, .is = ENDED | REPLAY | LOST},
	{GET_CLOSE GET, OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = ENDED | WANTED},
	{GET_CLOSE "\r\n", OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = ENDED | WANTED},
	{GET, OK("Content-Length: 2\r\nContent-Length: 3\r\n", "ok"), .doubt = FRAMING_DOUBT_NOT_CANONICAL,
	 .is = REPLAY | LOST, .n_requests = 1, .n_outstanding = 1},
	{GET, OK("Content-Length: -1\r\n", "ok"), .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, OK("Content-Length:\r\n", "ok"), .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, OK("Content-Length: 9223372036854775808\r\n", ""), .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST,
	 .n_requests = 1, .n_outstanding = 1},
	{GET, OK(CHUNKED, "g\r\n"), .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, OK(CHUNKED, "2\r\nokay\r\n"), .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, OK(CHUNKED, "11111111111111111\r\n"), .doubt = NOT_CANONICAL, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, "ICY 200 OK\r\n\r\n", .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, "HTTP/2.0 200 OK\r\n\r\n", .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{GET, "HTTP/1.1 2x0 OK\r\n\r\n", .doubt = FRAMING_DOUBT_ERROR, .is = REPLAY | LOST, .n_requests = 1,
	 .n_outstanding = 1},
	{POST("Transfer-Encoding: gzip\r\n", "abc"), OK(LENGTH_0, ""), .doubt = NOT_CANONICAL, .is = ENDED | LOST},
	{"POST / HTTP/1.0\r\n" CHUNKED "\r\n0\r\n\r\n", OK(LENGTH_0, ""), .doubt = NOT_CANONICAL,
	 .is = ENDED | LOST | WANTED},

	/* Other protocols. */
	{"SSH-2.0-OpenSSH_9.2\r\n", "", .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST, .n_outstanding = 1},
	{"\x16\x03\x01\x02", "", .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST, .n_outstanding = 1},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST,
	 .n_outstanding = 1},
	{"GET / HTTP/3.0\r\n\r\n", "", .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST, .n_outstanding = 1},
	{"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "", .doubt = NOT_CANONICAL, .is = REPLAY | WANTED, .n_requests = 1,
	 .n_outstanding = 1},
	{"GET /\r\n\r\n", "", .doubt = NOT_CANONICAL, .is = LOST, .n_outstanding = 1},
	{"BREW /pot HTTP/1.1\r\n\r\n", "", .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST, .n_outstanding = 1},
	{"", "220 mail ESMTP\r\n", .doubt = NOT_CANONICAL, .is = LOST | REPLAY, .n_requests = 0, .n_outstanding = 0},

	/* Tunnels and authentication. */
	{GET, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", .doubt = FRAMING_DOUBT_UPGRADE, .is = REPLAY,
	 .n_requests = 1, .n_outstanding = 1},
	{UPGRADE, OK(LENGTH_0, ""), .is = KEPT},
	{UPGRADE, OK(LENGTH_0 "Upgrade: h2c\r\nConnection: Upgrade\r\n", ""), .is = KEPT},
	{UPGRADE, "HTTP/1.1 426 U\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" LENGTH_0 "\r\n", .is = KEPT},
	{UPGRADE, "HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n" OK(LENGTH_0, ""), .doubt = FRAMING_DOUBT_UPGRADE,
	 .is = REPLAY, .n_requests = 1, .n_outstanding = 1},
	{UPGRADE "\x81\x05hello", OK(LENGTH_0, ""), .doubt = FRAMING_DOUBT_UNKNOWN_PROTOCOL, .is = LOST,
	 .n_requests = 1, .n_outstanding = 1},
	{"GET / HTTP/1.1\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT | WANTED},
	{"CONNECT h:443 HTTP/1.1\r\n\r\n\x16\x03", OK("", "\x16\x03"), .doubt = FRAMING_DOUBT_UPGRADE, .is = 0,
	 .n_requests = 1, .n_outstanding = 1},
	{"CONNECT h:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 407 A\r\n" LENGTH_0 "\r\n", .doubt = FRAMING_DOUBT_UPGRADE,
	 .is = ENDED},
	{GET, "HTTP/1.1 401 A\r\nWWW-Authenticate: Basic realm=\"a, b\", NTLM\r\n" LENGTH_0 "\r\n",
	 .doubt = FRAMING_DOUBT_AUTH_BOUND, .is = DONE},
	{GET, "HTTP/1.1 407 A\r\nproxy-authenticate: negotiate\r\n" LENGTH_0 "\r\n", .doubt = FRAMING_DOUBT_AUTH_BOUND,
	 .is = DONE},
	{GET, "HTTP/1.1 401 A\r\nWWW-Authenticate: Basic realm=\"NTLM\", NTLMx, Digest\r\n" LENGTH_0 "\r\n",
	 .is = KEPT},
	{"GET / HTTP/1.1\r\nAuthorization: Negotiate YII=\r\n\r\n", OK(LENGTH_0, ""), .doubt = FRAMING_DOUBT_AUTH_BOUND,
	 .is = DONE},
	{"GET / HTTP/1.1\r\nProxy-Authorization: NTLM TlRM\r\n\r\n", OK(LENGTH_0, ""),
	 .doubt = FRAMING_DOUBT_AUTH_BOUND, .is = DONE},
	{"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n", OK(LENGTH_0, ""), .is = KEPT},
	{GET, OK("Persistent-Auth: true\r\n" LENGTH_0, ""), .doubt = FRAMING_DOUBT_AUTH_BOUND, .is = DONE},
};

/* Feeds [bytes, bytes + length) in pieces of at most `piece` bytes; the first one has `first` bytes if that is not
 * 0. */
static void feed(struct framing *framing, const char *bytes, size_t first, size_t piece,
		 void (*feed_piece)(struct framing *, const char *, size_t, struct framing_plan *))
{
	size_t length = strlen(bytes);

	for (size_t at = 0; at < length;) {
		size_t n = at == 0 && first ? first : piece;
		struct framing_plan plan;

		if (n > length - at)
			n = length - at;
		feed_piece(framing, bytes + at, n, &plan);
		at += n;
	}
}

static unsigned facts(const struct framing *framing)
{
	bool keep = framing_can_keep(framing);

	/* Whether a token could be withheld depends on how the bytes were cut; nothing else may. */
	if (framing->close_wanted && !framing->edited) {
		struct framing withheld = *framing;
		ck_assert(!keep);
		withheld.edited = true;
		keep = framing_can_keep(&withheld);
	}
	return (framing->response_ended ? ENDED : 0) | (framing_at_boundary(framing) ? BOUNDARY : 0) |
	       (keep ? KEEP : 0) | (framing_can_replay(framing) ? REPLAY : 0) | (framing->server_closes ? CLOSES : 0) |
	       (framing->close_wanted ? WANTED : 0) | (framing->lost ? LOST : 0);
}

static void check(const struct exchange *exchange, size_t first_request, size_t first_response, size_t piece)
{
	struct framing framing;
	unsigned n_requests = exchange->n_requests, n_outstanding = exchange->n_outstanding;

	if (n_requests == 0 && n_outstanding == 0 && *exchange->request)
		n_requests = 1;
	framing_init(&framing, true);
	feed(&framing, exchange->request, first_request, piece, framing_feed_request);
	feed(&framing, exchange->response, first_response, piece, framing_feed_response);
	if (exchange->fin)
		framing_feed_response_end(&framing);
	ck_assert_msg(framing.doubt == exchange->doubt, "doubt %d, not %d; cut %zu %zu, pieces of %zu", framing.doubt,
		      exchange->doubt, first_request, first_response, piece);
	ck_assert_msg(facts(&framing) == exchange->is, "facts %#x, not %#x; cut %zu %zu, pieces of %zu",
		      facts(&framing), exchange->is, first_request, first_response, piece);
	ck_assert_uint_eq(framing.n_requests, n_requests);
	ck_assert_uint_eq(framing.n_outstanding, n_outstanding);
}

START_TEST(exchange_is_judged_alike_however_cut)
{
	const struct exchange *exchange = &EXCHANGES[_i];

	check(exchange, 0, 0, SIZE_MAX);
	for (size_t cut = 1; cut < strlen(exchange->request); cut++)
		check(exchange, cut, 0, SIZE_MAX);
	for (size_t cut = 1; cut < strlen(exchange->response); cut++)
		check(exchange, 0, cut, SIZE_MAX);
	check(exchange, 0, 0, 1);
	check(exchange, 0, 0, 3);
}
END_TEST

START_TEST(first_bytes_are_classified)
{
	static const struct {
		const char *bytes;
		enum framing_first first;
	} CASES[] = {
		{"", FRAMING_FIRST_PARTIAL},	      {"G", FRAMING_FIRST_PARTIAL},
		{"GET", FRAMING_FIRST_PARTIAL},	      {"GET ", FRAMING_FIRST_SAFE},
		{"GET /", FRAMING_FIRST_SAFE},	      {"GETX", FRAMING_FIRST_UNKNOWN},
		{"HEAD /", FRAMING_FIRST_SAFE},	      {"OPTIONS *", FRAMING_FIRST_SAFE},
		{"TRACE /", FRAMING_FIRST_SAFE},      {"TR", FRAMING_FIRST_PARTIAL},
		{"P", FRAMING_FIRST_PARTIAL},	      {"POST /", FRAMING_FIRST_UNSAFE},
		{"M-SEARCH *", FRAMING_FIRST_UNSAFE}, {"M-S", FRAMING_FIRST_PARTIAL},
		{"QUERY /", FRAMING_FIRST_UNSAFE},    {"QUERY", FRAMING_FIRST_UNKNOWN},
		{"get /", FRAMING_FIRST_UNKNOWN},     {"\r\nGET /", FRAMING_FIRST_UNKNOWN},
		{" GET /", FRAMING_FIRST_UNKNOWN},    {"\x16\x03\x01", FRAMING_FIRST_UNKNOWN},
		{"SSH-2.0", FRAMING_FIRST_UNKNOWN},   {"*1\r\n", FRAMING_FIRST_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		ck_assert_msg(framing_classify_first(CASES[i].bytes, strlen(CASES[i].bytes)) == CASES[i].first, "'%s'",
			      CASES[i].bytes);
}
END_TEST

Suite *framing_suite(void);

Suite *framing_suite(void)
{
	Suite *suite = suite_create("framing");
	TCase *tcase = tcase_create("table");

	tcase_add_loop_test(tcase, exchange_is_judged_alike_however_cut, 0, sizeof(EXCHANGES) / sizeof(EXCHANGES[0]));
	tcase_add_test(tcase, first_bytes_are_classified);
	suite_add_tcase(suite, tcase);
	return suite;
}
