"""How many connections a server sees."""
import re
import time

import harness
import network
from relayed import Relay, build_go, client, compare, go, needs, needs_root, plain, run_pair, static_clients
from servers import GET as GET_NOTHING
from servers import GET_KEPT, Scripted, answer, read_head
from suite import tally

GET = GET_NOTHING.replace("/a", "/bytes/10")
ROUNDS = ["repeat=200", "connect", GET, "read"]


def test_document():
    """The document's program: 50 requests over short connections, bodies unread, and 50 over long ones."""
    if not needs("document", build_go("document")):
        return
    with harness.Server() as server:
        for path in "/bytes/100", "/bytes/20000", "/chunked/1000":
            with Relay() as world:
                server.reset()
                bare = harness.run(go("document", server.url(path), 50), False)
                bare_connections = server.stats()["connections"]
                server.reset()
                subject = world.run(go("document", server.url(path), 50))
                connections = server.stats()["connections"]
            tally.expect("document %s" % path, subject.output == bare.output == b"short 50\nlong 50\n" and bare.status == subject.status == 0,
                         subject.text() + subject.errors.decode())
            tally.expect("document %s: connections" % path, bare_connections == 51 and connections <= 3, "%d bare, %d relayed" % (
                bare_connections, connections), "100 requests, %d connections, not %d" % (connections, bare_connections))


def test_one_by_one():
    with harness.Server() as server:
        for libc, _ in static_clients():
            compare("200 requests, " + libc, server, client("block", "127.0.0.1", server.port, *ROUNDS, libc=libc), 1)
        if needs("200 requests, go", build_go("client")):
            compare("200 requests, go", server, go("client", "-n", 200, server.url("/bytes/100")), 1)


def test_side_by_side():
    if not needs("side by side", build_go("client")):
        return
    with harness.Server() as server:
        for concurrency in 8, 64:
            compare("%d at once" % concurrency, server, go("client", "-n", 50 * concurrency, "-c", concurrency, "-quiet", server.url("/bytes/%d")),
                    2 * concurrency)


def test_own_keep_alive():
    """Programs that keep connections themselves need no more of them than bare."""
    if not needs("own keep-alive", build_go("client")):
        return
    with harness.Server() as server:
        for concurrency in 1, 8:
            pair = run_pair(server, go("client", "-keep", "-n", 200, "-c", concurrency, server.url("/bytes/100")))
            tally.expect("own keep-alive, %d at once" % concurrency, pair.is_same() and
                         pair.stats["connections"] <= max(pair.bare_stats["connections"], concurrency), pair.text())
        compare("POSTs over an own keep-alive", server, go("client", "-keep", "-n", 20, "-method", "POST", "-body", 10, server.url("/body")), 1)


def test_two_programs():
    """Two programs at once, with a broker: neither gets the other's answers."""
    if not needs("two programs", build_go("client")):
        return
    with harness.Server() as server, Relay() as world:
        processes = [world.start(go("client", "-n", 300, "-c", 4, "-quiet", server.url("/bytes/%d" % size))) for size in (10, 20)]
        outputs = [process.communicate(timeout=30) for process in processes]
    tally.expect("two programs", all(plain(output.encode()) == b"good 300\n" for output, _ in outputs), str(outputs))


def test_no_reuse():
    """A server that closes, unsafe methods, --rewrite=off: as many connections as bare, and not one more."""
    if not needs("nothing to reuse", build_go("client")):
        return
    post = ["-n", "10", "-method", "POST", "-body", "10"]
    with harness.Server() as server:
        for name, flags, path, settings in (("posts", post, "/body", {}), ("a server that closes", ["-n", "10"], "/close-header", {}),
                                            ("rewrite=off", ["-n", "10"], "/bytes/10", {"HOLDLINE_REWRITE": "off"})):
            pair = run_pair(server, go("client", *flags, server.url(path)), **settings)
            tally.expect("nothing to reuse: " + name, pair.is_same() and pair.stats["accepted"] <= pair.bare_stats["accepted"] + 1, pair.text())


def polite(connection, _, pieces=()):
    """As most servers do: it says that it closes, and nothing where it stays. `pieces`: where the answer is cut."""
    while head := read_head(connection):
        closes = b"Connection: close" in head
        text = answer(b"0123456789", b"Date: Mon, 30 Nov 2026 11:00:00 GMT\r\n" + (b"Connection: close\r\n" if closes else b""))
        for begin, end in zip((0, *pieces), (*pieces, len(text))):
            connection.sendall(text[begin:end])
            time.sleep(0.005 * bool(pieces))
        if closes:
            return


