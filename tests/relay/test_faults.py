"""Servers that hang up, lie and stall, at every byte: the program sees what it sees bare, and nothing is done twice."""
import socket
import struct
import time

import faults
import harness
from relayed import Relay, build_fault_client, build_go, client, go, needs, plain, run_pair
from servers import GET, GET_KEPT, Scripted, answer, read_head, serve_kept
from suite import tally

LIGHT = ["length", "chunked", "post", "no-length", "continue", "head", "surplus", "204"]
MODES = [("block", "hit")]
if harness.HEAVY:
    LIGHT = []
    MODES = [(way, state) for way in ("block", "poll", "edge") for state in ("hit", "miss")]


def test_positions():
    """Each framing, each fault, each byte: FIN, RST, a split, a pause (hostile/faults.h)."""
    program = build_fault_client()
    for way, state in MODES:
        with faults.Server() as server, Relay() as world:
            command = [program, server.plan.name, str(server.port), way, state, *LIGHT]
            bare = harness.run(command, False, 1500)
            subject = world.run(command, 1500)
        n = faults.compare(tally, "%s %s" % (way, state), bare, subject)
        tally.pass_("positions, %s %s" % (way, state), "%d faults" % n)


def test_drops():
    """A server that drops connections while they are idle, or when the next request is there: no GET fails, and no POST
    is done twice. Go itself repeats no request on what it takes for a fresh connection."""
    if not needs("drops", build_go("client")):
        return
    for kind in "fin", "rst":
        for name, flags, path in (("gets", ["-n", "150"], "/bytes/%d"), ("gets, 8 at once", ["-n", "200", "-c", "8"], "/bytes/%d"),
                                  ("posts", ["-n", "60", "-method", "POST", "-body", "20"], "/body?id=%d"),
                                  ("puts", ["-n", "60", "-method", "PUT", "-body", "20"], "/body?id=%d")):
            with harness.Server("--drop", "30", "--drop-kind", kind) as server, Relay() as world:
                outcome = world.run(go("client", "-quiet", *flags, server.url(path)))
                stats = server.stats()
            tally.expect("drops by %s: %s" % (kind, name), outcome.output == b"good %s\n" % flags[1].encode() and stats["duplicates"] == 0,
                         "%s\n%s" % (stats, outcome.text()[-600:]), "%d dropped" % stats["dropped"])


def test_drops_between():
    """GETs and POSTs in turn, so that each POST finds a kept connection that may be dead."""
    if not needs("drops between", build_go("client")):
        return
    with harness.Server("--idle-timeout", "20") as server, Relay() as world:
        processes = [world.start(go("client", "-quiet", "-n", 40, "-pause", pause, *more, server.url(path)))
                     for pause, more, path in (("18ms", [], "/bytes/10"), ("19ms", ["-method", "POST", "-body", "9"], "/body?id=%d"), ("21ms", [], "/bytes/20"))]
        outputs = [process.communicate(timeout=30)[0] for process in processes]
        stats = server.stats()
    tally.expect("idle connections that end", outputs == ["good 40\n"] * 3 and stats["duplicates"] == 0 and stats["posts"] == 40, "%s %s" % (outputs, stats))


def stale(end):
    """Answers one request of a connection, and then ends it by `end` while it is idle."""
    def handler(connection, _):
        read_head(connection)
        connection.sendall(answer(b"0123456789"))
        end(connection)
    return handler


