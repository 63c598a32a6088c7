"""Programs that no library can enter, and their runs bare and with a relay.

The programs are built here: Go's from go/, C's from client.c, statically with glibc and with musl. What isn't installed
is None, and its tests are skipped by name.
"""
import ctypes
import difflib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess

import faults
import harness
from broker_world import World
from harness import HOLDLINE, wait_until
from suite import tally

HERE = os.path.dirname(os.path.abspath(__file__))


# A system call that is refused to programs with a relay, and to the relay: RELAY_REFUSES=438 tests/relay/run tests
# relays that make the sockets themselves.
REFUSED = os.environ.get("RELAY_REFUSES")


@functools.lru_cache(None)
def build_go(name):
    """A program of go/, or None without Go."""
    if not shutil.which("go"):
        return None
    source, path = os.path.join(HERE, "go", name + ".go"), os.path.join(harness.BUILD, "go-" + name)
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        os.makedirs(harness.BUILD, exist_ok=True)
        subprocess.run(["go", "build", "-o", path, source], check=True, env=go_environment())
    return path


def go_environment(**more):
    """That of the go command: it asks no network."""
    return dict(harness.environment(False), GOCACHE=os.path.join(harness.BUILD, "go-cache"), GOPROXY="off", GOFLAGS="", GO111MODULE="off",
                CGO_ENABLED="0", **more)


