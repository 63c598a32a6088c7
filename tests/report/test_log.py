"""The log says why a connect was not given a kept connection."""
import socket

import harness
from harness import PYTHON
from run_world import World
from suite import tally

LOGGED = """
import fcntl, http.server, os, socket, sys, threading, time
def connect(*options, bind=None):
    s = socket.socket()
    for option in options:
        s.setsockopt(*option)
    if bind:
        s.bind(bind)
    s.connect(("127.0.0.1", int(sys.argv[1])))
    return s
def read_to_end(s):
    while s.recv(65536):
        pass
    s.close()
def ask(s, request):
    s.sendall(request)
    read_to_end(s)
def get(*options, **more):
    ask(connect(*options, **more), b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
def post():
    ask(connect(), b"POST /body HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: 4\\r\\n\\r\\nid=1")
def look():
    connect().close()
def half_close():
    s = connect()
    s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    s.shutdown(socket.SHUT_WR)
    read_to_end(s)
def signal_driven():
    s = connect()
    fcntl.fcntl(s, fcntl.F_SETFL, fcntl.fcntl(s, fcntl.F_GETFL) | os.O_ASYNC)
    ask(s, b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
def own():
    listener = socket.create_server(("127.0.0.1", 0))
    sys.argv[1] = listener.getsockname()[1]
    look()
exec(sys.argv[2])
"""

# A program, what the log says of its connects, settings of the server's and of ours.
LOGGED_CASES = [
    ("get(); get()", "dial none_idle, lease", [], {}),
    ("get(); post(); get()", "dial none_idle, lease, redial unsafe_method, lease", [], {}),
    ("get(); look(); look()", "dial none_idle, lease, dial probed", [], {}),
    ("get(); time.sleep(0.7); get()", "dial none_idle, dial server_idle_close", ["--idle-timeout", "200"], {}),
    ("get(); look()", "dial policy, dial policy", [], {"HOLDLINE_MODE": "observe"}),
    ("own()", "dial own_port", [], {}),
    ("get(bind=('127.0.0.1', %d))", "dial sockopt", [], {}),
    ("get(); s = connect(); s.sendall(b'hello\\r\\n'); s.close()", "dial none_idle, lease, redial unknown_protocol", [], {}),
    ("get()", "dial broker_silent", [], {"HOLDLINE_BROKER": "/nonexistent/broker"}),
    ("get()", "dial limit", [], {"HOLDLINE_MAX_CONNS_PER_HOST": "2"}),
]

# A program, and why the log says that its connection was not kept.
NOT_KEPT_CASES = [("get()", [], {}), ("half_close()", ["client_close"], {}), ("signal_driven()", ["sockopt"], {}),
                  ("get(); get()", ["policy", "policy"], {"HOLDLINE_RULES": "127.0.0.1:* off"})]


def unused_port():
    """One that no connection has, not even in TIME_WAIT: it is bound without SO_REUSEADDR."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_log():
    """Why a connect was not given a kept connection."""
    for program, expected, options, settings in LOGGED_CASES:
        with World() as world, harness.Server(*options) as server:
            if "%d" in program:
                program %= unused_port()
            outcome = harness.run([PYTHON, "-c", LOGGED, str(server.port), program], True, 20, HOLDLINE_LOG=world.path("log"), **settings)
            with open(world.path("log")) as file:
                words = [line.split() for line in file]
        said = ", ".join(" ".join([line[1], *line[4:]]) for line in words if line[1] in ("dial", "redial", "replay", "lease"))
        tally.expect("log: %s %s" % (program, " ".join(settings)), outcome.status == 0 and said == expected,
                     "expected %s, got %s\n%s" % (expected, said, outcome.errors.decode()))
    for program, expected, settings in NOT_KEPT_CASES:
        with World() as world, harness.Server() as server:
            outcome = harness.run([PYTHON, "-c", LOGGED, str(server.port), program], True, 20, HOLDLINE_LOG=world.path("log"), **settings)
            with open(world.path("log")) as file:
                said = [line.split()[-1] for line in file if line.split()[1:3] == ["not", "kept"] or line.split()[1] == "native"]
        tally.expect("log: not kept: %s" % program, outcome.status == 0 and said == expected,
                     "expected %s, got %s\n%s" % (expected, said, outcome.errors.decode()))
    # Beside a broker, which may need more time than it is given.
    for _ in range(harness.ATTEMPTS):
        with World() as world, harness.Server() as server:
            world.holdline("run", "--quiet", "--", "curl", "-sS", "-o", "/dev/null", server.url("/bytes/10"), HOLDLINE_LOG=world.path("log"))
            with open(world.path("log")) as file:
                said = [line.split()[-1] for line in file if line.split()[1] == "dial"]
        if said == ["broker_none"]:
            break
    tally.expect("log: a broker has none", said == ["broker_none"], said)
