"""Programs that don't block: the library makes a handshake of its own below them, for a POST or in the place of a dead
connection, and must not hold them for it."""
import os
import tempfile

import harness
import network
import programs
import secure
import servers
from secure import ca, compare, counted
from suite import tally

GAP = os.path.join(programs.FOLDER, "asyncio_gap.py")
# Seconds. libcurl with GnuTLS computes for longer in one call, bare as well, on a loaded machine.
HELD, HELD_BY_PYCURL = 0.1, 0.25
# How it waits, and what that needs.
WAYS = {"streams": None, "sock": None, "select": None, "sets": None, "large_sets": None, "poll": None, "aiohttp": "aiohttp", "uvloop": "uvloop", "pycurl": "pycurl"}
SHORT = "streams", "sock", "sets", "large_sets", "poll", "pycurl"
# Where one can't wait in slices it blocks, and may end the kept connection sooner; a child shares the connection.
MAY_BE_HELD = "large_sets", "fork", "thread"


def is_held(way, seconds):
    return seconds > (HELD_BY_PYCURL if way == "pycurl" else HELD)


class Gap:
    """For how long a program's loop was held."""

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("r")
        self.path = self.file.name
        return self

    def __exit__(self, *_):
        self.file.close()

    def seconds(self):
        return float(self.file.read() or "inf")


def ways():
    for way, module in WAYS.items():
        # (A sanitizer makes libcurl slower than is told here.)
        if (way not in SHORT and not harness.HEAVY) or (way == "pycurl" and ":" in harness.SHIM):
            continue
        if module and harness.run(programs.imports(module), False).status:
            tally.skip("loop by " + way, module + " is not installed")
        else:
            yield way


def judge(server, name, way, words, posts, most=None):
    title = "%s, loop by %s" % (name, way)
    with Gap() as gap:
        pair = compare(title, server, [harness.PYTHON, GAP, ca(), way, *words], None if way in MAY_BE_HELD else most, timeout=60, GAP_FILE=gap.path)
        held = gap.seconds()
    if way not in MAY_BE_HELD:
        tally.expect_in_time(title + ": not held", not is_held(way, held), "held for %.3f s" % held)
    tally.expect(title + ": nothing twice", pair.stats["posts"] == posts, counted(pair.stats))


@tally.timed
def test_slow_hello():
    """The server takes its time for each handshake."""
    for version in ("1.3", "1.2") if harness.HEAVY else ("1.3",):
        with servers.TlsServer("--slow-hello=500", "--max=" + version) as server:
            get, post, big = server.url("/bytes/10"), "post:" + server.url("/echo"), "big:" + server.url("/echo")
            for way in ways():
                judge(server, "slow hello, TLS " + version, way, [get, post, get, post, get, big], 3, 4)


@tally.timed
def test_slow_hello_stale():
    """The kept connection has died: a GET goes to a fresh one."""
    with servers.TlsServer("--slow-hello=400", "--on-second=end") as server:
        get = server.url("/bytes/10")
        for way in ways():
            judge(server, "slow hello, stale", way, [get, get, get], 0)


@tally.timed
def test_slow_hello_leaves():
    """Each second connection shows another certificate: what can't be sent elsewhere goes to the kept one."""
    with servers.TlsServer("--slow-hello=300", "--also=rsa") as server:
        get, post = server.url("/bytes/10"), "post:" + server.url("/echo")
        for way in ways():
            judge(server, "slow hello, several leaves", way, [get, post] * 3, 3)


def run_gap(server, way, *words):
    with Gap() as gap:
        return secure.run_pair(server, [harness.PYTHON, GAP, ca(), way, *words], GAP_FILE=gap.path)


def use(server, name):
    return "ask:http://127.0.0.1:%d/set?certificate=%s" % (server.control, name)


