"""Rows on Redis, memcached and MariaDB: PHP and Python programs with a fresh connection for each two commands, bare and held, on
loopback and at a distance."""
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import harness
import network

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
HOST = "10.77.0.2"
N_WARM = 20
# {round trip: connections of a run}
RUNS = {0: 1500, 500: 120, 5000: 120}

PHP = "for ($i = 0; $i < $argv[1]; $i++) { if ($i == %d) $t = hrtime(true); %%s } fprintf(STDERR, \"%%%%f\", (hrtime(true) - $t) / 1e6);" % N_WARM
PYMYSQL = """
import sys, time, pymysql
for i in range(int(sys.argv[1])):
    if i == %d: t = time.perf_counter()
    c = pymysql.connect(host="%s", port=7003, user="u", password="secret", database="db")
    k = c.cursor(); k.execute("select 1"); k.fetchall(); k.execute("select 2"); k.fetchall(); c.close()
print((time.perf_counter() - t) * 1e3, file=sys.stderr)
""" % (N_WARM, HOST)
REDIS = "$r = new Redis(); $r->connect('%s', %d); %%s $r->set('k', 'v'); $r->get('k'); $r->close();"
MEMCACHED = "$m = new Memcached(); $m->addServer('%s', 7002); $m->set('k', 'v'); $m->get('k'); $m->quit();" % HOST
MYSQLI = "$c = new mysqli('%s', 'u', 'secret', 'db', 7003); $c->query('select 1'); $c->query('select 2'); $c->close();" % HOST
# Each with the most that it may take of a fresh connection's time at a distance.
KINDS = {
    "Redis": (["php", "-r", PHP % (REDIS % (HOST, 7000) % "")], 0.72),
    "Redis, AUTH": (["php", "-r", PHP % (REDIS % (HOST, 7001) % "$r->auth('secret');")], 0.8),
    "memcached": (["php", "-r", PHP % MEMCACHED], 0.72),
    "MariaDB, mysqli": (["php", "-r", PHP % MYSQLI], 0.85),
    "MariaDB, pymysql": (["/usr/bin/python3", "-c", PYMYSQL], 0.85),
}
MOST_ON_LOOPBACK = 1.0


@contextlib.contextmanager
def servers(there, folder):
    """All four, where the command begins with `there`."""
    sys.path.insert(0, os.path.join(TESTS, "mysql"))
    import servers as mysql
    data = os.path.join(folder, "data")
    shutil.copytree(mysql.template(), data)
    redis = ["redis-server", "--bind", HOST, "--save", "", "--protected-mode", "no", "--dir", folder]
    commands = [[*redis, "--port", "7000"], [*redis, "--port", "7001", "--requirepass", "secret"], ["memcached", "-u", "nobody", "-l", HOST, "-p", "7002"],
                ["mariadbd", *mysql.OPTIONS, "--datadir=" + data, "--socket=" + os.path.join(folder, "socket"), "--port=7003", "--bind-address=" + HOST,
                 "--skip-name-resolve", "--user=root", "--pid-file=" + os.path.join(folder, "pid"), "--init-file=" + os.path.join(data, "users.sql")]]
    running = [subprocess.Popen([*there, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
            process.wait()


def run(command, held):
    prefix = [harness.HOLDLINE, "run", "--quiet", "--pool=local", "--"] if held else []
    outcome = harness.run([*prefix, *command], False, 120)
    if outcome.status:
        raise RuntimeError("%s: %s" % (command[0], outcome.errors.decode()[-300:]))
    return float(outcome.errors.split()[-1])


def answers(command):
    try:
        run(command, False)
    except (RuntimeError, ValueError, IndexError):
        return False
    return True


def ratios(delay, round_trip_us, rounds):
    """In a namespace of its own: {kind: (time held, of fresh)}."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdline-bench-"))
        there = stack.enter_context(network.Distant(delay, round_trip_us)) if round_trip_us else []
        stack.enter_context(servers(there, folder))
        found = {}
        for kind, (command, _) in KINDS.items():
            command = [*command, str(RUNS[round_trip_us])]
            if not harness.wait_until(lambda: answers(command), 20):
                raise RuntimeError("%s does not answer" % kind)
            times = {held: [] for held in (False, True)}
            for _ in range(rounds):
                for held in times:
                    times[held].append(run(command, held))
            found[kind] = statistics.median(times[True]) / statistics.median(times[False])
        return found


def bench(info, row, rounds):
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        info("Redis, memcached, MariaDB", "skipped: needs root, and /dev/net/tun")
        return
    delay = harness.compile_program("bench_delay", ["tests/bench/delay.c"], ["-O2"])
    for round_trip_us in RUNS:
        for kind, ratio in network.Inside(ratios, delay, round_trip_us, rounds).result().items():
            goal = KINDS[kind][1] if round_trip_us else MOST_ON_LOOPBACK
            row("%s, %g ms, of fresh" % (kind, round_trip_us / 1000), ratio, "%.2fx", "<= %.2fx" % goal, ratio <= goal)
