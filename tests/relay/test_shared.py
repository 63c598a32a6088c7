"""Connections that programs with a relay share with others, by the broker."""
import ctypes
import json
import os
import shutil
import signal
import socket
import threading
import time

import harness
from harness import PYTHON
from relayed import Relay, build_go, build_static, client, go, kill, needs
from servers import GET as GET_NOTHING
from servers import Scripted, serve_kept
from suite import tally

GET = GET_NOTHING.replace("/a", "/bytes/10")
POST = r"send=POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def shell(n, *lines):
    """A script that executes some lines n times, and ends at the first that fails."""
    return ["sh", "-c", "set -e; i=0; while [ $((i += 1)) -le %d ]; do %s; done" % (n, "; ".join(lines))]


def line(command):
    return " ".join("'%s'" % word for word in command)


def static(server, *actions, libc="glibc"):
    return line(client("block", "127.0.0.1", server.port, *(actions or (GET, "read")), libc=libc))


def curl(server):
    return "curl -sSf '%s'" % server.url("/bytes/10")


def count(name, server, command, most, n, world=None, **settings):
    """Runs it in a world; it makes n requests, and no more than so many connections."""
    # A program waits 10 ms for the broker, then dials: if the broker did not get the processor in time, only the count
    # differs.
    for _ in range(harness.ATTEMPTS):
        server.reset()
        if world:
            outcome = world.run(command, 60, **settings)
        else:
            with Relay() as own:
                outcome = own.run(command, 60, **settings)
        stats = server.stats()
        good = outcome.status == 0 and stats["requests"] == n
        if not good or stats["connections"] <= most:
            break
    tally.expect(name, good and stats["connections"] <= most, "%s\n%s%s" % (stats, outcome.text(), outcome.errors.decode()),
                 "%d requests, %d connections" % (n, stats["connections"]))
    return outcome


# A relay that outlives its program for a moment makes the next one dial.
FEW = 2


def test_processes():
    """30 short processes of a shell's loop."""
    with harness.Server() as server:
        for libc in "glibc", "musl":
            if needs("30 processes, " + libc, build_static(libc)):
                count("30 processes, " + libc, server, shell(30, static(server, libc=libc)), FEW, 30)
        if needs("30 processes, go", build_go("client")):
            count("30 processes, go", server, shell(30, line(go("client", server.url("/bytes/10")))), FEW, 30)


def test_processes_at_once():
    with harness.Server() as server:
        command = ["sh", "-c", "seq 64 | xargs -P 8 -I{} %s" % static(server)]
        outcome = count("64 processes, 8 at once", server, command, 16, 64)
        tally.expect("64 processes, 8 at once: answers", outcome.output.count(b"200 OK") == 64, outcome.text())


def test_nginx():
    if not needs("nginx", harness.find_nginx()):
        return
    with harness.Nginx() as nginx:
        count("nginx: 30 processes", nginx, shell(30, static(nginx)), FEW, 30)


def test_local():
    """--pool=local: nothing is shared, and nothing is left behind."""
    with harness.Server() as server:
        with Relay() as world:
            outcome = world.run(shell(30, static(server)), options=["--pool=local"])
            stats = server.stats()
            held = world.status()
        tally.expect("--pool=local", outcome.status == 0 and stats["connections"] == stats["requests"] == 30 and not held, "%s %s" % (stats, held))


def test_library_in_turn():
    """A program with the library and one with a relay have the same destination."""
    if not needs("curl", shutil.which("curl"), build_go("client")):
        return
    with harness.Server() as server:
        count("curl and a static program in turn", server, shell(10, curl(server), static(server)), 1, 20)
        count("curl and Go in turn", server, shell(10, curl(server), line(go("client", server.url("/bytes/10")))), 1, 20)
        six = ["curl -gsSf 'http://[::1]:%d/bytes/10'" % server.port, line(client("block", "::1", server.port, GET, "read"))]
        count("curl and a static program in turn, IPv6", server, shell(10, *six), 1, 20)
        count("curl, then Go with 20 requests", server, ["sh", "-c", "%s; %s; %s" % (curl(server), line(go("client", "-n", 20, server.url("/bytes/10"))),
                                                                                   curl(server))], 1, 22)


