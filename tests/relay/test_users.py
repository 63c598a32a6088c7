"""Nobody but the program gets anything from its relay, and the program gets nothing that it could not have itself."""
import os
import shutil
import socket
import subprocess
import tempfile

import harness
from harness import HOLDLINE
from relayed import Relay, build_static, client, kill, needs, needs_root, run_pair
from servers import GET
from suite import tally

NOBODY = 65534
GET = GET.replace("/a", "/bytes/10")
# Connects to an address, asks for a secret, and prints how many bytes come.
ASK = """
import os, socket, sys
if int(sys.argv[3]):
    os.setgroups([])
    os.setuid(int(sys.argv[3]))
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(2)
n = 0
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    while True:
        piece = s.recv(1000)
        if not piece:
            break
        n += len(piece)
except OSError as error:
    pass
print(n)
"""


def test_strangers():
    """Another process, of another user or of the same, connects to where a relay listens: it gets not one byte, and no
    request reaches the server."""
    users = [0, NOBODY] if needs_root("strangers: another user") else [0]
    with harness.Server() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "read", "hold", "connect", GET, "read"))
        while "<" not in process.stdout.readline():
            pass
        listeners = world.listeners()
        tally.expect("a relay listens on the loopback interface only", listeners and all(
            address.startswith("127.") or address == "::1" for _, address, _ in listeners), str(listeners))
        before = server.stats()
        for _, address, port in listeners:
            for user in users:
                outcome = harness.run([harness.PYTHON, "-c", ASK, address, str(port), str(user)], False, 15)
                tally.expect("a stranger gets nothing: %s, user %d" % (address, user), outcome.output == b"0\n", outcome.text() + outcome.errors.decode())
        after = server.stats()
        tally.expect("the server sees no stranger", (before["requests"], before["accepted"]) == (after["requests"], after["accepted"]), "%s %s" % (before, after))
        output, _ = process.communicate(timeout=10)
        tally.expect("the program is served after that", "200 OK" in output, output)


def test_flood():
    """Strangers who keep the relay's listener full do not keep its program waiting for long."""
    with harness.Server() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "read", "hold", "repeat=20", "connect", GET, "read"))
        while "<" not in process.stdout.readline():
            pass
        flood = []
        for _, address, port in world.listeners():
            for _ in range(200):
                stranger = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
                stranger.setblocking(False)
                stranger.connect_ex((address, port))
                flood.append(stranger)
        try:
            output, _ = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            kill(process)
            output = "hangs"
        for stranger in flood:
            stranger.close()
    tally.expect("a flood", "200 OK" in output and process.returncode == 0, output)


def test_other_user():
    """A process that has become another user: its requests go over no connection of the first one's."""
    if not needs_root("another user"):
        return
    with harness.Server() as server:
        pair = run_pair(server, client("block", "127.0.0.1", server.port, GET, "read", "user=%d" % NOBODY, "connect", GET, "read"))
        tally.expect("another user", pair.is_same() and pair.stats["connections"] == 2, pair.text())


def test_as_nobody():
    """A user without rights has a relay, too."""
    program = build_static("glibc")
    if not needs_root("as nobody") or not needs("as nobody", shutil.which("setpriv")):
        return
    with tempfile.TemporaryDirectory(prefix="holdline-relay-") as folder:
        os.chmod(folder, 0o755)
        copies = [shutil.copy(path, folder) for path in (HOLDLINE, harness.SHIM.split(":")[-1], program)]
        runtime = os.path.join(folder, "runtime")
        os.mkdir(runtime, 0o700)
        os.chown(runtime, NOBODY, NOBODY)
        with harness.Server() as server:
            for name, actions, most in (("as nobody", ["repeat=20", "connect", GET, "read"], 1), ("keeping a secret", ["undump", "repeat=20", "connect", GET, "read"], 20)):
                command = [copies[2], "block", "127.0.0.1", str(server.port), *actions]
                as_nobody = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
                bare = harness.run([*as_nobody, *command], False, 15)
                server.reset()
                outcome = harness.run([*as_nobody, copies[0], "run", "--quiet", "--pool=local", "--", *command], False, 15, XDG_RUNTIME_DIR=runtime)
                connections = server.stats()["connections"]
                tally.expect(name, outcome.status == 0 and outcome.output == bare.output and outcome.errors == b"" and connections <= most,
                             "%d connections\n%s%s" % (connections, outcome.text(), outcome.errors.decode()))


def test_other_namespace():
    """A program that moves into another network namespace gets that one's answers."""
    busybox = shutil.which("busybox")
    if not needs_root("another namespace") or not needs("another namespace", busybox):
        return
    with harness.Server() as server:
        script = "%s; busybox unshare -n %s; %s" % (("busybox wget -q -O - %s" % server.url("/bytes/10"),) * 3)
        pair = run_pair(server, [busybox, "sh", "-c", script])
        tally.expect("another namespace", pair.is_same() and b"can't connect" in pair.bare.errors, pair.text() + pair.bare.errors.decode())


# Forbids itself all TCP connections between two requests (landlock(7)).
LANDLOCK = r"""
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def ask():
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        s.sendall(b"GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while s.recv(1000):
            pass
        print("answered")
    except OSError as error:
        print(error)
ask()
ask()
rules = libc.syscall(444, struct.pack("QQ", 0, 2), 16, 0)
print(rules >= 0, libc.prctl(38, 1, 0, 0, 0), libc.syscall(446, rules, 0))
ask()
"""


def test_landlock():
    """What the program has forbidden itself, no relay does for it."""
    with harness.Server() as server, Relay() as world:
        command = [harness.PYTHON, "-c", LANDLOCK, str(server.port)]
        bare = harness.run(command, False, 15)
        server.reset()
        outcome = world.run(command, 15, relay="always")
        tally.expect("landlock", outcome.output == bare.output and b"Permission denied" in bare.output and server.stats()["connections"] <= 1,
                     bare.text() + outcome.text() + str(server.stats()))


def test_setuid():
    """A setuid program gets no relay, which would take its rights (no_new_privs)."""
    if not needs_root("setuid"):
        return
    with tempfile.TemporaryDirectory(prefix="holdline-relay-") as folder, Relay() as world:
        os.chmod(folder, 0o755)
        program = shutil.copy(build_static("glibc"), os.path.join(folder, "setuid"))
        os.chown(program, NOBODY, NOBODY)
        os.chmod(program, 0o4755)
        with harness.Server() as server:
            process = world.start([program, "block", "127.0.0.1", str(server.port), GET, "read", "hold"])
            while "<" not in process.stdout.readline():
                pass
            tally.expect("a setuid program has no relay", world.pids() == [], str(world.processes()))
            process.communicate(timeout=10)


def test_signals_from_outside():
    """The relay is of its user's: nobody else may signal or trace it."""
    if not needs_root("the relay's owner"):
        return
    with harness.Server() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "read", "hold"))
        while "<" not in process.stdout.readline():
            pass
        for pid in world.pids():
            with open("/proc/%d/status" % pid) as file:
                status = file.read()
            tally.expect("the relay's rights are no more than its program's", "NoNewPrivs:\t1" in status or "Uid:\t0" in status, status[:400])
        process.communicate(timeout=10)
