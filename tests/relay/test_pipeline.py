"""Requests of several clients behind each other on one connection: each gets its own answer, nothing is lost and nothing
unsafe is sent twice, whatever the server does with those behind."""
import collections
import random
import threading
import time
import weakref

import harness
from relayed import Pair, Relay, build_go, client, go, memory_kib, needs
from servers import GET_KEPT, Scripted, answer, end_by, lie_in_wait, read_head
from suite import tally

MIB = 1 << 20
BIG = 100 * MIB
CAP = ["--max-conns-per-host=2", "--pipeline=8"]
ONE = ["--max-conns-per-host=1", "--pipeline=8"]
# Of a server: how long the next request may take to arrive behind the one that is being answered.
BEHIND = 0.004


def quoted(command):
    return " ".join("'%s'" % word for word in command)


class Counting(Scripted):
    """Answers each request by its path, like any server that keeps connections; `n_behind` counts those that came while
    another was being answered. `special(connection, head, has_more)` may answer in its place: true if it did, None for
    the connection's end."""

    def __init__(self, special=None):
        super().__init__(self.handle)
        self.special, self.n_behind, self.lock = special, 0, threading.Lock()
        self.open = self.peak = 0
        self.asked = collections.Counter()

    def handle(self, connection, _):
        with self.lock:
            self.open += 1
            self.peak = max(self.peak, self.open)
        try:
            while self.answer_next(connection):
                pass
        finally:
            # A client counts a connection no more when it has read its end: that may be before.
            with self.lock:
                self.open -= 1

    def answer_next(self, connection):
        head = read_head(connection)
        if not head:
            return False
        has_more = lie_in_wait(connection, BEHIND) > 0
        with self.lock:
            self.n_behind += has_more
            self.asked[head.split()[1].decode()] += 1
        done = self.special(connection, head, has_more) if self.special else False
        if done is None:
            return False
        if not done:
            connection.sendall(answer(b"answer to " + head.split()[1]))
        return True


def is_answered(output, n):
    """Each of Go's n requests to /%d has its own answer, as far as its length tells."""
    return b"good %d\n" % n in output and all(b"%d HTTP/1.1 200 OK length %d " % (i, len("answer to /%d" % i)) in output for i in range(n))


def test_pipeline_mixed():
    """At a limit of two connections, 16 at once, all kinds of answers: as bare, over two connections."""
    if not needs("pipelining, mixed", build_go("client")):
        return
    paths = "/bytes/%d", "/chunked/%d", "/sleep/3", "/bytes/20000", "/204", "/status/404", "/two-pieces"
    for name, options in ("mixed", []), ("HEAD", ["-method", "HEAD"]), ("kept", ["-keep"]), ("unread", ["-unread"]):
        command = ["-n", 210, "-c", 16, *options]
        with harness.Server() as other, harness.Server() as server, Relay() as world:
            bare = harness.run(go("client", *command, *map(other.url, paths)), False)
            subject = world.run(go("client", *command, *map(server.url, paths)), options=CAP)
            pair = Pair(bare, subject, other.stats(), server.stats())
        tally.expect("pipelining, " + name, pair.is_same() and b"good 210" in bare.output, pair.text())
        # Where one has ended, the server may accept another before it reads the end of the one whose place that takes.
        most = 3 if pair.stats["connections"] > 2 else 2
        tally.expect("pipelining, %s: connections" % name, pair.stats["peak"] <= most and pair.stats["requests"] <= 210 + 10, str(pair.stats))


def test_pipeline_used():
    """Requests really come behind each other; at the limit, and wherever a connection is in use."""
    if not needs("pipelining is used", build_go("client")):
        return
    for name, options, most in (("limit", CAP, 2), ("always", ["--pipeline=8", "--pipeline-when=always"], 16), ("off", CAP[:1], 2)):
        with Counting() as server, Relay() as world:
            outcome = world.run(go("client", "-n", 96, "-c", 16, "http://127.0.0.1:%d/%%d" % server.port), options=options)
            tally.expect("pipelining, " + name, is_answered(outcome.output, 96) and server.peak <= most and
                         (server.n_behind > 10) == (name != "off") and set(server.asked.values()) == {1},
                         "%d behind, %d connections, %s\n%s" % (server.n_behind, server.peak, server.asked, outcome.text()[-500:]),
                         "%d behind" % server.n_behind)