@tally.timed
def test_runs():
    """Runs of one user share by their broker; a run with another broker does not."""
    with harness.Server() as server, Relay() as one, Relay() as other:
        command = client("block", "127.0.0.1", server.port, GET, "read")
        one.run(command)
        one.run(command)
        tally.expect_in_time("two runs with one broker", server.stats()["connections"] == 1, str(server.stats()))
        other.run(command)
        tally.expect_in_time("another broker", server.stats()["connections"] == 2, str(server.stats()))
        other.run(command, HOLDLINE_BROKER=one.path)
        tally.expect_in_time("the first broker, by name", server.stats()["connections"] == 2, str(server.stats()))
        tally.expect_in_time("each has its own", len(one.status()) == len(other.status()) == 1, "%s %s" % (one.status(), other.status()))


@tally.timed
def test_status_and_report():
    """People see who has parked a connection, and what was reused."""
    with harness.Server() as server, Relay() as world:
        world.run(client("block", "127.0.0.1", server.port, GET, "read"))
        held = world.status()
        tally.expect_in_time("holdline status", [entry["program"] for entry in held] == ["relay-client-glibc"[:15]], str(held))
        path = os.path.join(world.folder, "report.json")
        world.run(client("block", "127.0.0.1", server.port, GET, "read"), options=["--report=" + path])
        with open(path) as file:
            counts = json.load(file)["totals"]
    tally.expect_in_time("report", [counts[name] for name in ("connects", "reused", "borrowed", "parked", "dialed")] == [1, 1, 1, 1, 0], str(counts))


OPTIONS = """
import socket, struct, sys
NAMES = [(socket.SOL_SOCKET, name) for name in (socket.SO_KEEPALIVE, socket.SO_LINGER, socket.SO_RCVTIMEO, socket.SO_SNDTIMEO, socket.SO_RCVLOWAT)]
NAMES += [(socket.IPPROTO_TCP, name) for name in (socket.TCP_NODELAY, socket.TCP_CORK, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT,
                                                  socket.TCP_USER_TIMEOUT, socket.TCP_LINGER2)]
connection = socket.socket()
if "set" in sys.argv:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3, 0))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4000)
connection.connect(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
while connection.recv(4096):
    pass
print([connection.getsockopt(level, name, 16).hex() for level, name in NAMES], connection.getblocking())
"""


def test_options():
    """Nobody finds the options of another one's socket on a connection that he was given."""
    with harness.Server() as server:
        ask = [PYTHON, "-c", OPTIONS, str(server.port)]
        bare = harness.run([*ask, "set"], False).output + harness.run(ask, False).output * 2
        command = ["sh", "-c", "; ".join([line(ask[:2]) + ' "$1" %d set' % server.port, static(server) + " >&2", line(ask[:2]) + ' "$1" %d' % server.port,
                                         static(server) + " >&2", line(ask[:2]) + ' "$1" %d' % server.port]), "sh", OPTIONS]
        outcome = count("options", server, command, 1, 5)
        tally.expect("options are each one's own", outcome.output == bare, "bare:\n%s\nshared:\n%s" % (bare.decode(), outcome.text()))


def test_unsafe_methods():
    """A POST goes to a new connection, though one is kept, also at a server that serves one at a time."""
    for options in (), ("--single-threaded",):
        with harness.Server(*options) as server, Relay() as world:
            outcome = world.run(shell(5, static(server), static(server, POST, "read")), 20)
            stats = server.stats()
        tally.expect("POSTs %s" % " ".join(options), outcome.status == 0 and stats["posts"] == 5 and stats["requests"] == 10 and
                     stats["duplicates"] == 0 and 5 <= stats["connections"] <= 6, "%s\n%s" % (stats, outcome.text()))


def test_reuse_unsafe():
    with harness.Server() as server:
        count("POSTs with unsafe-methods=reuse", server, shell(5, static(server), static(server, POST, "read")), 1, 10, HOLDLINE_UNSAFE_METHODS="reuse")