def test_close_is_shown():
    """A program that asked for close reads that word, though the server was not told and says nothing."""
    two = GET_KEPT + GET_NOTHING[5:]
    for name, actions, pieces in (("one", [GET_NOTHING, "read"], ()),
                                  ("two behind each other", [two, "read"], ()), ("kept", [GET_KEPT, "read=86", "close"], ()),
                                  ("a head in pieces", [GET_NOTHING, "read"], (1, 17, 40, 70, 72)), ("a body in pieces", [GET_NOTHING, "read"], (74, 80))):
        with Scripted(lambda *connection, pieces=pieces: polite(*connection, pieces)) as server:
            compare("close is shown: " + name, server, client("block", "127.0.0.1", server.port, "repeat=5", "connect", *actions))
            tally.expect("close is shown: %s: connections" % name, server.accepted == 1, "%d connections" % server.accepted)
    if needs("close is shown: go", build_go("client")):
        with Scripted(polite) as server:
            compare("close is shown: go", server, go("client", "-n", 5, "http://127.0.0.1:%d/a" % server.port))


def test_own_port():
    """A process that asks its own server gets the connections that it makes; another process need not."""
    if not needs("own port", build_go("own")):
        return
    for address in "127.0.0.1", "[::1]", "[::]":
        pair = run_pair(None, go("own", address + ":0"))
        tally.expect("own port, %s" % address, pair.bare.output == b"by itself 5\nby a child 5\n" and pair.subject.output == b"by itself 5\nby a child 1\n",
                     pair.text())
    with Relay() as world:
        text = world.run(go("own", "127.0.0.1:0"), options=["--report"]).errors.decode()
    tally.expect("own port: the report says so", re.search(r"^policy +5 .*a port of the program's own$", text, re.M), text)


def same_port_elsewhere():
    """What a process prints that listens on the port of a server of another machine, and that server's connections."""
    command = go("own", "0.0.0.0:8080", "http://10.78.1.2:8080/bytes/10")
    with network.Neighbour(1) as there, harness.Server("--any", "--port", "8080", prefix=there) as server, Relay() as world:
        server.host = "10.78.1.2"
        return world.run(command).text(), server.stats()["connections"]


def test_same_port_elsewhere():
    """A server that asks the like of it on other machines, all at the same port."""
    if needs("the same port elsewhere", build_go("own")) and needs_root("the same port elsewhere"):
        text, connections = network.Inside(same_port_elsewhere).result()
        tally.expect("the same port elsewhere", "by itself 5\nby a child 1\n" in text and connections == 1, "%d connections\n%s" % (connections, text))


def test_unsafe_methods():
    with harness.Server() as server:
        if needs("unsafe methods", build_go("client")):
            compare("unsafe methods reuse", server, go("client", "-n", 20, "-method", "POST", "-body", "10", server.url("/body")), 1,
                    HOLDLINE_UNSAFE_METHODS="reuse")
            posts = go("client", "-n", 20, "-method", "POST", "-body", "10", server.url("/body"))
            compare("unsafe methods young", server, posts, 3, HOLDLINE_UNSAFE_METHODS="young")
            # Half a second is more than a quarter of what this server announces.
            late = go("client", "-n", 3, "-method", "POST", "-body", "10", "-pause", "600ms", server.url("/keep-alive/2"))
            pair = run_pair(server, late, HOLDLINE_UNSAFE_METHODS="young")
            tally.expect("unsafe methods on an older one", pair.is_same() and pair.stats["connections"] == 3, pair.text())


def test_limits():
    """Limits of connections are kept, and nobody is turned away."""
    if not needs("limits", build_go("client")):
        return
    for limit in 1, 2:
        with harness.Server() as server, Relay() as world:
            outcome = world.run(go("client", "-n", 64, "-c", 16, "-quiet", server.url("/sleep/5")), HOLDLINE_MAX_CONNS_PER_HOST=str(limit))
            peak = server.stats()["peak"]
        tally.expect("max-conns-per-host=%d" % limit, outcome.output == b"good 64\n" and peak <= limit, "peak %d\n%s" % (peak, outcome.text()))
    with harness.Server() as server:
        pair = run_pair(server, go("client", "-n", 50, server.url("/bytes/10")), HOLDLINE_MAX_CONN_REQUESTS="10")
        tally.expect("max-conn-requests", pair.is_same() and pair.stats["connections"] == 5, pair.text())
        pair = run_pair(server, go("client", "-n", 3, "-pause", "300ms", server.url("/bytes/10")), HOLDLINE_IDLE_CONN_TIMEOUT="100ms")
        tally.expect("idle-conn-timeout", pair.is_same() and pair.stats["connections"] == 3, pair.text())


def test_report():
    """A run's report counts what the relay has done."""
    with harness.Server() as server, Relay() as world:
        outcome = world.run(client("block", "127.0.0.1", server.port, *ROUNDS), options=["--report"])
        text = outcome.errors.decode()
    tally.expect("report", outcome.status == 0 and "127.0.0.1:%d" % server.port in text and "199" in text and "200" in text, text)


def test_command_substitution():
    """`$(holdline run -- PROGRAM)` does not wait for the relay."""
    with harness.Server() as server, Relay() as world:
        script = "x=$(%s); echo \"${#x}\"" % " ".join("'%s'" % word for word in world.command(
            client("block", "127.0.0.1", server.port, GET, "read")))
        outcome = harness.run(["sh", "-c", script], False, 10, **world.environment({}))
        tally.expect("$(holdline run)", outcome.status == 0 and int(outcome.output or 0) > 50, outcome.text() + outcome.errors.decode())