def test_stale():
    """The server has ended the idle connection: by a FIN, by a reset, by an answer to no request."""
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def late(status):
        return lambda connection: connection.sendall(b"HTTP/1.1 %d Late\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
    for name, end in ("FIN", lambda _: None), ("RST", reset), ("408", late(408)), ("200", late(200)), ("bytes", lambda c: c.sendall(b"surplus")):
        for pause in 0, 50:
            # Bytes to no request that arrive behind the next one are its answer to any client with keep-alive (README,
            # Limits): where nothing lies between, that may happen, but not always.
            for _ in range(1 if pause else 5):
                with Scripted(stale(end)) as server:
                    # The program frames the answer itself, so that it is the same where the server can't be asked to
                    # stay.
                    pair = run_pair(server, client("block", "127.0.0.1", server.port, "repeat=20", "connect", GET_KEPT, "read=49", "close", "sleep=%d" % pause))
                if pair.is_same():
                    break
            tally.expect("idle, then %s, %d ms" % (name, pause), pair.is_same() and b"0123456789" in pair.bare.output, pair.text())


def test_stale_posts():
    """A POST never goes to a connection that might end under it."""
    posts = []

    def handler(connection, number):
        head = read_head(connection)
        if head.startswith(b"POST"):
            posts.append(connection.recv(4))
        connection.sendall(answer(b"0123456789"))
        # Ends without a word when the next request has come: it can't be known whether that was done.
        if read_head(connection).startswith(b"POST"):
            posts.append(b"lost")
    post = r"send=POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    with Scripted(handler) as server:
        with Relay() as world:
            outcome = world.run(client("block", "127.0.0.1", server.port, "repeat=20", "connect", GET_KEPT, "read=49", "close", "connect", post, "read=49"))
    tally.expect("posts on kept connections", posts == [b"body"] * 20 and b"0123456789" in outcome.output, "%s %s" % (posts, outcome.text()))


def test_server_dies():
    """The server's process ends in the midst of many requests, and another begins at its port: requests that come then
    succeed."""
    if not needs("a server's restart", build_go("client")):
        return
    with Relay() as world:
        with harness.Server() as first:
            port = first.port
            process = world.start(go("client", "-n", 4, "-pause", "400ms", first.url("/bytes/10")))
            harness.wait_until(lambda: first.stats()["requests"] >= 1)
        with harness.Server("--port", str(port)) as _:
            output, errors = process.communicate(timeout=20)
    tally.expect("a server's restart", plain(output.encode()).count(b"200 OK") >= 3, output + errors)


def test_dead_host():
    """A kept connection whose server answers no more: a GET is sent anew, in time."""
    def handler(connection, number):
        if number > 1:
            serve_kept(connection)
        read_head(connection)
        connection.sendall(answer(b"0123456789"))
        read_head(connection)
        # Not one byte, and no end, for longer than the test lasts.
        time.sleep(8)
    with Scripted(handler) as server:
        pair = run_pair(server, client("block", "127.0.0.1", server.port, GET, "read=49", "close", "connect", "alarm=900", GET, "read=49"))
    # The first connection is alive as far as anybody can see: the program's own timeout ends the wait,
    # as for any client with keep-alive.
    tally.expect("a server that falls silent", b"<49 bytes" in pair.subject.output and pair.subject.status == 0, pair.text())


def test_garbage_after_reuse():
    """The first exchange was fine; the second, on the kept connection, is garbage: passed on as it is."""
    requests = []

    def handler(connection, _):
        while read_head(connection):
            requests.append(1)
            connection.sendall(answer(b"0123456789") if len(requests) == 1 else b"\1\2 garbage\r\n\r\n")
            if len(requests) > 1:
                return
    with Scripted(handler) as server:
        with Relay() as world:
            outcome = world.run(client("block", "127.0.0.1", server.port, GET, "read=49", "close", "connect", GET, "read"))
    tally.expect("garbage on a kept connection", b"\\x01\\x02 garbage" in outcome.output and b"end of file" in outcome.output, outcome.text())


def test_pipelined():
    """A program that sends requests behind each other."""
    two = GET_KEPT + GET_KEPT[5:].replace("/a", "/b") + GET[5:].replace("/a", "/c")

    def handler(connection, _):
        while True:
            head = read_head(connection)
            if not head:
                return
            connection.sendall(answer(head[:8]))
            if b"Connection: close" in head:
                return
    with Scripted(handler) as server:
        for way in "block", "poll":
            pair = run_pair(server, client(way, "127.0.0.1", server.port, two, "read"))
            tally.expect("pipelined, " + way, pair.is_same() and pair.bare.output.count(b"200 OK") == 3, pair.text())


def test_pipelined_and_cut():
    """A server that answers two of five, and ends: with their answers gone, the program sees it as bare, or all."""
    five = "send=" + (GET_KEPT[5:] * 5)

    def handler(connection, number):
        for _ in range(2 if number % 2 else 5):
            if not read_head(connection):
                return
            connection.sendall(answer(b"0123456789"))
        # Reads the rest, so that its end is a FIN.
        connection.settimeout(0.2)
        try:
            while connection.recv(1000):
                pass
        except TimeoutError:
            pass
    with Scripted(handler) as server, Relay() as world:
        outcome = world.run(client("block", "127.0.0.1", server.port, five, "read=%d" % (5 * 49)))
    tally.expect("pipelined and cut", outcome.output.count(b"200 OK") in (2, 5) and outcome.status == 0, outcome.text())


def test_pair_of_clients():
    """Answers of different lengths to many clients of one process: nobody gets another's."""
    if not needs("many clients", build_go("client")):
        return
    with harness.Server("--drop", "20") as server, Relay() as world:
        command = go("client", "-n", 400, "-c", 16, server.url("/bytes/%d"))
        bare = harness.run(command, False)
        subject = world.run(command)
    tally.expect("16 clients, each its own answers", bare.output == subject.output and bare.status == subject.status == 0, subject.text()[-800:])