def test_server_hangs_up():
    """The server ends kept connections between the processes: nobody sees it."""
    def handler(connection, _):
        connection.settimeout(0.05)
        serve_kept(connection)
    with Scripted(handler) as server, Relay() as world:
        outcome = world.run(shell(5, static(server), "sleep 0.2"), 20)
    tally.expect("a server that hangs up", outcome.status == 0 and outcome.output.count(b"200 OK") == 5 and server.accepted == 5,
                 "%d connections\n%s" % (server.accepted, outcome.text()))


@tally.timed
def test_looks():
    """A program that only looks whether its server is there is not told so by what was parked long ago."""
    with harness.Server() as server, Relay() as world:
        world.run(client("block", "127.0.0.1", server.port, GET, "read"))
        time.sleep(2.2)
        outcomes = [world.run(client("block", "127.0.0.1", server.port, "connect", "close")) for _ in range(6)]
        accepted = server.stats()["accepted"]
        tally.expect_in_time("looks", all(outcome.status == 0 for outcome in outcomes) and accepted >= 5, "%d accepted" % accepted)
        before = server.stats()["connections"]
        world.run(client("block", "127.0.0.1", server.port, GET, "read"))
        tally.expect_in_time("the kept connection is there still", server.stats()["connections"] in (before, before + 1), str(server.stats()))


def begin_loop(world, server, n, *lines, **settings):
    """A loop of processes, after its first ten requests."""
    process = world.start(shell(n, *(lines or [static(server)]), "sleep 0.02"), **settings)
    harness.wait_until(lambda: server.stats()["requests"] >= 10 or process.poll() is not None, 20)
    return process


def end_loop(name, process, server, n, most):
    try:
        output = process.communicate(timeout=30)[0]
    except Exception:
        kill(process)
        output = ""
    stats = server.stats()
    tally.expect(name, process.returncode == 0 and output.count("200 OK") == n and stats["requests"] == n and stats["connections"] <= most,
                 "status %s, %d answers, %s" % (process.returncode, output.count("200 OK"), stats), "%d connections" % stats["connections"])


def test_broker_is_killed():
    """The broker is killed in the midst of a loop: no request fails."""
    with harness.Server() as server, Relay() as world:
        process = begin_loop(world, server, 30)
        os.kill(world.broker_pid(), signal.SIGKILL)
        end_loop("killed broker: a loop", process, server, 30, 25)
    if not needs("killed broker, go", build_go("client")):
        return
    with harness.Server() as server, Relay() as world:
        process = world.start(go("client", "-n", 400, "-c", 4, "-quiet", "-pause", "1ms", server.url("/bytes/10")))
        harness.wait_until(lambda: server.stats()["requests"] >= 10, 20)
        os.kill(world.broker_pid(), signal.SIGKILL)
        output = process.communicate(timeout=30)[0]
        stats = server.stats()
    tally.expect("killed broker: Go", output == "good 400\n" and stats["connections"] <= 8, "%s %s" % (output, stats))


def test_broker_is_stopped():
    """The broker is stopped: no request fails, and none waits for it for long."""
    with harness.Server() as server, Relay() as world:
        process = begin_loop(world, server, 30)
        broker = world.broker_pid()
        os.kill(broker, signal.SIGSTOP)
        begin = time.monotonic()
        end_loop("stopped broker: a loop", process, server, 30, 25)
        tally.expect("stopped broker: time", time.monotonic() - begin < 15, "%.1f s" % (time.monotonic() - begin))
        os.kill(broker, signal.SIGCONT)
        outcome = world.run(shell(5, static(server)))
        tally.expect("stopped broker: it goes on", outcome.status == 0 and outcome.output.count(b"200 OK") == 5, outcome.text())


def test_broker_is_missing():
    with harness.Server() as server, Relay() as world:
        outcome = world.run(shell(5, static(server)), HOLDLINE_BROKER="/nonexistent/broker")
        tally.expect("no broker", outcome.status == 0 and outcome.output.count(b"200 OK") == 5, outcome.text())


