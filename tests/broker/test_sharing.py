"""Many short programs, one broker: few connections, and the same bytes as bare."""
import os
import re
import shutil

import harness
from broker_world import World
from harness import PYTHON, wait_until
from programs import Sleeper, shell
from suite import tally


def compare(name, server, command, most, world, unordered=False):
    """Bare and shared: the same bytes, statuses and requests, and at most so many connections."""
    server.reset()
    bare = harness.run(command, False, 60)
    bare_stats = server.stats()
    # A program waits 10 ms for the broker, then dials: if the broker did not get the processor in time, only the count
    # differs.
    for attempt in range(harness.ATTEMPTS):
        server.reset()
        shared = world.run(command, 60)
        stats = server.stats()
        outputs = [sorted(outcome.output.splitlines()) if unordered else outcome.output for outcome in (bare, shared)]
        good = bare.status == 0 and (bare.status, outputs[0], bare.errors) == (shared.status, outputs[1], shared.errors)
        good = good and bare_stats["requests"] == stats["requests"]
        if not good or stats["connections"] <= most:
            break
    tally.expect(name, good and stats["connections"] <= most,
                 "bare: status %s, %s; shared: status %s, %s, most %d\n%s%s" % (
                     bare.status, bare_stats, shared.status, stats, most, bare.errors.decode(), shared.errors.decode()),
                 "%d requests: %d connections bare, %d shared%s" % (stats["requests"], bare_stats["connections"], stats["connections"],
                                                                   ", attempt %d" % (attempt + 1) if attempt else ""))


CLIENTS = [
    ("curl", "curl -sS %s", "curl", False),
    ("curl-close", "curl -sS -H Connection:\\ close %s", "curl", False),
    ("curl-1.0", "curl -sS --http1.0 %s", "curl", False),
    ("wget", "wget -q -O - %s", "wget", False),
    ("python", PYTHON + " -c 'import urllib.request; print(urllib.request.urlopen(\"%s\").read())'", PYTHON, False),
    ("w3m", "w3m -dump_source %s", "w3m", True),
    ("lynx", "lynx -source %s", "lynx", True),
    ("php", "php -r 'echo file_get_contents(\"%s\");'", "php", True),
    ("perl", "perl -MHTTP::Tiny -e 'print HTTP::Tiny->new->get(\"%s\")->{content}'", "perl", False),
]


def test_loops():
    with harness.Nginx() as nginx, harness.Server() as server:
        for name, line, needs, heavy in CLIENTS:
            if heavy and not harness.HEAVY or not shutil.which(needs):
                continue
            for kind, subject in ("nginx", nginx), ("server", server):
                with World() as world:
                    compare("20 x %s on %s" % (name, kind), subject, shell(line % subject.url("/bytes/1024"), 20), 1, world)


def test_parallel():
    with World() as world, harness.Nginx() as nginx:
        compare("40 curls, 8 at a time", nginx, shell("echo $(curl -sS %s)" % nginx.url("/bytes/10"), 40, 8), 8, world, unordered=True)


def test_posts():
    """A POST never goes out on a kept connection, and runs once."""
    line = "curl -sS -d id=$i %s/body; curl -sS %s/bytes/10"
    with World() as world, harness.Server() as server:
        url = server.url("")
        server.reset()
        outcome = world.run(shell(line % (url, url), 10))
        stats = server.stats()
        tally.expect("POST and GET in turn", outcome.status == 0 and stats["posts"] == 10 and stats["gets"] == 10
                     and stats["duplicates"] == 0, "%s %s" % (outcome.status, stats), "%(connections)d connections" % stats)
    with World() as world, harness.Server("--drop", "30") as server:
        url = server.url("")
        server.reset()
        outcome = world.run(["sh", "-c", "set -e; for i in $(seq 60); do curl -sSf -o /dev/null %s/bytes/10; curl -sSf -o /dev/null "
                             "-d id=$i %s/body; done" % (url, url)])
        stats = server.stats()
        tally.expect("a server that drops", outcome.status == 0 and stats["duplicates"] == 0 and stats["posts"] == 60,
                     "%s %s\n%s" % (outcome.status, stats, outcome.errors.decode()), "%(dropped)d dropped, none failed" % stats)


@tally.timed
def test_lending():
    curl = lambda server: ["curl", "-sS", server.url("/who")]
    number = lambda outcome: int(outcome.output.split()[1])
    with World() as world, harness.Server() as server, Sleeper(world, server, server.url("/who"), server.url("/who")) as sleeper:
        first = number(world.run(curl(server)))
        second = number(world.run(curl(server)))
        woken = sleeper.wake()
        stats = server.stats()
        tally.expect_in_time("lent by a sleeper, and back", first == second == 1 and woken[0] == 0 and stats["connections"] == 1,
                     "%s %s %s %s" % (first, second, woken, stats))
    with World(HOLDLINE_POOL="local") as world, harness.Server() as server, Sleeper(world, server):
        answer = number(world.run(curl(server)))
        tally.expect("local pools lend nothing", answer == 2, answer)
    with World() as world, harness.Server() as server, Sleeper(world, server) as sleeper:
        sleeper.process.kill()
        sleeper.process.wait()
        wait_until(lambda: "pid" not in world.status()[0])
        answer = number(world.run(curl(server)))
        tally.expect_in_time("what a killed program had idle", answer == 1, answer)
    with World() as world, harness.Server() as server:
        program = "import os, urllib.request; print(len(urllib.request.urlopen('%s').read()), flush=True); %s"
        for name, ending in ("return", ""), ("exit", "raise SystemExit(0)"), ("_exit", "os._exit(0)"), \
                ("exec", "os.execvp('true', ['true'])"):
            world.run([PYTHON, "-c", program % (server.url("/bytes/10"), ending)])
            tally.expect_in_time("parked, then " + name, len(world.status()) == 1 and server.stats()["connections"] == 1, server.stats())