@functools.lru_cache(None)
def build_musl(name, flags):
    """client.c with musl, or None without it."""
    compiler = shutil.which("musl-gcc")
    if not compiler:
        return None
    path, source = os.path.join(harness.BUILD, name), os.path.join(HERE, "client.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        os.makedirs(harness.BUILD, exist_ok=True)
        subprocess.run([compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O1", *flags, "-o", path, source], check=True)
    return path


@functools.lru_cache(None)
def build_static(libc):
    """client.c, static: with "glibc" or "musl"; None where that is not installed."""
    if libc == "glibc":
        return harness.compile_program("relay-client-glibc", ["tests/relay/client.c"], ["-static"])
    return build_musl("relay-client-musl", ("-static",))


@functools.lru_cache(None)
def build_fault_client():
    return faults.build_client("fault_client-static", ["-static"])


def static_clients():
    """[(libc, program)] of those that can be built."""
    return [(libc, build_static(libc)) for libc in ("glibc", "musl") if build_static(libc)]


def go(name, *arguments):
    return [build_go(name), *map(str, arguments)]


def client(*arguments, libc="glibc"):
    return [build_static(libc), *map(str, arguments)]


def needs(name, *programs):
    """Skips a test without these; a program is the path of an executable, or None."""
    if not all(programs):
        tally.skip(name, "a program that it needs is not installed")
    return all(programs)


def needs_root(name):
    if os.geteuid() != 0:
        tally.skip(name, "needs root")
    return os.geteuid() == 0


class Relay(World):
    """A folder with a broker of our own; programs that run here have a relay."""

    refused = REFUSED

    def command(self, command, relay="auto", options=()):
        prefix = [harness.compile_program("relay-refuse", ["tests/relay/refuse.c"]), str(self.refused)] if self.refused else []
        return [*prefix, HOLDLINE, "run", "--quiet", "--relay=" + relay, *options, "--", *command]

    def run(self, command, timeout=30, relay="auto", options=(), stdin=None, **extra):
        return harness.run(self.command(command, relay, options), False, timeout, stdin, **self.environment(extra))

    def start(self, command, relay="auto", options=(), **extra):
        return subprocess.Popen(self.command(command, relay, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=harness.environment(False, **self.environment(extra)), text=True)

    def processes(self):
        """[(pid, arguments)] of the relays and watchdogs of this folder."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    arguments = file.read().split(b"\0")[:-1]
                with open("/proc/%s/environ" % name, "rb") as file:
                    environ = file.read()
            except OSError:
                continue
            if len(arguments) > 1 and b"holdline" in arguments[0] and arguments[1] == b"relay" and \
                    ("XDG_RUNTIME_DIR=%s\0" % self.folder).encode() in environ:
                found.append((int(name), [argument.decode() for argument in arguments]))
        return found

    def pids(self):
        return sorted(pid for pid, _ in self.processes())

    def are_gone(self, seconds=5.0):
        """Whether all relays end within that time."""
        return wait_until(lambda: not self.pids(), seconds)

    def listeners(self):
        """[(pid, address, port)] at which this folder's relays listen."""
        inodes = {}
        for pid in self.pids():
            try:
                for fd in os.listdir("/proc/%d/fd" % pid):
                    match = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
                    if match:
                        inodes[match.group(1)] = pid
            except OSError:
                continue
        found = []
        for family in "tcp", "tcp6":
            with open("/proc/net/" + family) as file:
                for line in file.read().splitlines()[1:]:
                    words = line.split()
                    if words[3] == "0A" and words[9] in inodes:
                        address, port = words[1].split(":")
                        found.append((inodes[words[9]], address_of(address), int(port, 16)))
        return found


def address_of(hexadecimal):
    """Of /proc/net/tcp: words of four bytes in the machine's order."""
    words = bytes.fromhex(hexadecimal)
    words = b"".join(words[i:i + 4][::-1] for i in range(0, len(words), 4))
    return socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words)


def memory_kib(pid, field="VmRSS"):
    with open("/proc/%d/status" % pid) as file:
        match = re.search(field + r":\s+(\d+)", file.read())
    return int(match.group(1)) if match else 0


def plain(text):
    """Without what differs from run to run: a local port; which of two timers has fired."""
    text = re.sub(rb"dial tcp [^ ]*: i/o timeout", b"context deadline exceeded", text)
    return re.sub(rb"(127\.0\.0\.1|10\.77\.0\.\d|\[::1\]):\d+->", rb"\1:PORT->", text)


class Pair:
    """A program's run bare, and with a relay, with what the server counted in each."""

    def __init__(self, bare, subject, bare_stats, stats):
        self.bare, self.subject, self.bare_stats, self.stats = bare, subject, bare_stats, stats

    def is_same(self):
        # A program that hangs bare shows nothing.
        return (self.bare.status != "timeout" and self.bare.status == self.subject.status and plain(self.bare.output) == plain(self.subject.output) and
                plain(self.bare.errors) == plain(self.subject.errors))

    def text(self):
        before, after = (plain(outcome.output + outcome.errors).decode("utf-8", "backslashreplace").splitlines() + ["status %s" % outcome.status]
                         for outcome in (self.bare, self.subject))
        lines = list(difflib.unified_diff(before, after, "bare, %.1f s, %s" % (self.bare.seconds, counted(self.bare_stats)),
                                          "relayed, %.1f s, %s" % (self.subject.seconds, counted(self.stats)), lineterm="", n=1))
        return "\n    ".join(line[:400] for line in lines[:30]) or "bare %s, relayed %s" % (counted(self.bare_stats), counted(self.stats))


def counted(stats):
    return " ".join("%s %d" % (key, stats[key]) for key in ("connections", "accepted", "requests", "posts", "duplicates") if key in stats)


def run_pair(server, command, timeout=30, stdin=None, world=None, **options):
    """Bare first. `server`: one that counts, or None."""
    counts = lambda: server.stats() if server else {}
    if server:
        server.reset()
    bare = harness.run(command, False, timeout, stdin)
    bare_stats = counts()
    if server:
        server.reset()
    if world:
        subject = world.run(command, timeout, stdin=stdin, **options)
    else:
        with Relay() as world:
            subject = world.run(command, timeout, stdin=stdin, **options)
    return Pair(bare, subject, bare_stats, counts())


def compare(name, server, command, most=None, **options):
    """A verdict: the program sees what it sees bare; and another, if there may be `most` connections only. In a world of
    others' none need be new."""
    pair = run_pair(server, command, **options)
    tally.expect(name, pair.is_same(), pair.text())
    if most is not None:
        tally.expect(name + ": connections", 0 < pair.stats["requests"] and pair.stats["connections"] <= most, "%d connections for %d requests, not %d" % (
            pair.stats["connections"], pair.stats["requests"], most))
    return pair


def can_notify():
    """Whether this kernel lets us have a seccomp listener; tried in a child."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    allow = (6).to_bytes(2, "little") + bytes(2) + (0x7fff0000).to_bytes(4, "little")
    program = Program(1, allow)
    libc.prctl(38, 1, 0, 0, 0)
    # __NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER
    number = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine)
    os._exit(0 if number and libc.syscall(number, 1, 8, ctypes.byref(program)) >= 0 else 1)


def kill(process, number=signal.SIGKILL):
    """Ends a program that we have started."""
    if process.poll() is None:
        process.send_signal(number)
    process.wait(10)
    for stream in process.stdin, process.stdout, process.stderr:
        if stream:
            stream.close()