def test_pipeline_wear():
    """A connection on which somebody is always behind somebody still has its share of requests only."""
    if not needs("pipelining, max-conn-requests", build_go("client")):
        return
    with Counting() as server, Relay() as world:
        outcome = world.run(go("client", "-n", 60, "-c", 8, "http://127.0.0.1:%d/%%d" % server.port), options=[*ONE, "--max-conn-requests=10"])
    tally.expect("pipelining, max-conn-requests", is_answered(outcome.output, 60) and 6 <= server.accepted <= 7 and server.n_behind > 10,
                 "%d connections, %d behind" % (server.accepted, server.n_behind))


def test_pipeline_posts():
    """A POST is never sent behind another request, nor is any behind it; and it need not wait for ever."""
    if not needs("pipelining, posts", build_go("client")):
        return
    wrong = []

    def special(connection, head, has_more):
        if head.startswith(b"POST"):
            body = b""
            while len(body) < 20:
                body += connection.recv(20 - len(body))
            if lie_in_wait(connection, BEHIND):
                wrong.append("behind a POST")
        elif has_more and connection.recv(4, 2).startswith(b"POST"):  # MSG_PEEK
            wrong.append("a POST behind")
        return False
    with Counting(special) as server, Relay() as world:
        url = "http://127.0.0.1:%d/" % server.port
        gets = go("client", "-quiet", "-n", 150, "-c", 12, url + "get%d")
        posts = go("client", "-quiet", "-n", 20, "-c", 4, "-method", "POST", "-body", 20, url + "post%d")
        outcome = world.run(["sh", "-c", "%s & %s; wait" % (quoted(gets), quoted(posts))], relay="always", options=CAP)
        counts = collections.Counter(path.rstrip("0123456789") for path in server.asked.elements())
    tally.expect("pipelining, posts", sorted(outcome.output.split(b"\n")) == [b"", b"good 150", b"good 20"] and not wrong and
                 counts == {"/get": 150, "/post": 20} and server.n_behind, "%s %s %s" % (wrong, counts, outcome.text()))


class Cutting(Counting):
    """Its first connection proves that it pipelines, gathers `n` requests, answers `n_good` of them and `part` bytes of the
    next one, and ends."""

    def __init__(self, n, n_good, kind, part=0):
        super().__init__(self.cut)
        self.n, self.n_good, self.kind, self.part = n, n_good, kind, part
        self.is_over, self.n_gathered = False, 0
        self.n_answered = 0

    def cut(self, connection, head, _):
        self.n_answered += 1
        if self.is_over or self.n_answered < 8 or not self.n_behind:
            return False
        self.is_over = True
        heads = [head] + [head for head in self.gather(connection) if head]
        self.n_gathered = len(heads)
        for head in heads[:self.n_good]:
            connection.sendall(answer(b"answer to " + head.split()[1]))
        if self.n_good < len(heads):
            connection.sendall(answer(b"answer to " + heads[self.n_good].split()[1])[:self.part])
        # They are to be read before an RST overtakes them.
        time.sleep(0.03)
        end_by(connection, self.kind)
        return None

    def gather(self, connection):
        for _ in range(self.n - 1):
            if not lie_in_wait(connection, 1):
                return
            head = read_head(connection)
            self.asked[head.split()[1].decode()] += 1
            yield head


def test_pipeline_cut():
    """A server that ends in the midst, at each position, by each way: those that have no answer are sent again, once."""
    if not needs("pipelining, cut", build_go("client")):
        return
    n, in_all = 5, 32
    for kind in "fin", "rst":
        for n_good in range(n + 1):
            for part in (0, 30) if n_good in (0, 2) else (0,):
                name = "pipelining, %s behind %d of %d answers%s" % (kind, n_good, n, " and a part" if part else "")
                with Cutting(n, n_good, kind, part) as server, Relay() as world:
                    outcome = world.run(go("client", "-n", in_all, "-c", 8, "http://127.0.0.1:%d/%%d" % server.port), options=ONE)
                    again = [path for path, times in server.asked.items() if times > 1]
                lost = 1 if part else 0
                tally.expect(name, server.n_gathered == n and b"good %d\n" % (in_all - lost) in outcome.output and
                             (lost or is_answered(outcome.output, in_all)) and
                             n - n_good - lost <= len(again) <= 8 and max(server.asked.values()) <= 2,
                             "gathered %d, again %s\n%s" % (server.n_gathered, again, outcome.text()[-900:]))


