"""Cases of a protocol with a session, each on a connection of its own: every case before every other, in one process. What
each sees must be what it sees without reuse.

A suite has a program cases.py, whose main is run_cases(), and servers with a with block, `arguments` of that program, and
n_connections().
"""
import json
import signal
import sys
import tempfile

import harness
from suite import tally

# A step must not last: what hangs is a difference.
LONGEST_S = 20


def run_cases(cases, world):
    """Runs those on standard input, and prints a line of JSON for each."""
    for name in sys.stdin.read().split():
        signal.alarm(LONGEST_S)
        world.begin()
        try:
            seen = cases[name](world)
        except Exception as error:
            seen = ["%s: %s" % (type(error).__name__, error)]
        print(json.dumps([name, seen]), flush=True)


def all_pairs(names):
    """A walk over every ordered pair, each once (a circle of Euler in the complete directed graph with loops)."""
    left = {name: list(reversed(names)) for name in names}
    stack, walk = [names[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    return walk[::-1]


def some_pairs(names, leavers, finders):
    """Each case between two that leave and that find most."""
    walk = []
    for i, name in enumerate(names):
        walk += [leavers[i % len(leavers)], name, *finders, name, names[(i * 7 + 3) % len(names)]]
    return walk


def steps(outcome):
    return [json.loads(line) for line in outcome.output.decode().splitlines()]


def compare(name, bare, reused, server, most, n_cases):
    seen, expected = steps(reused), steps(bare)
    differences = ["%s after %s: %s instead of %s" % (one[0], expected[i - 1][0] if i else "nothing", one[1:], other[1:])
                   for i, (one, other) in enumerate(zip(seen, expected)) if one != other]
    tally.expect("pairs, %s: all steps" % name, bare.status == 0 and reused.status == 0 and len(seen) == len(expected) > n_cases,
                 "%s %s, %d of %d steps %s" % (bare.status, reused.status, len(seen), len(expected), reused.errors.decode()[-500:]))
    tally.expect("pairs, %s: no difference" % name, not differences, "%d\n%s" % (len(differences), "\n".join(differences[:20])))
    # Those that were left alone for a while, behind several that could not be kept: a faster machine has more of them.
    n = server.n_connections() - sum(line.endswith(" bypassed") for line in reused.log)
    tally.expect("pairs, %s: fewer connections" % name, n < most, "%d, at most %d" % (n, most), in_time=True)


class Pairs:
    """Of a suite's cases. `program`: the path of cases.py."""

    def __init__(self, program, cases, leavers, finders):
        names = list(cases)
        self.program, self.n_cases = program, len(names)
        self.walk = all_pairs(names) if harness.HEAVY else some_pairs(names, leavers, finders)

    def run(self, name, make_server, run_reused, share):
        """Bare, and by run_reused(command, timeout, standard input), which has at most a share of the connections, where the
        machine is not busy."""
        tally.timed(lambda: self.attempt(name, make_server, run_reused, share))()

    def attempt(self, name, make_server, run_reused, share):
        given = "\n".join(self.walk).encode()
        timeout = 60 + len(self.walk)
        with make_server() as server:
            bare = harness.run([harness.PYTHON, self.program, *server.arguments], False, timeout, given)
            n_bare = server.n_connections()
        with make_server() as server:
            reused = run_reused([harness.PYTHON, self.program, *server.arguments], timeout, given)
            compare(name, bare, reused, server, n_bare * share, self.n_cases)


def run_logged(command, preloaded, timeout, given, **settings):
    """The outcome, with the log's lines."""
    with tempfile.NamedTemporaryFile(prefix="holdline-log-") as log:
        outcome = harness.run(command, preloaded, timeout, given, HOLDLINE_LOG=log.name, **settings)
        outcome.log = log.read().decode().splitlines()
    return outcome


def run_local(command, timeout, given):
    return run_logged(command, True, timeout, given)


def run_shared(world, **settings):
    """With a broker's world."""
    return lambda command, timeout, given: run_logged([harness.HOLDLINE, "run", "--quiet", "--", *command], False, timeout, given,
                                                      **world.environment(settings))
