"""Errors and timeouts of connect() are those of the server's network."""
import os
import socket
import subprocess

import harness
import network
from relayed import Relay, build_go, client, compare, go, needs, run_pair, static_clients
from servers import GET, Scripted, answer, read_head
from suite import tally

WAYS = "block", "poll", "epoll", "storage"


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_refused():
    port = closed_port()
    for libc, _ in static_clients():
        for way in WAYS:
            for address in "127.0.0.1", "::1":
                compare("refused, %s %s %s" % (libc, way, address), None, client(way, address, port, "connect", "connect", libc=libc))
    if needs("refused, go", build_go("client")):
        compare("refused, go", None, go("client", "-n", 3, "http://127.0.0.1:%d/" % port))
        compare("refused, go, 16 at once", None, go("client", "-n", 64, "-c", 16, "http://127.0.0.1:%d/" % port))


# How a route refuses: ENETUNREACH by its absence, EHOSTUNREACH, EACCES, EINVAL.
ROUTES = ("", "unreachable", "prohibit", "blackhole")


def unreachable(routes):
    found = []
    for number, kind in enumerate(routes):
        address = "192.0.%d.1" % (2 + number)
        if kind:
            subprocess.run(["ip", "route", "add", kind, address], check=True)
        commands = [client(way, address, 80, "connect", "connect") for way in WAYS]
        if build_go("client"):
            commands.append(go("client", "-n", 2, "http://%s/" % address))
        for command in commands:
            pair = run_pair(None, command, timeout=15)
            found.append(["%s: %s" % (kind or "no route", " ".join(command[1:3])), pair.is_same(), pair.text(),
                          pair.bare.output.decode()])
    return found


def test_unreachable():
    for name, same, text, bare in network.Inside(unreachable, ROUTES).result():
        tally.expect(name, same and ("error" in bare), text + bare)


@tally.timed
def test_held():
    """A host that never answers: whoever waits for a time of his own waits as long as bare."""
    with network.FullBacklog() as server:
        for way in "poll", "epoll":
            pair = run_pair(None, client(way, "127.0.0.1", server.port, "patience=400", "connect"))
            tally.expect("held, " + way, pair.is_same(), pair.text())
            tally.expect_in_time("held, %s: as long as bare" % way, abs(pair.subject.seconds - pair.bare.seconds) < 0.4, pair.text())
        pair = run_pair(None, client("block", "127.0.0.1", server.port, "alarm=400", "connect"))
        tally.expect("held, a signal", pair.is_same() and pair.bare.output == b"connect: error 4\n", pair.text())
        if needs("held, go", build_go("client")):
            for name, flags in ("dial timeout", ["-dial-timeout", "300ms"]), ("context", ["-timeout", "300ms"]):
                pair = run_pair(None, go("client", "-n", 3, *flags, "http://127.0.0.1:%d/" % server.port))
                tally.expect("held, go's %s" % name, pair.is_same(), pair.text())
                tally.expect_in_time("held, go's %s: as long as bare" % name, abs(pair.subject.seconds - pair.bare.seconds) < 0.4, pair.text())


def test_held_beside_others():
    """A host that never answers keeps nobody else waiting."""
    if not needs("held beside others", build_go("client")):
        return
    with network.FullBacklog() as dead, harness.Server() as server, Relay() as world:
        urls = [server.url("/bytes/10"), "http://127.0.0.1:%d/" % dead.port]
        outcome = world.run(go("client", "-n", 40, "-c", 20, "-dial-timeout", "2s", "-quiet", *urls), 20)
        first = server.stats()["requests"]
    tally.expect("held beside others", first == 20 and outcome.output.endswith(b"good 20\n"), outcome.text())


def test_limit_of_dials():
    """--dial-timeout is kept by the relay, too."""
    with network.FullBacklog() as server, Relay() as world:
        outcome = world.run(client("block", "127.0.0.1", server.port, "connect"), 15, HOLDLINE_DIAL_TIMEOUT="500ms")
    tally.expect("dial timeout", outcome.output == b"connect: error 110\n" and outcome.seconds < 3, "%.1f s: %s" % (outcome.seconds, outcome.text()))


def test_no_address():
    """Addresses that nothing can be connected to, and calls that are wrong."""
    for address in "0.0.0.0", "255.255.255.255", "224.0.0.1", "::":
        port = closed_port()
        for way in "block", "poll":
            compare("%s, %s" % (address, way), None, client(way, address, port, "connect"))
    with harness.Server() as server:
        # "any" is this host.
        compare("0.0.0.0, a server", server, client("block", "0.0.0.0", server.port, "repeat=5", "connect", GET, "read"))
        compare("connect twice", server, client("block", "127.0.0.1", server.port, GET, "read", "connect", GET, "read"))


def test_wrong_family():
    """Sockets of IPv4 and IPv6, with addresses of the other."""
    for address, family in ("127.0.0.1", "6"), ("::1", "4"), ("::ffff:127.0.0.1", "4"), ("::ffff:127.0.0.1", "only6"), ("::ffff:127.0.0.1", "6"):
        for way in "block", "poll", "storage":
            with harness.Server() as server:
                compare("an address %s, a socket %s, %s" % (address, family, way), None,
                        client(way, address, server.port, "family=" + family, "connect", "peer", GET, "read", "connect", GET, "read"))


def test_own_address():
    """A bound socket: the server sees the program's address."""
    def tell(connection, _):
        if read_head(connection):
            connection.sendall(answer(connection.getpeername()[0].encode(), b"Connection: close\r\n"))
    with Scripted(tell) as server:
        again = ["connect", GET, "read"]
        pair = run_pair(server, client("block", "127.0.0.1", server.port, "bind=127.0.0.5", *again, *again, "bind=127.0.0.6", *again))
        tally.expect("the program's own address", pair.is_same() and b"127.0.0.6" in pair.bare.output, pair.text())


def test_refused_after_reuse():
    """A server that went away: the next connect() is refused as bare, in spite of what was kept."""
    def ask(run):
        with harness.Server() as server:
            process = run(client("block", "127.0.0.1", server.port, GET, "read", "close", "hold", "connect", GET, "read"))
            while "<" not in process.stdout.readline():
                pass
        output, _ = process.communicate(timeout=10)
        # How much of the first exchange was read with its first line is chance.
        return output[output.rfind("connect:"):]
    bare = ask(lambda command: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                                env=harness.environment(False)))
    with Relay() as world:
        subject = ask(world.start)
    tally.expect("refused after reuse", bare == subject and "connect: error 111" in bare, "bare: %s\nrelayed: %s" % (bare, subject))


def test_other_families():
    """connect() of what is no TCP: AF_UNIX, UDP."""
    if not needs("other families", build_go("client")):
        return
    bash = "/bin/bash-static"
    if os.path.exists(bash):
        compare("UDP", None, [bash, "-c", "exec 3<>/dev/udp/127.0.0.1/%d && echo connected" % closed_port()])
