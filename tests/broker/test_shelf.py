"""Connections that programs take from the broker's shelf by themselves: where that can't be, the broker is asked, and
nobody waits for a broker that is stopped or has died."""
import os
import shutil
import signal
import subprocess
import tempfile

import harness
from broker_world import World
from harness import PYTHON, wait_until
from programs import CLIENT, lay
from suite import tally


FILTER = """
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Runs a program under a filter that ends it for asking another process for a descriptor. */
int main(int argc, char **argv)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};

	(void)argc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return 99;
	execvp(argv[1], argv + 1);
	return 98;
}
"""


def test_filters():
    """A program that may not ask for another's descriptors is not ended for it, and rides all the same."""
    with tempfile.TemporaryDirectory(prefix="holdline-filter-") as folder:
        source, launcher = os.path.join(folder, "filter.c"), os.path.join(folder, "filter")
        with open(source, "w") as file:
            file.write(FILTER)
        subprocess.run(["gcc", "-o", launcher, source], check=True)
        with World() as world, harness.Server() as server:
            n = lay(world, server)
            outcome = world.run([launcher, "curl", "-sS", server.url("/bytes/10")])
            tally.expect("under a filter of system calls", (outcome.status, len(outcome.output)) == (0, 10) and server.stats()["connections"] == n,
                         "%s %s" % (outcome, server.stats()))
        with World() as world, harness.Server() as server:
            lay(world, server)
            code = CLIENT + "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.prctl(38, 1, 0, 0, 0)\n" + BPF + \
                "s = dial('/bytes/10'); print(len(s.recv(1000)) > 10); s.close()\n"
            outcome = world.run([PYTHON, "-c", code, str(server.port)])
            tally.expect("under a filter of its own", (outcome.status, outcome.output) == (0, b"True\n"), "%s %s" % (outcome.status, outcome.errors))


# The same filter, set by the program itself.
BPF = """
class filter(ctypes.Structure): _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]
class program(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('filter', ctypes.POINTER(filter))]
lines = (filter * 5)(filter(0x20, 0, 0, 0), filter(0x15, 1, 0, 434), filter(0x15, 0, 1, 438), filter(0x06, 0, 0, 0x80000000), filter(0x06, 0, 0, 0x7fff0000))
assert libc.prctl(22, 2, ctypes.byref(program(5, lines)), 0, 0) == 0
"""


def test_namespaces():
    """In another namespace of processes the broker's number is another's."""
    with World() as world, harness.Server() as server:
        n = lay(world, server)
        outcome = world.run(["unshare", "--pid", "--fork", "curl", "-sS", server.url("/bytes/10")])
        if b"ermitted" in outcome.errors:
            tally.skip("another namespace of processes", "namespaces are not allowed here")
        else:
            tally.expect("another namespace of processes", (outcome.status, len(outcome.output)) == (0, 10) and server.stats()["connections"] <= n,
                         "%s %s" % (outcome, server.stats()))


def test_brokers():
    """A stopped broker is not waited for, and a dead one's shelf holds nothing."""
    with World() as world, harness.Server() as server:
        n = lay(world, server)
        pid = world.broker_pid()
        os.kill(pid, signal.SIGSTOP)
        outcomes = [world.run(["curl", "-sS", server.url("/bytes/10")]) for _ in range(5)]
        tally.expect("a stopped broker's", all((o.status, len(o.output)) == (0, 10) for o in outcomes) and server.stats()["connections"] == n,
                     "%s %s" % ([o.errors for o in outcomes], server.stats()))
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists("/proc/%d" % pid))
        outcome = world.run(["curl", "-sS", server.url("/bytes/10")])
        tally.expect("a dead broker's", (outcome.status, len(outcome.output)) == (0, 10), "%s %s" % (outcome, server.stats()))


HOLDER = """
s = dial('/bytes/10')
print('took', flush=True); sys.stdin.readline()
more = []
for pause in (0, 1.2, 0):  # the board is looked for again once a second
    time.sleep(pause); more.append(dial('/bytes/10')); more[-1].recv(1000)
s.recv(1000); s.close(); print('parked', flush=True); sys.stdin.readline()
"""
READER = """
def body(s):
    data = b''
    while len(data.partition(b'\\r\\n\\r\\n')[2]) < 1500:
        part = s.recv(65536)
        if not part: break
        data += part
    return len(data.partition(b'\\r\\n\\r\\n')[2])
all = [dial('/drip/1500') for _ in range(4)]
print('took', flush=True)
print(*[body(s) for s in all])
"""


def test_old_broker():
    """Another broker is there, and the one before as well: what a process took from the old one's shelf, and has given
    to the new one, does not end with the process."""
    with World() as world, harness.Server("--idle-timeout", "60000") as server:
        lay(world, server)
        old = world.broker_pid()
        holder = world.start([PYTHON, "-c", CLIENT + HOLDER, str(server.port)])
        holder.stdout.readline()
        os.rename(os.path.dirname(world.path), os.path.dirname(world.path) + ".old")
        world.run(["true"])
        tally.expect("another broker", world.broker_pid() not in (old, None), world.broker_pid())
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.stdout.readline()
        user = world.start([PYTHON, "-c", CLIENT + READER, str(server.port)])
        user.stdout.readline()
        holder.kill()
        holder.communicate()
        n = user.communicate(timeout=20)[0].split()
        tally.expect("what was of the old one's shelf", n == ["1500"] * 4, n)
        os.kill(old, signal.SIGTERM)
        wait_until(lambda: not os.path.exists("/proc/%d" % old))


def test_words():
    """Many programs, one after the other and side by side: the broker is not spoken to."""
    if not shutil.which("strace") or harness.run(["strace", "true"], False).status:
        tally.skip("words", "needs strace")
        return
    with World() as world, harness.Server() as server:
        n = lay(world, server)
        line = "for i in 1 2 3 4 5 6 7 8; do strace -qq -e trace=sendmsg curl -sS -o /dev/null %s; done" % server.url("/bytes/10")
        outcome = world.run(["sh", "-c", line])
        tally.expect("no word to the broker", outcome.status == 0 and b"MSG_DONTWAIT" not in outcome.errors and server.stats()["connections"] == n,
                     "%s %s" % (outcome.errors, server.stats()))
