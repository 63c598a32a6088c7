"""Many connections at once, and many after each other: neither the relay's memory nor its descriptors grow with their
number. `--heavy`: 10,000 at once and a million requests."""
import os
import resource

import harness
from relayed import Relay, build_go, go, memory_kib, needs
from suite import tally

AT_ONCE, IN_ALL = (10000, 1000000) if harness.HEAVY else (500, 6000)
# What the pool, the tables and the heap's own reserves may take more at the end than after a tenth of the requests.
GROWTH_KIB = 1024


def relay_of(world):
    """The pid of the one relay; its watchdog was there before it."""
    return max(world.pids())


def n_descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def test_many_in_a_row():
    if not needs("many requests", build_go("client")):
        return
    with harness.Server() as server, Relay() as world:
        process = world.start(go("client", "-n", IN_ALL, "-c", 8, "-quiet", server.url("/bytes/100")), options=["--pool=local"])
        harness.wait_until(lambda: server.stats()["requests"] >= IN_ALL // 10, 600)
        pid = relay_of(world)
        early = memory_kib(pid), n_descriptors(pid)
        harness.wait_until(lambda: server.stats()["requests"] >= IN_ALL * 9 // 10, 3000)
        late = memory_kib(pid), n_descriptors(pid)
        output, _ = process.communicate(timeout=600)
        stats = server.stats()
    # Some 30 are in use by 8 requests at once.
    tally.expect("many requests", "good %d" % IN_ALL in output and stats["connections"] <= IN_ALL // 200 and late[0] - early[0] < GROWTH_KIB and
                 late[1] <= early[1] + 32, "%s %s %s %s" % (early, late, stats, output[-300:]), "%d requests, %d connections, %d to %d KiB" % (
                     IN_ALL, stats["connections"], early[0], late[0]))


def test_many_at_once():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The relay has two descriptors for each.
    n = min(AT_ONCE, (hard - 500) // 2)
    if not needs("many at once", build_go("client")):
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with harness.Server() as server, Relay() as world:
            command = go("client", "-n", n, "-c", n, "-quiet", server.url("/sleep/%d" % (500 if n < 1000 else 5000)))
            outcome = world.run(command, 300, options=["--pool=local"])
            stats = server.stats()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    tally.expect("many at once", b"good %d" % n in outcome.output and stats["requests"] == n, "%s %s" % (stats, outcome.text()[-500:]),
                 "%d requests, %d connections at once" % (n, stats["peak"]))


def test_few_descriptors():
    """A small limit of descriptors, which the relay inherits: what it could not serve is left to the kernel."""
    if not needs("few descriptors", build_go("client")):
        return
    for limit in 40, 64, 256:
        n = limit - 16
        limited = ["sh", "-c", 'ulimit -n %d; exec "$@"' % limit, "sh"]
        with harness.Server() as server, Relay() as world:
            command = go("client", "-n", 3 * n, "-c", n, "-quiet", server.url("/sleep/20"))
            bare = harness.run([*limited, *command], False, 30)
            outcome = harness.run([*limited, *world.command(command)], False, 60, **world.environment({}))
        tally.expect("few descriptors: %d" % limit, outcome.output == bare.output == b"good %d\n" % (3 * n), bare.text()[-300:] + outcome.text()[-300:])