def test_other_leaf_for_good():
    """All connections from now on show another certificate: no request is sent there below a session that has accepted
    the former. What the kept one can't have ends with an error."""
    for way in "streams", "sock":
        name = "another leaf for good, loop by %s" % way
        with servers.TlsServer() as server:
            words = [server.url("/bytes/10"), use(server, "rsa"), "post:" + server.url("/echo"), use(server, "ecdsa")]
            pair = run_gap(server, way, *words)
            tally.expect(name, pair.is_same() and pair.stats["posts"] == 1, pair.text())
            # The first, and three attempts, or two more where one was over before the program could wait for it.
            tally.expect(name + ": rides", 4 <= pair.stats["connections"] == pair.stats["handshakes"] <= 6, pair.text())
        with servers.TlsServer("--on-second=end") as server:
            words = [server.url("/bytes/10"), use(server, "rsa"), server.url("/bytes/20"), use(server, "ecdsa")]
            pair = run_gap(server, way, *words)
            tally.expect(name + ", the kept one is dead", pair.subject.status not in (0, "timeout") and pair.bare_stats["requests"] == 2 and
                         pair.stats["requests"] == 1, pair.text())


def test_slow_hello_given_up():
    """The program closes its descriptor in the midst of it."""
    with servers.TlsServer("--slow-hello=500") as server:
        get, post, leave = server.url("/bytes/10"), "post:" + server.url("/echo"), "quit:" + server.url("/echo")
        pair = run_gap(server, "sock", get, leave, get, leave, post, get)
        tally.expect("slow hello, given up", pair.is_same() and pair.subject.output.count(b"given up") == 2 and pair.stats["posts"] == 1 and
                     pair.stats["requests"] == 4, pair.text())


def test_slow_hello_child():
    """It is begun by the parent, and gone on with by a child that reads the answer."""
    for version in "1.3", "1.2":
        with servers.TlsServer("--slow-hello=100", "--max=" + version) as server:
            get, post = server.url("/bytes/10"), "post:" + server.url("/echo")
            pair = run_gap(server, "child", get, post, get, post)
            tally.expect("slow hello, TLS %s, a child goes on" % version, pair.is_same() and pair.bare.status == 0 and pair.stats["posts"] == 2, pair.text())


@tally.timed
def test_slow_hello_single():
    """A server that serves one connection after the other waits for the end of the kept one."""
    with servers.TlsServer("--one-at-a-time") as server:
        get, post = server.url("/bytes/10"), "post:" + server.url("/echo")
        for way in ways():
            judge(server, "one at a time", way, [get, post, get, post], 2)


def far_away(delay):
    """In a namespace of its own: a server in another one, 150 ms away."""
    found, host = [], "10.77.0.2"
    with network.Distant(delay, 150000) as prefix, servers.TlsServer("--any", prefix=prefix, host=host) as server:
        get, post = server.url("/bytes/10", host), "post:" + server.url("/echo", host)
        for way in [*(WAYS if harness.HEAVY else SHORT), "fork", "thread"]:
            with Gap() as gap:
                pair = secure.run_pair(server, [harness.PYTHON, GAP, ca(), way, get, post, get, post], timeout=60, GAP_FILE=gap.path)
                found.append([way, pair.is_same(), gap.seconds(), pair.text(), pair.stats])
    return found


@tally.timed
def test_far_away():
    """The dial takes a round trip, of which the program knows nothing."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        tally.skip("far away", "needs root, and /dev/net/tun")
        return
    delay = harness.compile_program("bench_delay", ["tests/bench/delay.c"], ["-O2"])
    for way, is_same, held, text, stats in network.Inside(far_away, delay).result():
        if way not in MAY_BE_HELD:
            tally.expect_in_time("far away, loop by %s: not held" % way, not is_held(way, held), "held for %.3f s" % held)
        tally.expect("far away, loop by %s: nothing twice" % way, is_same and stats["posts"] == 2 and (way in MAY_BE_HELD or stats["connections"] <= 3), text)