@tally.timed
def test_relay_is_killed():
    """A killed relay's idle connection is the broker's: the next process has it."""
    with harness.Server() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "read", "hold"))
        harness.wait_until(lambda: len(world.status()) == 1, 5)
        relays = world.pids()
        for pid in relays:
            os.kill(pid, signal.SIGKILL)
        world.are_gone()
        outcome = world.run(client("block", "127.0.0.1", server.port, GET, "read"))
        stats = server.stats()
        tally.expect_in_time("killed relay", len(relays) == 2 and b"200 OK" in outcome.output and stats["connections"] == 1, "%s %s\n%s" % (
            relays, stats, outcome.text()))
        kill(process)


@tally.timed
def test_taken_while_it_lives():
    """What a living relay keeps others borrow; its program's next request borrows it back."""
    if not needs("curl", shutil.which("curl")):
        return
    with harness.Server() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "read", "hold", "connect", GET, "read"))
        harness.wait_until(lambda: len(world.status()) == 1, 5)
        relays = world.pids()
        for _ in range(3):
            world.run(["sh", "-c", curl(server)])
        n_fds = {pid: len(os.listdir("/proc/%d/fd" % pid)) for pid in relays}
        output = process.communicate(timeout=20)[0]
        stats = server.stats()
    tally.expect_in_time("lent and borrowed back", output.count("200 OK") == 2 and stats["requests"] == 5 and stats["connections"] == 1, "%s %s\n%s" % (
        stats, n_fds, output))


def test_fds():
    """Descriptors of broker and relay don't grow."""
    if not needs("descriptors", shutil.which("curl"), build_go("client")):
        return
    with harness.Server() as server, Relay() as world:
        world.run(shell(20, static(server)), 60)
        # The last relay may still be on its way to give its connection back; a relay that outlives its program for a
        # moment makes the next one dial, and the broker then keeps two.
        def beside_kept():
            return world.n_fds() - len(world.status())
        harness.wait_until(lambda: len(world.status()) == 1, 5)
        before = beside_kept()
        world.run(shell(300, static(server)), 120)
        # A relay that has not left yet has a descriptor or two there; a leak would have one for each process.
        harness.wait_until(lambda: beside_kept() <= before, 5)
        after = beside_kept()
        tally.expect("300 processes: the broker's descriptors", after <= before + 4, "%d before, %d after" % (before, after))
        process = world.start(go("client", "-n", 100000, "-pause", "10ms", "-quiet", server.url("/bytes/10")))
        harness.wait_until(lambda: len(world.pids()) == 2 and server.stats()["requests"] > 330, 10)
        relay = max(world.pids(), key=lambda pid: len(os.listdir("/proc/%d/fd" % pid)))
        before = len(os.listdir("/proc/%d/fd" % relay))
        world.run(shell(60, curl(server)), 60)
        after = len(os.listdir("/proc/%d/fd" % relay))
        is_alive = process.poll() is None
        kill(process)
        tally.expect("a relay's descriptors while others borrow", is_alive and after <= before + 3, "%d before, %d after" % (before, after))


def timeouts_of(pids, port):
    """TCP_USER_TIMEOUT of each connection to a port that these processes have, from their own descriptors."""
    pidfd_getfd, found = 438, []
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in pids:
        process = os.pidfd_open(pid)
        for number in os.listdir("/proc/%d/fd" % pid):
            fd = libc.syscall(pidfd_getfd, process, int(number), 0)
            if fd < 0:
                continue
            try:
                with socket.socket(fileno=fd) as connection:
                    if connection.family == socket.AF_INET and connection.getpeername()[1] == port:
                        found.append(connection.getsockopt(socket.IPPROTO_TCP, 18))
            except OSError:
                continue
        os.close(process)
    return found


