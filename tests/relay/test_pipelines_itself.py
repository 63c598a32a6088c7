"""A program that sends requests behind each other by itself, over a kept connection that dies between two answers: those
without an answer are sent again, once. By the relay for static programs, by the library for others."""
import collections
import threading
import time

import harness
from relayed import Pair, Relay, static_clients
from servers import Scripted, end_by, lie_in_wait, read_head
from suite import tally

N = 5
KINDS = "fin", "rst"


def request(method, path, more=""):
    body = r"Content-Length: 4\r\n\r\nbody" if method == "POST" else r"\r\n"
    return r"%s %s HTTP/1.1\r\nHost: x\r\n%s%s" % (method, path, more, body)


def answer_to(head):
    """Its end is announced as asked, in as many bytes in any case."""
    method, path = head.split()[:2]
    body = path + b"'s answer\n"
    end = b"close     " if b"Connection: close" in head else b"keep-alive"
    return b"HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s" % (end, len(body), b"" if method == b"HEAD" else body)


class Dying(Scripted):
    """A request for /warm/N/KIND/PART says what becomes of those that come next on this connection: when N of them are
    answered, and PART bytes of the next one's answer have gone, it ends."""

    def __init__(self):
        super().__init__(self.handle)
        self.asked, self.lock = collections.Counter(), threading.Lock()

    def reset(self):
        super().reset()
        self.asked.clear()

    def next(self, connection):
        head = read_head(connection)
        if head.startswith(b"POST"):
            connection.recv(4)
        with self.lock:
            self.asked[head.split()[1].decode() if head else ""] += 1
        return head

    def handle(self, connection, _):
        plan = None
        while True:
            head = self.next(connection)
            if not head:
                return
            if plan:
                self.die(connection, head, *plan)
                return
            connection.sendall(answer_to(head))
            words = head.split()[1].decode().split("/")
            if words[1] == "warm":
                plan = int(words[2]), words[3], int(words[4])
            if b"Connection: close" in head:
                return

    def die(self, connection, head, n_good, kind, part):
        heads = [head]
        while len(heads) < N and lie_in_wait(connection, 1):
            heads.append(self.next(connection))
        for head in heads[:n_good]:
            connection.sendall(answer_to(head))
        if part:
            connection.sendall(answer_to(heads[n_good])[:part])
        # They are to be read before an RST overtakes them.
        time.sleep(0.02)
        end_by(connection, kind)


def batch(case, methods, closes):
    """The text of N requests, and how many bytes their answers have."""
    text, length = "", 0
    for number, method in enumerate(methods):
        path = "/%s/%d" % (case, number)
        more = r"Connection: close\r\n" if closes and number == N - 1 else ""
        text += request(method, path, more)
        length += len(answer_to(b"%s %s" % (method.encode(), path.encode())))
    return text, length


def actions(case, n_good, kind, part, methods, closes):
    warm = "/warm/%d/%s/%d" % (n_good, kind, part)
    text, length = batch(case, methods, closes)
    return ["connect", "send=" + request("GET", warm), "read=%d" % len(answer_to(b"GET " + warm.encode())), "close", "connect", "send=" + text,
            "read" if closes else "read=%d" % length, "close"]


def programs():
    """[(name, command prefix)]"""
    dynamic = harness.compile_program("relay-client-dynamic", ["tests/relay/client.c"])
    return [(libc, program) for libc, program in static_clients()] + [("library", dynamic)]


SAFE = ["GET", "HEAD", "GET", "OPTIONS", "GET"]
UNSAFE = ["GET", "HEAD", "GET", "POST", "GET"]


def repeated(server, n_rounds):
    """How many requests of the batches came twice in each round; no request may come more often."""
    counts = [times for path, times in server.asked.items() if path and not path.startswith("/warm")]
    return sum(times - n_rounds for times in counts), max(counts) <= 2 * n_rounds


def each_way(name):
    if harness.HEAVY or name == "library":
        return "block", "poll", "epoll"
    return ("block",) if name == "musl" else ("block", "poll")


def test_cut_between_answers():
    """At each boundary, by each way: as if nothing had been."""
    cases = [(n_good, kind, closes) for n_good in range(N) for kind in KINDS for closes in (False, True)]
    everything = [action for n_good, kind, closes in cases for action in actions("%d%s%d" % (n_good, kind, closes), n_good, kind, 0, SAFE, closes)]
    expected = sum(N - n_good for n_good, _, _ in cases)
    with Dying() as server, Relay() as world:
        for name, program in programs():
            for way in each_way(name):
                command = [program, way, "127.0.0.1", str(server.port), *everything]
                server.reset()
                bare = harness.run(command, False, 10)
                server.reset()
                subject = world.run(command, 10)
                again, only_once = repeated(server, 1)
                tally.expect("cut between a program's own requests, %s, %s" % (name, way), bare.status == 0 and
                             bare.output == subject.output and again == expected and only_once,
                             "%d again, not %d, %s\n%s" % (again, expected, only_once, Pair(bare, subject, {}, {}).text()))


def test_cut_where_nothing_is_repeated():
    """In the midst of an answer, and with a POST that has none: as on a connection of its own that dies so."""
    for what, methods, cases, expected in (
            ("in an answer", SAFE, [(n_good, kind, part) for n_good in (0, 2, 4) for kind in KINDS for part in (1, 40)], 0),
            ("before a POST", UNSAFE, [(n_good, kind, 0) for n_good in range(4) for kind in KINDS], 0),
            ("behind a POST", UNSAFE, [(4, kind, 0) for kind in KINDS], len(KINDS))):
        kept = [action for case in cases for action in actions("%d%s%d" % case, *case, methods, False)]
        # The same on one connection: the batch is sent behind the first request's answer.
        own = [action for case in cases for action in strip(actions("%d%s%d" % case, *case, methods, False))]
        with Dying() as server, Relay() as world:
            for name, program in programs():
                for way in each_way(name):
                    command = [program, way, "127.0.0.1", str(server.port)]
                    server.reset()
                    bare = harness.run([*command, *(kept if expected else own)], False, 10)
                    server.reset()
                    subject = world.run([*command, *kept], 10)
                    again, only_once = repeated(server, 1)
                    posts = [times for path, times in server.asked.items() if path.endswith("/3")]
                    tally.expect("cut %s of a program's own, %s, %s" % (what, name, way), bare.status == 0 and bare.output == subject.output and
                                 again == expected and only_once and (methods == SAFE or set(posts) == {1}),
                                 "%d again, not %d, %s\n%s" % (again, expected, only_once, Pair(bare, subject, {}, {}).text()))


def strip(case):
    """Without the end of the first connection and the beginning of the next."""
    return case[:3] + case[5:]