def test_pipeline_deaths():
    """Programs that send requests behind each other themselves, among others, and connections that end at any boundary:
    each gets its own answers. (A connection serves all that is sent again once, so that bare nothing would fail.)"""
    if not needs("pipelining, deaths", build_go("client")):
        return
    chance, served = random.Random(1), weakref.WeakKeyDictionary()

    def special(connection, head, has_more):
        served[connection] = served.get(connection, 0) + 1
        if served[connection] > 6 and chance.random() < 0.3:
            end_by(connection, chance.choice(["fin", "rst"]))
            return None
        return False
    for options in CAP, ONE:
        with Counting(special) as server, Relay() as world:
            def batch(name):
                paths = ["/%s%d" % (name, number) for number in range(5)]
                length = sum(len(answer(b"answer to " + path.encode())) for path in paths)
                return quoted(client("block", "127.0.0.1", server.port, "quiet", "repeat=10", "connect",
                                     "send=" + "".join(GET_KEPT[5:].replace("/a", path) for path in paths), "read=%d" % length, "close"))
            others = quoted(go("client", "-quiet", "-n", 100, "-c", 6, "http://127.0.0.1:%d/%%d" % server.port))
            outcome = world.run(["sh", "-c", "%s & %s & %s; wait" % (batch("x"), batch("y"), others)], relay="always", options=options)
        tally.expect("pipelining, deaths at %s" % options[0][2:], b"good 100\n" in outcome.output and outcome.output.count(b", enough 0>") == 2 and
                     server.n_behind > 10 and server.accepted > 5, "%d behind, %d connections\n%s" % (server.n_behind, server.accepted, outcome.text()[-500:]))


def refuse(way):
    """A server that does something else with a request behind another: a function for Counting."""
    def special(connection, head, has_more):
        if not has_more:
            return False
        first, second = answer(b"answer to " + head.split()[1]), b"HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n"
        if way == "1.0":
            connection.sendall(first.replace(b"HTTP/1.1", b"HTTP/1.0"))
            return None
        if way == "close":
            connection.sendall(first.replace(b"Content-Length", b"Connection: close\r\nContent-Length"))
            return None
        if way == "drop and end":
            connection.sendall(first)
            return None
        read_head(connection)
        connection.sendall(first)
        if way.isdigit():
            connection.sendall(second % (way.encode() + b" Refused", b""))
        elif way == "second closed":
            connection.sendall(second % (b"400 Refused", b"Connection: close\r\n"))
            return None
        elif way == "surplus":
            connection.sendall(b"too much")
        return True  # "drop": and goes on as if there had been none
    return special


