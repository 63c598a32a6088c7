"""A broker that is killed, stopped, short of descriptors or attacked costs reuse and nothing else."""
import os
import signal
import socket
import subprocess
import time

import harness
from broker_world import World
from harness import HOLDLINE, PYTHON, wait_until
from programs import cpu_seconds, shell
from suite import tally


@tally.timed
def test_hurt_broker():
    loop = lambda server, n: shell("curl -sS -f -o /dev/null %s || exit 1" % server.url("/bytes/10"), n)
    with World() as world, harness.Server() as server:
        process = world.start(loop(server, 60))
        time.sleep(0.2)
        os.kill(world.broker_pid(), signal.SIGKILL)
        status = process.wait(30)
        process.communicate()
        tally.expect("killed amid a loop", status == 0 and server.stats()["requests"] == 60, "%s %s" % (status, server.stats()))
        outcome = world.run(loop(server, 3))
        tally.expect_in_time("and another one starts", outcome.status == 0 and len(world.status()) == 1, outcome.errors)
    with World() as world, harness.Server() as server:
        world.run(loop(server, 1))
        pid = world.broker_pid()
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        outcome = world.run([PYTHON, "-c", "import urllib.request\nfor i in range(50): assert len(urllib.request.urlopen('%s').read()) == 10"
                             % server.url("/bytes/10")])
        seconds = time.monotonic() - begin
        tally.expect_in_time("stopped: programs run on", outcome.status == 0 and server.stats()["connections"] <= 3 and seconds < 5,
                     "%s %s %.1f s\n%s" % (outcome.status, server.stats(), seconds, outcome.errors.decode()))
        os.kill(pid, signal.SIGCONT)
        outcome = world.run(loop(server, 3))
        tally.expect_in_time("and go on with it", outcome.status == 0 and len(world.status()) >= 1, outcome.errors)


def test_garbage():
    with World() as world, harness.Server() as server:
        ok = lambda: world.run(["curl", "-sS", "-f", server.url("/bytes/10")]).status == 0
        ok()
        pid = world.broker_pid()
        junk = [b"", b"x", b"\0" * 16, os.urandom(64), os.urandom(300), b"\xff" * 4096, bytes(200)]
        for packet in junk:
            with world.connect() as connection:
                try:
                    for _ in range(3):
                        connection.send(packet)
                except OSError:
                    pass
        crowd = [world.connect() for _ in range(200)]
        for connection in crowd[::2]:
            try:
                socket.send_fds(connection, [os.urandom(16)], [0, 1, 2])
            except OSError:
                pass
        good = ok()
        for connection in crowd:
            connection.close()
        tally.expect("garbage on its socket", good and ok() and world.broker_pid() == pid, "broker %s, was %s" % (world.broker_pid(), pid))
        wait_until(lambda: world.n_fds() <= 13)
        tally.expect("and no descriptor is lost", world.n_fds() <= 13, os.listdir("/proc/%d/fd" % pid))


def test_full():
    """A broker that has run out of descriptors."""
    with World() as world, harness.Server() as server:
        starter = ["sh", "-c", "ulimit -n 40; exec %s run -- true" % HOLDLINE]
        harness.run(starter, False, 10, **world.environment({}))
        crowd = [world.connect() for _ in range(100)]
        outcome = world.run(shell("curl -sS -f -o /dev/null %s || exit 1" % server.url("/bytes/10"), 10))
        tally.expect("out of descriptors: programs run on", outcome.status == 0, outcome.errors)
        cpu = cpu_seconds(world)
        time.sleep(0.3)
        tally.expect("... and it does not spin", cpu_seconds(world) - cpu < 0.1, "%.2f s of CPU" % (cpu_seconds(world) - cpu))
        for connection in crowd:
            connection.close()
        good = wait_until(lambda: world.run(["curl", "-sS", server.url("/who")]).output and len(world.status()) == 1)
        tally.expect("... and recovers", good, world.status())


def test_attack():
    """Another process of the user says anything to the broker, and writes anything into the memory that they share."""
    path = harness.compile_program("broker-attack", ["tests/broker/attack.c", "pool/share/wire.c", "pool/base/fdpass.c"])
    for kind in "scribble", "flood":
        with World() as world, harness.Server("--idle-timeout", "500") as server:
            loop = shell("curl -sS -f %s || exit 1" % server.url("/bytes/10"), 50)
            bare = harness.run(loop, False, 60)
            world.run(loop)
            pid = world.broker_pid()
            attackers = [subprocess.Popen([path, world.path, str(server.port), kind, "2"], stdout=subprocess.PIPE) for _ in range(2)]
            outcome = world.run(loop, 60)
            for attacker in attackers:
                attacker.communicate()
            tally.expect("attack, %s: others are served" % kind, (outcome.status, outcome.output) == (0, bare.output)
                         and outcome.seconds < bare.seconds + 10, "%s after %.1f s\n%s" % (outcome.status, outcome.seconds, outcome.errors))
            tally.expect("... the broker lives", world.broker_pid() == pid and all(a.returncode == 0 for a in attackers), world.broker_pid())
            # Garbage may claim that a connection expires in years: its server's idle timeout ends it.
            quiet = wait_until(lambda: not world.broker_pid() or world.n_fds() <= 16, 5)
            cpu = cpu_seconds(world)
            time.sleep(0.3)
            tally.expect("... and comes to rest", quiet and cpu_seconds(world) - cpu < 0.1, "it spins, or keeps descriptors: %s" % server.stats())
