"""Programs that share connections, how they are run, and the state of their broker."""
import os

from harness import PYTHON, wait_until


def shell(line, n, at_once=1):
    """A shell line n times, $i counting, one after the other or some at once."""
    if at_once == 1:
        return ["sh", "-c", "i=0; while [ $((i += 1)) -le %d ]; do %s; done" % (n, line)]
    return ["sh", "-c", "seq %d | xargs -P %d -I{} sh -c '%s'" % (n, at_once, line)]


SLEEPER = """
import sys, urllib.request
print(len(urllib.request.urlopen(sys.argv[1]).read()), flush=True)
sys.stdin.readline()
for url in sys.argv[2:]:
    print(len(urllib.request.urlopen(url).read()), flush=True)
"""


class Sleeper:
    """A program that has parked a connection and sleeps until it is woken."""

    def __init__(self, world, server, *more, **settings):
        self.process = world.start([PYTHON, "-c", SLEEPER, server.url("/bytes/10"), *more], **settings)
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def wake(self):
        output = self.process.communicate("\n", 20)[0]
        return self.process.returncode, output.split()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def lay(world, server):
    """Leaves the broker a connection of its own: one that is slow for once is done without."""
    def is_held():
        held = world.status()
        if not held:
            world.run(["curl", "-sS", server.url("/bytes/10")])
        return held and "pid" not in held[0]

    wait_until(is_held)
    return server.stats()["connections"]


def n_open(server):
    return server.stats()["open"]


def cpu_seconds(world):
    pid = next((int(entry) for entry in os.listdir("/proc") if entry.isdigit() and is_broker(entry, world)), None)
    if pid is None:
        return 0.0
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_broker(entry, world):
    try:
        with open("/proc/%s/cmdline" % entry, "rb") as file:
            return world.path.encode() in file.read().split(b"\0")
    except OSError:
        return False


CLIENT = """
import os, select, socket, subprocess, sys, time
port = int(sys.argv[1])
def dial(path):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(("GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % path).encode())
    return s
def rest(s):
    n = 0
    while True:
        part = s.recv(65536)
        n += len(part)
        if not part or part.endswith(b"last\\n"):
            return n
"""


def run_client(world, server, code):
    outcome = world.run([PYTHON, "-c", CLIENT + code, str(server.port)], 20)
    return outcome.status, outcome.output.decode().split(), outcome.errors.decode()


def states_of(server):
    """The kernel's states (numbers) of all connections to a server, as the client's side has them; TIME_WAIT (6) is
    left out."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return [int(row[3], 16) for row in rows if int(row[2].split(":")[1], 16) == server.port and row[3] != "06"]
