"""Hundreds of processes that come, share connections and are killed."""
import os
import random
import re
import subprocess
import time

import harness
from broker_world import World
from harness import wait_until
from programs import n_open
from suite import tally


def resident_kb(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def soak(world, server, client, n_processes, n_at_once, seed):
    """Processes that come and go, every tenth of them by SIGKILL. Returns the output of those that failed."""
    chance, running, failures, started = random.Random(seed), [], [], 0
    command = lambda: [client, str(server.port), str(chance.randint(1, 5)), str(started)]
    environment = harness.environment(True, HOLDLINE_BROKER=world.path, **world.settings)
    while started < n_processes or running:
        while started < n_processes and len(running) < n_at_once:
            started += 1
            process = subprocess.Popen(command(), env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            process.dies_at = time.monotonic() + chance.random() * 0.006 if chance.random() < 0.1 else None
            running.append(process)
        for process in running[:]:
            if process.dies_at and time.monotonic() >= process.dies_at:
                process.kill()
            if process.poll() is None:
                continue
            running.remove(process)
            errors = process.stderr.read()
            process.stderr.close()
            if process.returncode not in (0, -9) or errors:
                failures.append(errors.decode("utf-8", "replace"))
        time.sleep(0.0005)
    return failures


def test_soak():
    client = harness.compile_program("soak_client", ["tests/broker/soak_client.c"])
    n = 32000 if harness.HEAVY else 600
    with World(HOLDLINE_IDLE_CONN_TIMEOUT="2s") as world, harness.Server() as server:
        world.run(["true"])
        failures = soak(world, server, client, n // 10, 16, 1)
        memory, pid = resident_kb(world.broker_pid()), world.broker_pid()
        failures += soak(world, server, client, n, 16, 2)
        grown = resident_kb(pid) - memory
        stats = server.stats()
        tally.expect("soak: every answer to its own request", not failures and stats["requests"] > n, "%d: %s" % (len(failures), failures[:3]),
                     "%d processes, %d requests, %d connections" % (n + n // 10, stats["requests"], stats["connections"]))
        # TSan's runtime remembers every thread's and lock's past.
        most = 4096 if os.path.basename(os.path.abspath(harness.PRODUCT)) == "tsan" else 512
        tally.expect("soak: the broker's memory", grown < most and world.broker_pid() == pid, "grown by %d kB" % grown)
        # The connection that a killed program was using ended with it; the idle timeout ends the others.
        good = wait_until(lambda: n_open(server) == 0 and not world.status() and world.n_fds() <= 12, 10)
        tally.expect("soak: nothing is left over", good, "%s open, %s held, %d descriptors" % (n_open(server), world.status(), world.n_fds()))
