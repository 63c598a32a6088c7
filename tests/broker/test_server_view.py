"""The server sees a connection end as it would bare."""
import time

import harness
from broker_world import World
from harness import HOLDLINE, PYTHON, wait_until
from programs import CLIENT, Sleeper, run_client
from suite import tally
from watcher import Watcher


def test_server_view():
    """The server sees how a connection ends, even while the broker and a sleeper hold descriptors of it."""
    linger = "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7));"
    for name, code in [("closed unread", "s = dial('/a'); select.select([s], [], []); s.close()"),
                       ("closed half read", "s = dial('/a'); s.recv(20); s.close()"),
                       ("closed amid an exchange", "s = dial('/stall'); s.close()"),
                       ("closed amid an exchange without linger", "s = dial('/stall'); time.sleep(.01); %s s.close()" % linger),
                       ("shut down amid an exchange", "s = dial('/stall'); s.shutdown(socket.SHUT_RDWR); s.close()"),
                       ("exit amid an exchange", "s = dial('/stall'); os._exit(0)")]:
        ends = []
        with Watcher() as server:
            harness.run([PYTHON, "-c", CLIENT + code, str(server.port)], False, 20)
            wait_until(lambda: server.ends, 2)
            ends.append(server.ends)
        with World() as world, Watcher() as server, Sleeper(world, server):
            run_client(world, server, code)
            wait_until(lambda: server.ends, 2)
            ends.append(list(server.ends))
        tally.expect("the server sees: " + name, ends[0] and ends[0] == ends[1], ends)


def test_linger():
    """A program dies with SO_LINGER set and much to send: the broker, which may be the last to close, does not wait for
    it."""
    code = """
s = dial('/a'); rest(s); s.close()
s = socket.create_connection(("127.0.0.1", port))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 10, 0, 0, 0]))
s.sendall(b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9000000\\r\\n\\r\\n"); s.setblocking(0)
try:
    while True: s.send(b"x" * 100000)
except BlockingIOError: END
"""
    for end in "os.kill(os.getpid(), 9)", "s.close()":
        with World(HOLDLINE_UNSAFE_METHODS="reuse") as world, Watcher(stalls=True) as server:
            slowest = 0
            for _ in range(5):
                run_client(world, server, code.replace("END", end))
                begin = time.monotonic()
                harness.run([HOLDLINE, "status", "--json"], False, 10, HOLDLINE_BROKER=world.path)
                slowest = max(slowest, time.monotonic() - begin)
            tally.expect("linger, " + end, slowest < 1, "the broker stood still for %.1f s" % slowest)
