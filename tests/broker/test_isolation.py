"""Never across users, network namespaces or clocks; and the broker's own sandbox."""
import json
import os
import re
import time

import harness
from broker_world import World
from harness import HOLDLINE, wait_until
from programs import n_open, shell
from suite import tally


def test_keys():
    """Never across network namespaces or users."""
    if os.geteuid() != 0:
        tally.skip("namespaces and users", "needs root")
        return
    with World() as world, harness.Server() as server:
        world.run(["curl", "-sS", server.url("/who")])
        outcome = world.run(["unshare", "-n", "curl", "-sS", "-m", "2", server.url("/who")])
        tally.expect("another network namespace", outcome.status == 7, "%s %s" % (outcome.status, outcome.output))
        os.chmod(world.folder, 0o755)
        os.chmod(os.path.dirname(world.path), 0o755)
        os.chmod(world.path, 0o777)
        outcome = harness.run(["setpriv", "--reuid", "65534", "--clear-groups", "curl", "-sS", server.url("/who")], True, 10,
                              HOLDLINE_BROKER=world.path)
        tally.expect("another user", outcome.output.split()[1:2] == [b"002"] and len(world.status()) == 1, outcome.output)


def test_time_namespaces():
    """A time namespace shifts the clock: a connection that is parked with its times does not stay for ever."""
    clocked = lambda offset, command: harness.run(["unshare", "-T", "--monotonic=%d" % offset, HOLDLINE, "run", "--quiet", "--", *command],
                                                  False, 20, **world.environment({}))
    if harness.run(["unshare", "-T", "--monotonic=1", "true"], False).status != 0:
        tally.skip("time namespaces", "needs root, and util-linux 2.38")
        return
    # No further back than the machine has been up: clocks don't go below zero.
    for offset in 100000, -int(min(1000, time.clock_gettime(time.CLOCK_MONOTONIC) * 0.8)):
        with World(HOLDLINE_IDLE_CONN_TIMEOUT="1s") as world, harness.Server("--idle-timeout", "60000") as server:
            world.run(["true"])
            inside = clocked(offset, shell("curl -sS -f -o /dev/null %s || exit 1" % server.url("/bytes/10"), 3))
            gone = wait_until(lambda: not n_open(server), 3)
            outcome = world.run(["curl", "-sS", "-f", server.url("/bytes/10")])
            tally.expect("a clock %+d s off" % offset, gone and (inside.status, outcome.status) == (0, 0), "%s %s" % (server.stats(), inside.errors))


def test_sandbox():
    """A serving broker has given up the rights that it does not need. (All other tests show that it can still
    serve.)"""
    with World() as world, harness.Server() as server:
        world.run(["curl", "-sS", server.url("/bytes/10")])
        pid = world.broker_pid()
        with open("/proc/%d/status" % pid) as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        is_sanitized = os.environ.get("BUILD", "").endswith(("asan", "tsan"))
        if is_sanitized:
            tally.skip("the broker's seccomp filter", "a sanitizer's runtime makes calls of its own")
        else:
            tally.expect("the broker: seccomp, no new privileges", status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status)
        answer = json.loads(harness.run([HOLDLINE, "status", "--json"], False, 10, HOLDLINE_BROKER=world.path).output)
        tally.expect("status says so", answer.get("confined") is not is_sanitized, answer)
        tally.expect("the broker: umask", status["Umask"] == "0077", status["Umask"])
        inherited = [fd for fd in os.listdir("/proc/%d/fd" % pid) if int(fd) > 2 and not is_close_on_exec(pid, fd)]
        tally.expect("the broker: every descriptor is closed on exec", len(os.listdir("/proc/%d/fd" % pid)) > 6 and not inherited, inherited)
        modes = [os.lstat(name).st_mode & 0o777 for name in (os.path.dirname(world.path), world.path, world.path + ".lock")]
        tally.expect("the broker: its folder, socket and lock are the user's alone", modes == [0o700, 0o700, 0o600], [oct(mode) for mode in modes])


def is_close_on_exec(pid, fd):
    with open("/proc/%d/fdinfo/%s" % (pid, fd)) as file:
        return int(re.search(r"flags:\t(\d+)", file.read()).group(1), 8) & 0o2000000 != 0
