"""The life of a relay beside its program: whoever is killed or stopped, the program goes on, and nothing is left behind."""
import os
import shutil
import signal
import subprocess
import time

import harness
import network
from relayed import Relay, build_go, build_static, client, compare, go, kill, needs, run_pair
from servers import GET, Scripted, read_all, read_head
from suite import tally

BUSYBOX = shutil.which("busybox")
GET = GET.replace("/a", "/bytes/10")
# One exchange, a pause until the test has done its deed, another exchange.
BETWEEN = [GET, "read", "hold", "connect", "patience=5000", GET, "read"]


def begin(world, server, *actions, way="block"):
    """A program that has had its first answer, and waits."""
    process = world.start(client(way, "127.0.0.1", server.port, *actions))
    while "<" not in process.stdout.readline():
        if process.poll() is not None:
            break
    return process


def finish(process, seconds=15):
    """What it prints after the pause; None if it hangs."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        kill(process)
        return None


def test_ends_with_its_program():
    with harness.Server() as server, Relay() as world:
        process = begin(world, server, *BETWEEN)
        n = len(world.pids())
        tally.expect("a relay and its watchdog are there", n == 2, str(world.processes()))
        output = finish(process)
        tally.expect("they end with the program", output and "200 OK" in output and world.are_gone(), str(world.processes()))
        process = begin(world, server, *BETWEEN)
        kill(process)
        tally.expect("they end with a killed program", world.are_gone(), str(world.processes()))
        tally.expect("the server sees all ends", harness.wait_until(lambda: server.stats()["open"] == 0, 3) or world.broker_pid(), str(server.stats()))


def test_each_process_ends():
    """The relay or its watchdog is killed: later connections of the program succeed."""
    for number in range(2):
        with harness.Server() as server, Relay() as world:
            process = begin(world, server, *BETWEEN)
            pids = world.pids()
            if len(pids) == 2:
                os.kill(pids[number], signal.SIGKILL)
                time.sleep(0.3)
            output = finish(process)
            tally.expect("killed: process %d of 2" % (number + 1), len(pids) == 2 and output and "200 OK" in output, "%s %s" % (pids, output))
            tally.expect("killed: process %d of 2: nothing is left" % (number + 1), world.are_gone(), str(world.processes()))


def test_each_process_is_stopped():
    """The relay or its watchdog is stopped: the program's next connection succeeds all the same."""
    for number in range(2):
        with harness.Server() as server, Relay() as world:
            process = begin(world, server, *BETWEEN)
            pids = world.pids()
            if len(pids) == 2:
                os.kill(pids[number], signal.SIGSTOP)
            output = finish(process, 20)
            tally.expect("stopped: process %d of 2" % (number + 1), len(pids) == 2 and output and "200 OK" in output, "%s %s" % (pids, output))
            for pid in world.pids():
                os.kill(pid, signal.SIGCONT)
            tally.expect("stopped: process %d of 2: nothing is left" % (number + 1), world.are_gone(), str(world.processes()))


def test_killed_in_a_connect():
    """The relay is killed while a connect() waits for it: the kernel goes on with that, as bare, where a signal ends it."""
    with network.FullBacklog() as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, "alarm=900", "connect"), HOLDLINE_DIAL_TIMEOUT="20s")
        harness.wait_until(lambda: len(world.pids()) == 2)
        # The server's host does not answer: the call is held for all of the dial timeout.
        time.sleep(1)
        for pid in world.pids()[1:]:
            os.kill(pid, signal.SIGKILL)
        output = finish(process, 5)
    tally.expect("killed in a connect", output == "connect: error 4\n", str(output))


def test_killed_in_an_answer():
    """The relay is killed in the midst of an answer: that exchange is lost, as with a broken cable; the next is not."""
    def handler(connection, number):
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
            if number == 1:
                time.sleep(2)
            connection.sendall(b"56789")
    for number in range(2):
        with Scripted(handler) as server, Relay() as world:
            process = world.start(client("block", "127.0.0.1", server.port, GET, "read=44", "read", "connect", GET, "read=49"))
            while "<" not in process.stdout.readline():
                pass
            pids = world.pids()
            if len(pids) == 2:
                os.kill(pids[number], signal.SIGKILL)
            output = finish(process)
            tally.expect("killed in an answer: process %d of 2" % (number + 1), len(pids) == 2 and output and "0123456789" in output, str(output))


def test_program_killed():
    """A program that is killed while the server works on its answer: the server sees the end."""
    with Scripted(lambda connection, _: (read_head(connection), server.log.append("end %d" % len(read_all(connection))))) as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "name", "read"))
        harness.wait_until(lambda: server.accepted == 1)
        time.sleep(0.1)
        kill(process)
        tally.expect("killed program: the server sees it", harness.wait_until(lambda: server.log, 3), str(server.log))
        tally.expect("killed program: nothing is left", world.are_gone(), str(world.processes()))


def test_parent_of_many():
    """The relay lives for as long as any process has it: a child that stays behind is served."""
    if not needs("a child that stays", BUSYBOX, build_static("glibc")):
        return
    with harness.Server() as server, Relay() as world:
        script = "(sleep 1; %s block 127.0.0.1 %d '%s' read) & exit 3" % (build_static("glibc"), server.port, GET)
        pair = run_pair(server, [BUSYBOX, "sh", "-c", script], world=world)
        tally.expect("a child that stays", pair.is_same() and b"200 OK" in pair.subject.output and pair.subject.status == 3, pair.text())
        tally.expect("a child that stays: nothing is left", world.are_gone(), str(world.processes()))


