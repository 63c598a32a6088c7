"""max-conns-per-host over threads and programs: it is kept, turns are fair, and a dead process's connections are given
back."""
import os
import random
import signal
import time

import harness
from cap import Capped, HOLDER, WAITING
from dialling import DIAL
from harness import PYTHON
from suite import tally

THREADS = """
import sys, threading, urllib.request
failures = []
def work():
    for _ in range(25):
        try:
            assert len(urllib.request.urlopen(sys.argv[1]).read()) == 1024
        except Exception as error:
            failures.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(32)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(failures), failures[:1])
"""


def test_cap():
    for pool in "shared", "local":
        with Capped(4, HOLDLINE_POOL=pool) as (world, server):
            outcome = world.run([PYTHON, "-c", THREADS, server.url("/bytes/1024")], 60)
            stats = server.stats()
            tally.expect("cap 4, 32 threads, " + pool, outcome.output == b"0 []\n" and stats["peak"] <= 4 and stats["requests"] == 800,
                         "%s %s %s" % (outcome.output, outcome.errors.decode(), stats), "%(connections)d connections, at most %(peak)d" % stats)
    with Capped(4) as (world, server):
        outcome = world.run(["ab", "-q", "-c", "32", "-n", "2000", server.url("/bytes/1024")], 60)
        stats = server.stats()
        tally.expect("cap 4, ab -c 32", b"Failed requests:        0" in outcome.output and stats["peak"] <= 4 and stats["requests"] >= 2000,
                     "%s %s %s" % (outcome.output[-800:].decode(), outcome.errors.decode(), stats),
                     "%(connections)d connections, at most %(peak)d" % stats)
    with Capped(4) as (world, server):
        outcome = world.run(["sh", "-c", "seq 60 | xargs -P 16 -I{} curl -sS -o /dev/null -w '%%{http_code}\n' %s" % server.url("/bytes/10")], 60)
        stats = server.stats()
        tally.expect("cap 4, 60 curls, 16 at a time", outcome.output == b"200\n" * 60 and stats["peak"] <= 4, "%s %s %s" % (
            outcome.output, outcome.errors.decode(), stats), "%(connections)d connections, at most %(peak)d" % stats)
    with Capped(2) as (world, server):
        # A POST ends the idle connection that it does not use: the server may take a moment to notice.
        outcome = world.run(["sh", "-c", "seq 20 | xargs -P 8 -I{} curl -sS -o /dev/null -w '%%{http_code}\n' -d id={} %s" % server.url("/body")], 60)
        stats = server.stats()
        tally.expect("cap 2, POSTs", outcome.output == b"200\n" * 20 and stats["peak"] <= 4 and stats["posts"] == 20 and not stats["duplicates"],
                     "%s %s %s" % (outcome.output, outcome.errors.decode(), stats), "%(connections)d connections, at most %(peak)d" % stats)


@tally.timed
def test_cap_waits():
    one = lambda server: ["curl", "-sS", "-m", "20", server.url("/bytes/10")]
    with Capped(2, HOLDLINE_DIAL_TIMEOUT="500ms") as (world, server):
        holder = world.start([PYTHON, "-c", HOLDER, str(server.port), "2"])
        holder.stdout.readline()
        outcome = world.run([PYTHON, "-c", DIAL.split('timed("again"')[0], str(server.port)])
        words = outcome.output.split()
        tally.expect_in_time("at the cap: ETIMEDOUT in time", words[1:2] == [b"ETIMEDOUT"] and 0.4 < float(words[2]) <= 0.9, outcome.output)
        waiting = [world.start(one(server)) for _ in range(3)]
        time.sleep(0.3)
        still = [process.poll() for process in waiting]
        holder.kill()
        holder.communicate()
        done = [process.wait(10) for process in waiting]
        answers = [process.communicate()[0] for process in waiting]
        tally.expect_in_time("a killed program gives back what it had", still == [None] * 3 and done == [0] * 3 and all(len(a) == 10 for a in answers)
                     and server.stats()["peak"] <= 4, "%s %s %s" % (still, done, server.stats()))
    with Capped(2) as (world, server):
        outcome = world.run([PYTHON, "-c", HOLDER.replace("sys.stdin.read()", ""), str(server.port), "3"], 20)
        tally.expect("who holds them all is let through", outcome.output == b"held\n", "%s %s" % (outcome.status, outcome.errors))
    with Capped(1) as (world, server):
        holder = world.start([PYTHON, "-c", HOLDER, str(server.port), "1"])
        holder.stdout.readline()
        waiter = world.start(one(server))
        time.sleep(0.3)
        os.kill(world.broker_pid(), 9)
        status = waiter.wait(10)
        waiter.communicate()
        tally.expect("the broker dies while some wait", status == 0, status)
        holder.communicate("")
    with Capped(1) as (world, server):
        holder = world.start([PYTHON, "-c", HOLDER, str(server.port), "1"])
        holder.stdout.readline()
        broker = world.broker_pid()
        os.kill(broker, signal.SIGSTOP)
        waiter = world.start([PYTHON, "-c", "import sys, urllib.request; print(len(urllib.request.urlopen(sys.argv[1]).read()))", server.url("/bytes/10")])
        time.sleep(0.4)
        os.kill(broker, signal.SIGCONT)
        time.sleep(0.3)
        still, peak = waiter.poll(), server.stats()["peak"]
        holder.communicate("")
        answer = waiter.communicate("", 10)[0]
        tally.expect_in_time("a broker that is late with its welcome", still is None and peak == 1 and answer == "10\n", "%s %s %r" % (still, peak, answer))


