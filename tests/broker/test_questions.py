"""The broker is asked only where it may have something."""
import os
import shutil
import signal
import time

import harness
from broker_world import World
from harness import PYTHON, wait_until
from programs import CLIENT, Sleeper
from suite import tally


def n_questions(world, command, server):
    """How often the broker at world.path was spoken to before the first, and in all the connects of a command."""
    outcome = world.run(["strace", "-f", "-e", "trace=connect,sendmsg", *command], 30)
    lines = outcome.errors.decode("utf-8", "replace").splitlines()
    dials = [i for i, line in enumerate(lines) if "htons(%d)" % server.port in line]
    talk = [i for i, line in enumerate(lines) if world.path in line and "connect(" in line or "sendmsg(" in line and "MSG_DONTWAIT" in line]
    return outcome, len([i for i in talk if not dials or i < dials[0]]), len(talk), len(dials)


def test_board():
    """The broker is asked only where it may have something, and a wrong file in the board's place harms nobody."""
    if shutil.which("strace") and harness.run(["strace", "true"], False).status == 0:
        with World() as world, harness.Server() as server, harness.Server() as other:
            curl = lambda at, path: ["curl", "-sS", at.url(path)]
            world.run(curl(other, "/who"))
            outcome, before, n, n_dials = n_questions(world, curl(server, "/close-header"), server)
            # A connect and HELLO, while the server works: the broker's answer is there when something is to be parked.
            tally.expect("nothing is held, nothing is kept: no question", (outcome.status, before, n, n_dials) == (0, 0, 2, 1), "%d and %d words, %s" % (before, n, outcome.errors))
            outcome, before, n, n_dials = n_questions(world, curl(server, "/who"), server)
            # A connect, HELLO and PARK.
            tally.expect("nothing is held: no question", (outcome.status, before, n, n_dials) == (0, 0, 3, 1), "%d and %d words, %s" % (before, n, outcome.errors))
            outcome, before, n, n_dials = n_questions(world, curl(server, "/who"), server)
            # It lies on the shelf.
            tally.expect("something is held: no word at all", (outcome.status, n, n_dials) == (0, 0, 0), "%d words, %s" % (n, outcome.errors))
            with World() as fresh, Sleeper(fresh, other, other.url("/who"), other.url("/who")):
                outcome, before, n, n_dials = n_questions(fresh, curl(other, "/who"), other)
            # A connect, and HELLO with its question: another process holds it.
            tally.expect("a living process holds it: one question", (outcome.status, n, n_dials) == (0, 2, 0), "%d words, %s" % (n, outcome.errors))
            code = "sockets = [dial('/bytes/10') for i in range(5)]\nfor s in sockets: s.recv(1000); s.close()\n"
            code += "sockets = [dial('/bytes/10') for i in range(9)]\nfor s in sockets: s.recv(1000); s.close()"
            with World() as fresh:
                outcome, before, n, n_dials = n_questions(fresh, [PYTHON, "-c", CLIENT + code, str(server.port)], server)
                # HELLO with its connect, and the first park of each.
                tally.expect("its own are no reason to ask", (outcome.status, before, n, n_dials) == (0, 0, 11, 9), "%d and %d words, %s" % (before, n, outcome.errors))
    else:
        tally.skip("questions", "needs strace")
    with World() as world, harness.Server() as server:
        world.run(["true"])
        board = world.path + ".board"
        status = os.lstat(board)
        tally.expect("the board is its user's alone", status.st_mode == 0o100600, oct(status.st_mode))
        size = status.st_size
        places = {"nothing": lambda: None, "garbage": lambda: write(board, os.urandom(size)), "a short one": lambda: write(board, b"x"),
                  "zeroes": lambda: write(board, bytes(size)), "a pipe": lambda: os.mkfifo(board), "a folder": lambda: os.mkdir(board),
                  "a link": lambda: os.symlink("/etc/passwd", board), "one that others write": lambda: (write(board, os.urandom(size)), os.chmod(board, 0o666))}
        for name, make in places.items():
            if os.path.isdir(board):
                os.rmdir(board)
            elif os.path.lexists(board):
                os.unlink(board)
            make()
            server.reset()
            outcomes = [world.run(["curl", "-sS", server.url("/bytes/10")], 10).output for _ in range(2)]
            good = len(outcomes[0]) == 10 and outcomes[0] == outcomes[1] and server.stats()["connections"] <= 1
            tally.expect("in the board's place: " + name, good, "%s %s" % (outcomes, server.stats()))
    with World() as world, harness.Server() as server, Sleeper(world, server, server.url("/who"), server.url("/who")) as sleeper:
        # The dead broker's board says for ever that nothing is held.
        os.kill(world.broker_pid(), signal.SIGKILL)
        time.sleep(1.1)
        world.run(["curl", "-sS", server.url("/who")])
        woken = sleeper.wake()
        tally.expect("a new broker, a new board", woken[0] == 0 and os.path.exists(world.path + ".board"), woken)
    with World() as world:
        world.run(["true"])
        os.kill(world.broker_pid(), signal.SIGTERM)
        tally.expect("no broker, no board", wait_until(lambda: not os.path.exists(world.path + ".board")), os.listdir(os.path.dirname(world.path)))


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def test_silence():
    """A process that never dials has nothing to do with the broker."""
    with World() as world:
        outcome = world.run(["sh", "-c", "ls -l /proc/self/fd"])
        tally.expect("no descriptor", b"socket" not in outcome.output and world.broker_pid(), outcome.output)
        outcome = world.run(["strace", "-f", "-e", "trace=%network", "sh", "-c", "cat /dev/null; true"]) if shutil.which("strace") else None
        if outcome is None or outcome.status != 0:
            tally.skip("no system call", "needs strace")
        else:
            tally.expect("no system call", b"(AF_" not in outcome.errors, outcome.errors)


