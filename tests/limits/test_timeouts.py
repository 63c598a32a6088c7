"""Timeouts of a dial and of an answer, and the kernel's keep-alive probes."""
import socket

import harness
from dialling import DIAL, TIMED, python
from network import FullBacklog
from suite import tally


@tally.timed
def test_dial_timeout():
    with FullBacklog() as server:
        outcome = python(DIAL, server.port, HOLDLINE_DIAL_TIMEOUT="500ms")
        lines = [line.split() for line in outcome.output.decode().splitlines()]
        good = len(lines) == 3 and all(line[1] == "ETIMEDOUT" and 0.4 < float(line[2]) <= 0.9 for line in lines[:2])
        tally.expect_in_time("dial timeout", good and lines[2][1] == "True", "%s\n%s" % (lines, outcome.errors.decode()), str(lines[0]))
        outcome = python(DIAL, server.port, HOLDLINE_RULES="127.0.0.0/8:%d dial-timeout=300ms" % server.port)
        tally.expect_in_time("dial timeout of a rule", b"connect ETIMEDOUT 0.3" in outcome.output or b"connect ETIMEDOUT 0.4" in outcome.output,
                     outcome.output)
    with harness.Server() as server:
        outcome = python(DIAL, server.port, HOLDLINE_DIAL_TIMEOUT="500ms")
        tally.expect_in_time("a dial in time", b"connect None 0.0" in outcome.output and b"again EISCONN" in outcome.output, outcome.output)


ANSWER = TIMED + """
request, wait = sys.argv[2].encode().decode("unicode_escape").encode(), sys.argv[3]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(request)
timed("read", lambda: len(s.recv(10)))
timed("more", lambda: len(s.recv(10000)))
"""
GET = "GET %s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
EXPECT = "POST /body HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 5\\r\\nExpect: 100-continue\\r\\n\\r\\n"


class Silent:
    """Accepts, reads and never answers."""

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.listener.close()


@tally.timed
def test_answer_timeouts():
    with Silent() as server:
        for name, request, settings in (
                ("response header timeout", GET % "/", {"HOLDLINE_RESPONSE_HEADER_TIMEOUT": "500ms"}),
                ("expect-continue timeout", EXPECT, {"HOLDLINE_EXPECT_CONTINUE_TIMEOUT": "500ms"})):
            outcome = python(ANSWER, server.port, request, "", **settings)
            words = outcome.output.decode().split()
            tally.expect_in_time(name, words[:2] == ["read", "ETIMEDOUT"] and 0.4 < float(words[2]) <= 0.9 and words[3:5] == ["more", "0"],
                         "%s\n%s" % (words, outcome.errors.decode()), " ".join(words[:3]))
    with harness.Server() as server:
        outcome = python(ANSWER, server.port, GET % "/sleep/300", "", HOLDLINE_RESPONSE_HEADER_TIMEOUT="2s")
        tally.expect_in_time("an answer in time", outcome.output.startswith(b"read 10 0.3"), outcome.output)
        outcome = python(ANSWER, server.port, GET % "/slow-two-pieces/700", "", HOLDLINE_RESPONSE_HEADER_TIMEOUT="500ms")
        tally.expect_in_time("a body may take its time", b"ETIMEDOUT" not in outcome.output, outcome.output)


KEPT_ALIVE = """
import socket, sys
for turn in range(2):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    names = (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    print(*(s.getsockopt(*name) for name in names))
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file if ":%04X" % s.getsockname()[1] == line.split()[1][-5:]
                and line.split()[3] == "01"]
    print("timer", rows[0][5].split(":")[0])
    s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    answer = b""
    while b"\\r\\n\\r\\n" not in answer or len(answer.split(b"\\r\\n\\r\\n")[1]) < 10:
        answer += s.recv(1000)
    s.close()
"""


def test_keep_alive():
    """The kernel probes; the program sees what it would see bare."""
    with harness.Server() as server:
        bare = python(KEPT_ALIVE, server.port, preloaded=False).output.decode().splitlines()
        probed = python(KEPT_ALIVE, server.port, HOLDLINE_KEEP_ALIVE="30s").output.decode().splitlines()
        options = [line for line in bare if not line.startswith("timer")]
        tally.expect("keep-alive is not seen", [line for line in probed if not line.startswith("timer")] == options and len(options) == 2,
                     "%s %s" % (bare, probed))
        # proc_pid_net(5): 02 is the keep-alive timer.
        tally.expect("and there", [line for line in probed if line.startswith("timer")][:1] == ["timer 02"] and "timer 02" not in bare,
                     "%s %s" % (bare, probed))