def test_pipeline_refused():
    """A server that can't cope with requests behind each other: that is found out once, and no program sees it."""
    if not needs("pipelining, refused", build_go("client")):
        return
    for way in "1.0", "close", "drop and end", "drop", "400", "503", "second closed", "surplus":
        with Counting(refuse(way)) as server, Relay() as world:
            outcome = world.run(go("client", "-n", 24, "-c", 8, "http://127.0.0.1:%d/%%d" % server.port), options=ONE)
            good = outcome.output.replace(b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK")
        tally.expect("pipelining, refused by " + way, is_answered(good, 24) and server.n_behind == 1 and max(server.asked.values()) <= 2,
                     "%d behind, %s\n%s" % (server.n_behind, server.asked.most_common(3), outcome.text()[-700:]))


def test_pipeline_head_of_line():
    """Nobody is put behind an answer that has been awaited for half a second; others go on meanwhile."""
    if not needs("pipelining behind a slow answer", build_go("client")):
        return
    came, ended = [], []

    def special(connection, head, has_more):
        if head.split()[1] != b"/slow":
            return False
        begin = time.monotonic()
        n = 0
        while time.monotonic() < begin + 1.5:
            time.sleep(0.02)
            now = lie_in_wait(connection, 0.001)
            if now > n:
                came.append(time.monotonic() - begin)
            n = now
        ended.append(sum(server.asked.values()))
        return False
    with Counting(special) as server, Relay() as world:
        url = "http://127.0.0.1:%d/" % server.port
        fast = go("client", "-quiet", "-n", 40, "-c", 4, "-pause", "10ms", url + "fast%d")
        slow = go("client", "-quiet", url + "slow")
        outcome = world.run(["sh", "-c", "%s; %s & sleep 0.7; %s; wait" % (quoted(fast), quoted(slow), quoted(fast))], relay="always", options=CAP)
    tally.expect("pipelining behind a slow answer", sorted(outcome.output.split()) == sorted(b"good 40 good 40 good 1".split()) and
                 all(after < 0.65 for after in came) and ended == [81], "%s %s %s" % (came, ended, outcome.text()))


def test_pipeline_gone():
    """Programs that go away in the midst, by a timeout, by a kill, or with the answer unread, disturb nobody behind."""
    if not needs("pipelining, gone", build_go("client")):
        return
    for name, options, path in (("cancelled", ["-timeout", "25ms"], "/sleep/60"), ("in the body", ["-cancel", 1000], "/bytes/300000"),
                                ("unread", ["-unread"], "/bytes/300000")):
        with harness.Server() as server, Relay() as world:
            bad = go("client", "-quiet", "-n", 30, "-c", 4, *options, server.url(path))
            good = go("client", "-quiet", "-n", 200, "-c", 8, server.url("/bytes/%d"))
            outcome = world.run(["sh", "-c", "%s >/dev/null & %s; wait" % (quoted(bad), quoted(good))], relay="always", options=CAP)
        tally.expect("pipelining, %s" % name, outcome.output == b"good 200\n", outcome.text()[-500:])
    with harness.Server() as server, Relay() as world:
        doomed = client("block", "127.0.0.1", server.port, "repeat=1000", "connect", GET_KEPT.replace("/a", "/sleep/20"), "read=100")
        good = go("client", "-quiet", "-n", 200, "-c", 8, server.url("/bytes/%d"))
        script = "for i in 1 2 3 4; do (%s >/dev/null & sleep 0.0$i; kill -9 $!) 2>/dev/null & done; %s; wait" % (quoted(doomed), quoted(good))
        outcome = world.run(["sh", "-c", script], relay="always", options=CAP)
    tally.expect("pipelining, killed", outcome.output == b"good 200\n", outcome.text()[-500:])


def send_big(connection, sent):
    piece = bytes(range(256)) * 1024
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    while sent[0] < BIG:
        sent[0] += connection.send(piece[:BIG - sent[0]])
    return True


def test_pipeline_big_head():
    """100 MB before somebody's answer, to a program that reads slowly: the relay does not keep them, and who is behind
    gets his own in the end."""
    sent = [0]
    behind = []

    def special(connection, head, has_more):
        if head.split()[1] != b"/big":
            return False
        behind.append(lie_in_wait(connection, 2))
        return send_big(connection, sent)
    with Counting(special) as server, Relay() as world:
        def command(path, *more):
            return quoted(client("block", "127.0.0.1", server.port, GET_KEPT.replace("/a", path), *more))
        script = "exec 3<&0; %s >/dev/null; %s <&3 & sleep 0.2; %s; wait" % (
            command("/first", "read=30"), command("/big", "quiet", "read=1000000", "hold", "read=%d" % (BIG + 46 - 1000000)), command("/last", "read=54"))
        process = world.start(["sh", "-c", script], relay="always", options=ONE)
        process.stdout.readline()
        process.stdout.readline()
        before = -1
        while sent[0] != before:
            before = sent[0]
            time.sleep(0.3)
        memory = max(memory_kib(pid) for pid in world.pids())
        output, _ = process.communicate(timeout=30)
    tally.expect("pipelining, slow reader first: memory", before < BIG and 0 < memory < 32 * 1024, "%d sent, %d KiB" % (before, memory), "%d KiB" % memory)
    tally.expect("pipelining, slow reader first", behind and behind[0] > 0 and "<%d bytes" % (BIG + 46 - 1000000) in output and
                 "answer to /last" in output, output)