POSTS = """
import os, urllib.request
for i in range(int(os.environ["N"])):
    urllib.request.urlopen(os.environ["URL"], b"id=%d" % i).read()
"""


def test_rides():
    """GETs reuse the connections that POSTs leave, from any program; POSTs reuse none."""
    curl = "curl -sS -f -o /dev/null %s"
    with World() as world, harness.Server() as server:
        world.run(shell(curl % server.url("/bytes/10") + "; " + curl % "-d id=$i " + server.url("/body"), 20))
        stats = server.stats()
        tally.expect("GET and POST in turn", stats["requests"] == 40 and stats["connections"] <= 21, stats)
    for kind, client in ("curl", shell(curl % "-d id=$i $URL", 100)), ("one process", [PYTHON, "-c", POSTS]):
        with World() as world, harness.Server() as server:
            poster = world.start(client, URL=server.url("/body"), N="100")
            getter = world.run(shell(curl % server.url("/bytes/10"), 60))
            poster.communicate(timeout=60)
            stats = server.stats()
            # A GET dials if there is no kept connection at that moment: the POST that ended it still has its own.
            tally.expect("GETs beside POSTs: " + kind, getter.status == poster.returncode == 0 and stats["posts"] == 100
                         and stats["gets"] == 60 and stats["duplicates"] == 0 and 100 <= stats["connections"] <= 120,
                         "%s %s" % (poster.returncode, stats), "%s connections" % stats["connections"])
    with World() as world, harness.Server() as server:
        world.run(shell(curl % "-d id=$i " + server.url("/body"), 12))
        kept = len(world.status())
        tally.expect("POSTs alone leave no heap", server.stats()["connections"] == 12 and kept <= 1,
                     "%s %s" % (kept, server.stats()))
        world.run(shell(curl % server.url("/bytes/10"), 5))
        tally.expect("... and GETs behind them ride", server.stats()["connections"] <= 13, server.stats())


def test_probes():
    """A program that only checks whether a port is open gets a true answer."""
    with World() as world, harness.Server() as server:
        log = os.path.join(world.folder, "log")
        world.run(["curl", "-sS", server.url("/bytes/10")])
        for _ in range(3):
            world.run(["nc", "-z", "127.0.0.1", str(server.port)], HOLDLINE_LOG=log)
        with open(log) as file:
            events = [line.split()[1] for line in file if line.split()[1] in ("lease", "dial")]
        tally.expect("a prober dials from the second time on", events == ["lease", "dial", "dial"], events)
    with World() as world, harness.Server("--single-threaded") as server:
        nc = "nc %s 127.0.0.1 " + str(server.port)
        world.run(["curl", "-sS", server.url("/bytes/10")])
        for _ in range(2):
            world.run(["sh", "-c", nc % "-z"])
        outcome = world.run(["sh", "-c", "printf 'GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | " + nc % "-w 5"])
        tally.expect("... and finds room when it asks for more", outcome.output.startswith(b"HTTP/1.1 200") and outcome.seconds < 4,
                     "%.1f s %s" % (outcome.seconds, outcome.output))


def test_inflight():
    """The end of an answer reaches another program that reads it through an inherited descriptor."""
    request = "GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
    popen = ("import socket, subprocess, sys\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
             "s.sendall(b'%s')\nprint(subprocess.Popen(['cat'], stdin=s, stdout=subprocess.PIPE).communicate(timeout=10)[0])" % request)
    lines = [("bash", "exec 3<>/dev/tcp/127.0.0.1/$0; printf '%s' >&3; cat <&3" % request), ("popen", None)]
    with World() as world, harness.Server() as server:
        for name, line in lines:
            command = ["bash", "-c", line, str(server.port)] if line else [PYTHON, "-c", popen, str(server.port)]
            bare = harness.run(command, False, 15)
            shared = [world.run(command, 15) for _ in range(3)]
            tally.expect("in flight: " + name, all((bare.status, without_hop_fields(bare.output)) == (
                outcome.status, without_hop_fields(outcome.output)) for outcome in shared),
                "%s\n%s" % (bare.output, [outcome.output for outcome in shared]))


def without_hop_fields(output):
    return re.sub(rb"(Keep-Alive|Connection):[^\n]*\n|(Keep-Alive|Connection): .*?\\r\\n", b"", output)


def test_goodbye():
    """Libraries' destructors may still send over a connection that the process leaves open; it is parked after they
    have run."""
    library = harness.compile_program("broker-goodbye.so", ["tests/broker/goodbye.c"], ["-shared", "-fPIC"])
    with World() as world, harness.Server() as server:
        command = [PYTHON, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1]).hello(int(sys.argv[2]))", library, str(server.port)]
        bare = harness.run(command, False)
        outcomes = [world.run(command).output for _ in range(3)]
        tally.expect("a last request at exit", outcomes == [bare.output] * 3 and len(world.status()) == 1, "%s, bare %s" % (outcomes, bare.output))