def test_nested():
    with harness.Server() as server, Relay() as world:
        command = client("block", "127.0.0.1", server.port, "repeat=5", "connect", GET, "read")
        pair = run_pair(server, command, world=world)
        nested = run_pair(server, [*world.command(command)], world=world)
        tally.expect("nested", nested.subject.output == pair.bare.output and nested.subject.errors == b"" and
                     nested.stats["requests"] == 5 and nested.stats["connections"] <= 1, nested.text())


def test_shell_script():
    """A dynamic shell starts Go programs."""
    if not needs("a shell's Go programs", build_go("client")):
        return
    with harness.Server() as server:
        compare("a shell's Go program", server, ["sh", "-c", '"$@"; echo "status $?"; "$@"', "sh", *go("client", "-n", 20, server.url("/bytes/10"))], 2)


SEEN = (
    ("descriptors", "ls -l /proc/self/fd | sed 's/.* //; s/[0-9][0-9]*//g'"),
    ("arguments", "tr '\\0' '|' </proc/self/cmdline"),
    ("signals", "grep -E '^(Sig[^Q]|Shd)' /proc/self/status"),
    ("identity", "id; umask; pwd; ulimit -a"),
    ("children", "cat /proc/$$/task/$$/children | wc -w"),
    ("session", "set -- $(cat /proc/$$/stat); [ $5 = $6 ] && [ $5 = $$ ] && echo own"),
    ("namespaces", "ls -l /proc/self/ns | sed 's/.*-> //'"),
    ("limits", "cat /proc/self/limits /proc/self/oom_score_adj"),
    ("environment", "env | grep -v -E '^(HOLDLINE_|XDG_RUNTIME_DIR|LD_PRELOAD)' | sort"),
    ("exit", "exit 7"),
    ("a signal", "kill -9 $$"),
    ("another signal", "kill -TERM $$"),
    ("not found", "/no/such/program"),
    ("input", "cat"),
)


def test_seen():
    """What a program sees of itself."""
    if not needs("what is seen", BUSYBOX):
        return
    with Relay() as world:
        for name, script in SEEN:
            pair = run_pair(None, [BUSYBOX, "sh", "-c", script, "name", "an argument", ""], stdin=b"some input\n", world=world)
            tally.expect("seen: " + name, pair.is_same(), pair.text())
        process = world.start([BUSYBOX, "sh", "-c", "echo $$ $PPID"])
        output, _ = process.communicate(timeout=10)
        tally.expect("seen: its process id", output.split() == [str(process.pid), str(os.getpid())], output)
        tally.expect("seen: nothing is left", world.are_gone(), str(world.processes()))


def test_streams_are_not_held():
    """The relay holds none of its program's descriptors."""
    with harness.Server() as server, Relay() as world:
        process = begin(world, server, *BETWEEN)
        held = [(pid, os.readlink("/proc/%d/fd/%s" % (pid, fd))) for pid in world.pids() for fd in os.listdir("/proc/%d/fd" % pid)]
        own = {os.readlink("/proc/%d/fd/%d" % (process.pid, fd)) for fd in (0, 1, 2)}
        tally.expect("no descriptors of the program's", held and not [name for _, name in held if name in own], str(held))
        tally.expect("not in the program's folder", all(os.readlink("/proc/%d/cwd" % pid) == "/" for pid in world.pids()),
                     str([os.readlink("/proc/%d/cwd" % pid) for pid in world.pids()]))
        finish(process)


def test_signals():
    """Signals all the time: no call of the program's is disturbed."""
    with harness.Server() as server:
        for way in "block", "poll":
            compare("a storm of signals, " + way, server, client(way, "127.0.0.1", server.port, "storm=300", "repeat=300", "connect", GET, "read"), 2)


def test_terminal_signals():
    """SIGINT and SIGTERM to the program's group reach the program; the relay ends after it."""
    with harness.Server() as server, Relay() as world:
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            process = subprocess.Popen(["setsid", *world.command(client("block", "127.0.0.1", server.port, GET, "read", "hold"))], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=harness.environment(False, **world.environment({})))
            while "<" not in process.stdout.readline():
                pass
            os.killpg(process.pid, number)
            process.wait(5)
            tally.expect("signal %d" % number, process.returncode == -number and world.are_gone(), "%s %s" % (process.returncode, world.processes()))
            kill(process)


def test_refused():
    """Where the kernel refuses a seccomp listener, the program runs natively, and is told why."""
    if not needs("refused", BUSYBOX):
        return
    refusing = """import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 317), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]
text = b"".join(struct.pack("HBBI", *line) for line in code)
class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_char_p)]
assert libc.prctl(22, 2, ctypes.byref(Program(len(code), text)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
    if os.uname().machine != "x86_64":
        return
    with harness.Server() as server, Relay() as world:
        command = [word for word in world.command(client("block", "127.0.0.1", server.port, GET, "read")) if word != "--quiet"]
        outcome = harness.run([harness.PYTHON, "-c", refusing, *command], False, 10, **world.environment({}))
    tally.expect("refused: it runs all the same", outcome.status == 0 and b"200 OK" in outcome.output, outcome.text() + outcome.errors.decode())
    tally.expect("refused: one line says why", outcome.errors.count(b"\n") == 1 and b"seccomp" in outcome.errors, outcome.errors.decode())