BEGINNERS = """
import threading
start = threading.Barrier(16)
def work():
    start.wait()
    s = dial('/bytes/10'); s.recv(1000); s.close()
threads = [threading.Thread(target=work) for i in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


# Whoever has asked for a timer slack of three seconds sleeps so long, unless it is woken. Prints whether nobody did.
SLACK = """
import ctypes, threading
ctypes.CDLL(None).prctl(29, 3000000000, 0, 0, 0)
longest = []
def work():
    while forking:
        begin = time.monotonic()
        s = dial('/bytes/10'); s.recv(1000); s.close()
        longest.append(time.monotonic() - begin)
forking = True
threads = [threading.Thread(target=work) for i in range(8)]
for thread in threads: thread.start()
for i in range(400):
    begin = time.monotonic()
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
    longest.append(time.monotonic() - begin)
forking = False
for thread in threads: thread.join()
print(max(longest) < 2)
"""


def test_slack():
    """Nobody sleeps for what another thread is about to do without being woken, nor a child for a thread that it has not
    got."""
    with World() as world, harness.Server() as server:
        outcomes = [world.run([PYTHON, "-c", CLIENT + SLACK, str(server.port)], 60) for _ in range(3)]
        tally.expect("no sleep for the timer's slack", all(outcome.output == b"True\n" for outcome in outcomes), outcomes[0].text())


def test_waits():
    """Threads that wait for each other sleep: one that yields loses its processor for as long as others compute."""
    if not shutil.which("strace") or harness.run(["strace", "true"], False).status:
        tally.skip("no yield", "needs strace")
        return
    with World() as world, harness.Server() as server:
        outcomes = [world.run(["strace", "-f", "-e", "trace=sched_yield,futex", PYTHON, "-c", CLIENT + BEGINNERS, str(server.port)]) for _ in range(5)]
        good = not any(outcome.status or b"sched_yield" in outcome.errors for outcome in outcomes)
        tally.expect("no yield", good and server.stats()["requests"] == 80, outcomes[0].errors)
