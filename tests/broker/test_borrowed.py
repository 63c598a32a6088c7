"""A connection of another program's: it ends when its borrower ends it, also where a sleeping program still has a
descriptor of it, and lives on with the borrower's children."""
import contextlib

import harness
from broker_world import World
from harness import PYTHON, wait_until
from programs import CLIENT, Sleeper, lay, n_open, run_client, states_of
from suite import tally


def ended(world, server):
    """It belongs to the broker."""
    lay(world, server)
    return contextlib.nullcontext()


def sleeps(world, server):
    """It is its own, and the broker asks it."""
    return Sleeper(world, server)


def took(world, server):
    """It had it from the broker, and left it there."""
    ended(world, server)
    return Sleeper(world, server)


WHOSE = {"of one that has ended": ended, "of one that sleeps": sleeps, "of one that took it and sleeps": took}


def test_borrowed_ends():
    """Whoever had parked it, and may have a descriptor of it: the connection ends when its borrower ends it."""
    endings = [("killed amid an answer", "s = dial('/drip/20000'); s.recv(1); os.kill(os.getpid(), 9)"),
               ("_exit amid an answer", "s = dial('/drip/20000'); s.recv(1); os._exit(0)"),
               ("exit amid an answer", "s = dial('/drip/20000'); s.recv(1)"),
               ("exec amid an answer", "s = dial('/drip/20000'); s.recv(1); os.execvp('true', ['true'])"),
               ("closed amid an answer", "s = dial('/drip/20000'); s.recv(1); s.close()"),
               ("closed amid an upgrade", "s = dial('/upgrade'); s.recv(1000); s.sendall(b'x'); s.close()"),
               ("closed after the server", "s = dial('/close-header'); rest(s); s.close()"),
               ("closed after bytes of no protocol", "s = dial('/garbage'); rest(s); s.close()"),
               ("closed after it was a stream", "s = dial('/drip/20000'); s.recv(1); f = os.fdopen(s.detach(), 'rb'); f.close()")]
    for whose, borrow in WHOSE.items():
        for name, code in endings:
            with World() as world, harness.Server("--idle-timeout", "60000") as server, borrow(world, server):
                n_before = server.stats()["connections"]
                run_client(world, server, code)
                gone = wait_until(lambda: not states_of(server) and not n_open(server), 2)
                stats = server.stats()
                tally.expect("borrowed %s, %s" % (whose, name), gone and stats["connections"] == n_before, "%s %s" % (states_of(server), stats))


def test_borrowed_lives():
    """... and a connection that a child goes on using does not end with its parent."""
    lives = [("a fork's child", "s = dial('/drip/300'); s.recv(1)\nif os.fork(): os._exit(0)\nprint(rest(s))"),
             ("a fork's child, parent closes", "s = dial('/drip/300'); s.recv(1)\n"
              "if os.fork(): s.close(); time.sleep(0.1); os._exit(0)\nprint(rest(s))"),
             ("an exec", "s = dial('/drip/300'); s.recv(1); os.dup2(s.fileno(), 0); os.execvp('wc', ['wc', '-c'])"),
             ("a spawned reader", "s = dial('/drip/300'); s.recv(1); subprocess.Popen(['wc', '-c'], stdin=s); os._exit(0)"),
             ("itself after an exec that fails", "s = dial('/drip/1500'); s.recv(1)\n"
              "for _ in range(100):\n  try: os.execvp('/nowhere', ['x'])\n  except OSError: pass\nprint(rest(s))"),
             ("a second exec", "s = dial('/drip/300'); s.recv(1); os.dup2(s.fileno(), 0); os.execvp('sh', ['sh', '-c', 'exec wc -c'])")]
    for whose, borrow in WHOSE.items():
        for name, code in lives:
            with World() as world, harness.Server("--idle-timeout", "600") as server:
                bare = harness.run([PYTHON, "-c", CLIENT + code, str(server.port)], False, 20)
                with borrow(world, server):
                    outcome = run_client(world, server, code)
                    tally.expect("borrowed %s, read by %s" % (whose, name), outcome[:2] == (0, bare.output.decode().split()) and bare.output,
                                 "%s, bare %s" % (outcome, bare.output))


@tally.timed
def test_ends_in_time():
    """One from the shelf that was shared ends with the last of the descriptors of those who share it, and one in use
    with its program: at once, not when the broker looks there."""
    ends = [("shared, closed by its child", "s = dial('/bytes/10'); s.recv(1000)\nif os.fork(): s.close(); os._exit(0)\ntime.sleep(0.1); s.close()"),
            ("shared, closed by its parent", "s = dial('/bytes/10'); s.recv(1000)\nif not os.fork(): os._exit(0)\nos.wait(); s.close()"),
            ("killed amid an answer", "s = dial('/drip/20000'); s.recv(1); s.recv(1); os.kill(os.getpid(), 9)"),
            ("given up by an exec", "s = dial('/drip/20000'); s.recv(1); os.execv('/bin/true', ['true'])")]
    for name, code in ends:
        with World() as world, harness.Server("--idle-timeout", "60000") as server:
            n_late = 0
            for _ in range(5):
                ended(world, server)
                run_client(world, server, code)
                n_late += not wait_until(lambda: not n_open(server), 0.15)
                wait_until(lambda: not n_open(server))
            tally.expect_in_time(name, n_late <= 2, "%d of 5 were late" % n_late)



def test_epoll():
    """close() removes a descriptor from every epoll set, although the broker has the open file, too."""
    code = """
poll = select.epoll()
n = 0
for i in range(100):
    s = dial(sys.argv[2] if len(sys.argv) > 2 else PATH)
    poll.register(s.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
    poll.poll(2)
    END
    n += len(poll.poll(0))
    s = dial('/bytes/10'); time.sleep(0.003); s.recv(1000); s.close()
print(n)
"""
    ends = [("unread", "'/bytes/5000'", "s.recv(10); s.close()"),
            ("amid an upgrade", "'/upgrade'", "s.recv(1000); s.close()"),
            ("after the server's end", "'/close-header'", "rest(s); s.close()"),
            ("in another process too", "'/bytes/5000'", "s.recv(10); subprocess.run(['true']); s.close()")]
    for name, path, end in ends:
        with World() as world, harness.Server() as server, Sleeper(world, server):
            outcome = run_client(world, server, code.replace("PATH", path).replace("END", end))
            tally.expect("no events of what was closed " + name, outcome[:2] == (0, ["0"]), outcome)