@tally.timed
def test_cold():
    """A connection that was silent for long is not waited for as long as the kernel would, until its server answers."""
    slow = GET.replace("/bytes/10", "/sleep/1500")
    with harness.Server() as server, Relay() as world:
        world.run(client("block", "127.0.0.1", server.port, GET, "read"))
        time.sleep(2.3)
        process = world.start(client("block", "127.0.0.1", server.port, slow, "read", "hold"))
        harness.wait_until(lambda: server.stats()["requests"] == 2 or len(world.pids()) == 2 and server.stats()["gets"] == 2, 5)
        time.sleep(0.2)
        waiting = timeouts_of(world.pids(), server.port)
        harness.wait_until(lambda: any(entry["state"] == "idle" for entry in world.status()), 5)
        answered = timeouts_of(world.pids(), server.port)
        connections = server.stats()["connections"]
        kill(process)
    tally.expect_in_time("cold", connections == 1 and waiting == [1000] and answered == [0], "%d connections, %s, then %s" % (connections, waiting, answered))


def test_all_at_once():
    """Programs of each kind at once, with answers of different sizes: each gets its own."""
    if not needs("all at once", shutil.which("curl"), build_go("client")):
        return
    sizes = (10, 1234, 70000)
    with harness.Server() as server, Relay() as world:
        expected = {size: harness.run(["curl", "-sSf", server.url("/bytes/%d" % size)], False).output for size in sizes}
        loops = [world.start(["sh", "-c", "for i in $(seq 40); do curl -sSf '%s' | cksum; done" % server.url("/bytes/%d" % size)]) for size in sizes]
        statics = [world.start(shell(40, static(server, GET.replace("10", str(size)), "quiet", "read"))) for size in sizes]
        gos = [world.start(go("client", "-n", 400, "-c", 4, "-quiet", server.url("/bytes/%d" % size))) for size in sizes]
        for process, size in zip(loops, sizes):
            lines = process.communicate(timeout=60)[0].split("\n")[:-1]
            good = len(lines) == 40 and len(set(lines)) == 1 and lines[0].split()[1] == str(len(expected[size]))
            tally.expect("all at once: curl, %d bytes" % size, process.returncode == 0 and good, str(lines[:5]))
        for process, size in zip(statics, sizes):
            lines = [text for text in process.communicate(timeout=60)[0].split("\n") if text.startswith("<")]
            tally.expect("all at once: static, %d bytes" % size, process.returncode == 0 and len(lines) == 40 and len(set(lines)) == 1, str(lines[:5]))
        for process, size in zip(gos, sizes):
            output = process.communicate(timeout=60)[0]
            tally.expect("all at once: Go, %d bytes" % size, output == "good 400\n", output)
        stats = server.stats()
        tally.expect("all at once: connections", stats["requests"] == 3 * 480 + 3 and stats["connections"] < 100, str(stats),
                     "%(requests)d requests, %(connections)d connections" % stats)


class BadBroker:
    """Listens where a broker would, and does with each process what its kind says."""

    def __init__(self, path, kind):
        self.path, self.kind, self.accepted, self.connections = path, kind, 0, []

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(16 if self.kind != "full" else 0)
        if self.kind != "full":
            threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.connections.append(connection)
            try:
                self.misbehave(connection)
            except OSError:
                pass # `holdline run` itself does not stay

    def misbehave(self, connection):
        if self.kind == "garbage":
            connection.send(b"\xff" * 40)
        if self.kind == "reads and closes":
            connection.recv(4096)
        if self.kind in ("closes", "reads and closes"):
            connection.close()

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()


def test_bad_brokers():
    """What listens in a broker's place is silent, full, closes, or talks nonsense: no request fails, none waits for long."""
    for kind in "silent", "full", "closes", "reads and closes", "garbage":
        with harness.Server() as server, Relay() as world:
            path = os.path.join(world.folder, "bad")
            with BadBroker(path, kind) as broker:
                outcome = world.run(client("block", "127.0.0.1", server.port, "repeat=5", "connect", GET, "read"), HOLDLINE_BROKER=path)
            stats = server.stats()
        tally.expect("a broker that is bad: " + kind, outcome.status == 0 and b"200 OK" in outcome.output and stats["requests"] == 5 and
                     stats["connections"] <= 2 and outcome.seconds < 5 and (broker.accepted > 0 or kind == "full"),
                     "%s, %d asked, %.1f s\n%s" % (stats, broker.accepted, outcome.seconds, outcome.text()))
