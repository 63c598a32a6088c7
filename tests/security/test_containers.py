"""Other namespaces that reach the same broker, and a kernel without seccomp(2)."""
import os
import subprocess

import harness
from harness import HOLDLINE, wait_until
from suite import tally
from two_users import Folder, needs_root, run_with_broker

NETWORK = """set -e
ip link set lo up
coproc server { exec "$1" --port 8081; }
read -r port _ <&${server[0]}
%s
exec {server[1]}>&-
wait"""


def test_containers():
    """Programs in other namespaces that can reach the same broker: another network is another destination, other
    numbers of processes and other users' numbers change nothing."""
    if not needs_root("containers"):
        return
    with Folder() as folder:
        os.mkdir(folder / "run", 0o700)
        # Two networks, in each a server at the same address and port: the second one's own must answer. Then the
        # first's, again.
        ask = "curl -sS http://127.0.0.1:8081/who"
        inner = NETWORK % ("curl -sS http://127.0.0.1:8081/who; curl -sS http://127.0.0.1:8081/who")
        outer = NETWORK % ('%s; unshare -n bash -c "$INNER" bash "$1"; %s' % (ask, ask))
        outcome = run_with_broker(folder, 'unshare -n bash -c "$OUTER" bash "$SERVER"', OUTER=outer, INNER=inner, SERVER=harness.build_server())
        wanted = ["connection 001 request 001", "connection 001 request 001", "connection 001 request 002", "connection 001 request 002"]
        tally.expect("the same address in two networks", outcome.output.decode().splitlines() == wanted, outcome.text() + outcome.errors.decode())
        for name, enter in ("process ids", "unshare -p -f --mount-proc"), ("users", "unshare -U"), ("users, as root", "unshare -U -r"):
            with harness.Server() as server:
                line = "curl -sS %s" % server.url("/who")
                outcome = run_with_broker(folder, "%s; %s %s; %s" % (line, enter, line, line))
                numbers = [int(text.split()[3]) for text in outcome.output.decode().splitlines()]
                tally.expect("other numbers: " + name, outcome.status == 0 and len(numbers) == 3, outcome.text() + outcome.errors.decode(),
                             "the server saw requests %s" % numbers)


def test_without_seccomp():
    """A kernel or container without seccomp(2): the broker serves without its filter, and says so."""
    with Folder() as folder, harness.Server() as server:
        path = folder / "broker"
        # A filter under which there is none for others: seccomp(2) and prctl(2)'s older way fail.
        without = ("import ctypes, os, sys\nl = ctypes.CDLL('libseccomp.so.2'); l.seccomp_init.restype = ctypes.c_void_p\n"
                   "class A(ctypes.Structure): _fields_ = [('arg', ctypes.c_uint), ('op', ctypes.c_int), ('a', ctypes.c_uint64), ('b', ctypes.c_uint64)]\n"
                   "f = ctypes.c_void_p(l.seccomp_init(0x7fff0000))\n"
                   "e = l.seccomp_rule_add(f, 0x50000 | 38, l.seccomp_syscall_resolve_name(b'seccomp'), 0)\n"
                   "e |= l.seccomp_rule_add_array(f, 0x50000 | 22, l.seccomp_syscall_resolve_name(b'prctl'), 1, ctypes.byref(A(0, 4, 22, 0)))\n"
                   "assert not e and not l.seccomp_load(f)\nos.execv(sys.argv[1], sys.argv[1:])")
        broker = subprocess.Popen([harness.python(), "-c", without, HOLDLINE, "broker", path], stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: os.path.exists(path))
            answers = [harness.run(["curl", "-sS", server.url("/who")], True, 10, HOLDLINE_BROKER=path).output for _ in range(2)]
            status = harness.run([HOLDLINE, "status"], False, 10, HOLDLINE_BROKER=path).output
        finally:
            broker.terminate()
            errors = broker.communicate()[1]
        tally.expect("without seccomp: it serves", answers[1] == b"connection 001 request 002\n", answers)
        tally.expect("without seccomp: it says so", b"without its filter" in status and "without its filter" in errors, "%s%s" % (status, errors))


def test_abstract():
    """The sockets of ours that /proc/net/unix lists while a broker serves have paths, all of them."""
    with Folder() as folder, harness.Server() as server:
        os.mkdir(folder / "run", 0o700)
        outcome = run_with_broker(folder, "curl -sS %s >/dev/null; cat /proc/net/unix" % server.url("/who"))
        names = [line.split(None, 7)[7] for line in outcome.output.decode().splitlines()[1:] if len(line.split(None, 7)) > 7]
        tally.expect("no abstract socket", folder / "run/holdline/broker" in names and not [name for name in names if name.startswith("@") and
                                                                                           "holdline" in name and "desync" not in name], names)
