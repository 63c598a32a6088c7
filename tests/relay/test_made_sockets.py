"""Where pidfd_getfd(2) is refused, as in a container with Docker's profile of system calls, the relay makes the program's
sockets. `RELAY_REFUSES=438 tests/relay/run` runs all other tests so."""
import os

import harness
from relayed import Relay, client
from servers import GET
from suite import tally

PIDFD_GETFD = 438
GET = GET.replace("/a", "/bytes/10")

# Sockets that are used in other ways than by connect() and never connected: what a duplicate of ours could be in the
# way of. Before each line the program waits for one of its input, so that the relay can be looked at.
USES = """
import socket, sys
def say(*words):
    print(*words, flush=True)
    sys.stdin.readline()
def bound(port=0):
    s = socket.socket()
    s.bind(("127.0.0.1", port))
    return s
def listening(port=0):
    s = bound(port)
    s.listen()
    return s
say("begin")
s = bound()
port = s.getsockname()[1]
for _ in range(50):
    s.close()
    s = bound(port)
say("bound again and again")
s.close()
for _ in range(50):
    s = listening(port)
    s.close()
say("listened again and again")
server = listening()
s = socket.socket()
s.sendto(b"fast", socket.MSG_FASTOPEN, server.getsockname())
there, _ = server.accept()
say("opened fast", there.recv(9))
s.close()
say("closed", there.recv(9))
s = socket.socket(socket.AF_INET6)
s.settimeout(0.25)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
say(s.gettimeout(), s.getsockname()[:2], s.getblocking(), s.get_inheritable())
s.close()
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
say(s.getblocking(), s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), s.fileno())
many = [socket.socket() for _ in range(400)]
say("many", many[-1].fileno() - many[0].fileno())
for s in many:
    s.connect(server.getsockname())
    s.close()
    there, _ = server.accept()
    assert there.recv(1) == b""
    there.close()
say("connected")
"""


def walk(process, watch=lambda line: None):
    """Its lines; watch(line) is called while it waits behind each."""
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        watch(lines[-1])
        process.stdin.write("\n")
        process.stdin.flush()
    process.wait()
    return lines


def n_descriptors(world):
    return max(len(os.listdir("/proc/%d/fd" % pid)) for pid in world.pids())


def test_made_sockets_reuse():
    """The same as with descriptors taken."""
    command = ["block", "127.0.0.1", "PORT", "repeat=20", "peer", GET, "read", "connect"]
    with harness.Server() as server, Relay() as world:
        world.refused = PIDFD_GETFD
        words = [str(server.port) if word == "PORT" else word for word in command]
        bare = harness.run(client(*words), False, 15)
        server.reset()
        outcome = world.run(client(*words), 15)
        stats = server.stats()
        tally.expect("made sockets: reuse", outcome.status == bare.status and len(outcome.output) == len(bare.output) and stats["connections"] <= 1,
                     "%s\n%s\n%s" % (stats, bare.text(), outcome.text()))


def test_made_sockets_other_uses():
    """A socket that the relay has made and has no part in is wholly the program's."""
    watched = {}
    with Relay() as world:
        world.refused = PIDFD_GETFD
        bare = world.start([harness.PYTHON, "-c", USES], "off")
        expected = walk(bare)
        process = world.start([harness.PYTHON, "-c", USES], "always")
        found = walk(process, lambda line: watched.__setitem__(line, n_descriptors(world)))
    tally.expect("made sockets: other uses", found == expected and len(found) == 9 and process.returncode == 0,
                 "\n".join(expected) + "\n---\n" + "\n".join(found) + process.stderr.read())
    begin = watched.get("begin", 0)
    tally.expect("made sockets: none is kept in use", all(watched.get(line) == begin for line in ("bound again and again", "listened again and again", "closed b\'\'")),
                 str(watched))
    tally.expect("made sockets: few are kept", 256 <= max(watched.values()) - begin <= 260 and watched.get("connected", 0) <= begin + 4, str(watched))