ORDER = """
import sys, threading, time, urllib.request
lock, came, went = threading.Lock(), [], []
def work(i):
    with lock:
        came.append(i)
    urllib.request.urlopen(sys.argv[1]).read()
    with lock:
        went.append(i)
threads = []
for i in range(24):
    threads.append(threading.Thread(target=work, args=(i,)))
    threads[-1].start()
    time.sleep(0.01)
for thread in threads:
    thread.join()
print(max(abs(came.index(i) - went.index(i)) for i in range(24)))
"""


@tally.timed
def test_cap_is_fair():
    with Capped(3) as (world, server):
        outcome = world.run([PYTHON, "-c", ORDER, server.url("/sleep/60")], 30)
        tally.expect_in_time("first come, first served", outcome.output.strip().isdigit() and int(outcome.output) <= 6, "%s %s" % (
            outcome.output, outcome.errors), "nobody was passed by more than %s others" % outcome.output.strip().decode())


PARKER = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"GET /sleep/700 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print("held", flush=True)
s.recv(1000)
s.close()
sys.stdin.read()
"""


@tally.timed
def test_cap_spares():
    """The placeholder of a queued socket is not reused as a later socket of the program."""
    with Capped(1) as (world, server):
        parker = world.start([PYTHON, "-c", PARKER, str(server.port)])
        parker.stdout.readline()
        code = WAITING + 'await_turn()\nexpect("domain", socket.socket().getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN), socket.AF_INET)\n'
        outcome = world.run([PYTHON, "-c", code, str(server.port)], 15)
        stats = server.stats()
        parker.communicate("")
        tally.expect_in_time("the next socket is one", (outcome.status, outcome.output, stats["connections"]) == (0, b"", 1), "%s %s %s" % (
            outcome.output, outcome.errors.decode(), stats))


WORKER = """
import random, socket, sys, time
end, n = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), *([10] if random.random() < 0.5 else []))
    s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\n%s\\r\\n" % random.choice([b"", b"Connection: close\\r\\n"]))
    assert s.recv(1000).startswith(b"HTTP/1.1 200")
    s.close()
    n += 1
print(n)
"""


@tally.timed
def test_cap_deaths():
    """Processes are killed at any moment: the others go on, and no place below the limit is lost."""
    with Capped(1) as (world, server):
        workers, results, n_killed = [], [], 0
        end = time.monotonic() + (30 if harness.HEAVY else 5)
        while time.monotonic() < end:
            while len(workers) < 8:
                workers.append(world.start([PYTHON, "-c", WORKER, str(server.port), "2"]))
            time.sleep(random.random() * 0.2)
            worker = workers.pop(random.randrange(len(workers)))
            if random.random() < 0.8:
                worker.kill()
                worker.communicate()
                n_killed += 1
            else:
                results.append(worker)
        results = [worker.communicate(timeout=20)[0].strip() for worker in results + workers]
        outcome = world.run(["curl", "-sS", server.url("/bytes/10")])
        seconds, stats = outcome.seconds, server.stats()
        # The server may learn of a client's death later than the broker.
        tally.expect("cap 1, processes are killed", all(result.isdigit() for result in results) and outcome.status == 0 and
                     stats["peak"] <= 2, "%s %s %s" % (results, outcome.errors, stats), "%d killed, %d requests" % (n_killed, stats["requests"]))
        tally.expect_in_time("nobody's place is lost", seconds < 1, "%.1f s" % seconds)
