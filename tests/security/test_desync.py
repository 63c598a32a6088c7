"""Answers and requests that can be read in two ways (desync.py)."""
import os

import desync
import harness
from harness import HOLDLINE
from suite import tally
from two_users import Folder


def count_reuses(server):
    """For each own request, in order: did it come on the connection of the one before it?"""
    log = list(server.log)
    server.log.clear()
    return [number == before for (before, _), (number, path) in zip(log, log[1:]) if path == "/own"]


def judge_desync(how, names, reused, bare, answers):
    for i, name in enumerate(names):
        sound = ": sound" in name
        if i >= len(reused) or i * 2 + 1 >= len(answers):
            tally.fail("%s, %s" % (name, how), "no answer: %s" % (answers,))
            continue
        # The program reads `close`, padded with blanks, where the server said keep-alive. Bytes that come after the
        # answer's end don't reach it.
        read = answers[i * 2].replace(b"Connection: close     ", b"Connection: keep-alive")
        same = bare[i].startswith(read[:-1]) if name.endswith(", later") else bare[i] == read
        tally.expect("%s, %s" % (name, how), reused[i] == sound and answers[i * 2 + 1] == repr(desync.OWN).encode() and same,
                     "reused: %s; it read %s; the next one %s; bare %s" % (reused[i], answers[i * 2], answers[i * 2 + 1], bare[i]))


def test_desync():
    """The program's own next request, and another program's: after an answer or a request that could be read in two
    ways, each comes on a connection of its own. What the program reads first is what it reads bare."""
    firsts = desync.first_requests()
    sequence = [request for first in firsts.values() for request in (first, desync.OWN_REQUEST)]
    client = [harness.python(), "-c", desync.CLIENT]
    with desync.Server() as server:
        bare = harness.run([*client, str(server.port), *firsts.values()], False, 60).output.splitlines()
        server.log.clear()
        local = harness.run([*client, str(server.port), *sequence], True, 60, HOLDLINE_UNSAFE_METHODS="reuse")
        judge_desync("own pool", list(firsts), count_reuses(server), bare, local.output.splitlines())
        with Folder() as folder:
            os.mkdir(folder / "run", 0o700)
            # Each request is a program of its own.
            shared = harness.run([HOLDLINE, "run", "--quiet", "--", "sh", "-c",
                                  'for request; do %s -c "$CLIENT" %d "$request"; done' % (harness.python(), server.port), "sh", *sequence],
                                 False, 120, XDG_RUNTIME_DIR=folder / "run", HOLDLINE_LIBRARY=harness.SHIM,
                                 HOLDLINE_UNSAFE_METHODS="reuse", CLIENT=desync.CLIENT)
            judge_desync("shared pool", list(firsts), count_reuses(server), bare, shared.output.splitlines())
        names = [name for name in firsts if name.endswith(", later") or ": sound" in name]
        bare = [bare[list(firsts).index(name)] for name in names]
        late = harness.run([*client, str(server.port)] + [request for name in names for request in (firsts[name], desync.OWN_REQUEST)], True, 20,
                           WAITS_LATE="1", HOLDLINE_UNSAFE_METHODS="reuse")
        judge_desync("before its first byte", names, count_reuses(server), bare, late.output.splitlines())
    with desync.Server(greets=True) as server:
        bare, preloaded = [harness.run([*client, str(server.port)] + [desync.OWN_REQUEST] * 3, preloaded, 20, IS_GREETED="1").output
                           for preloaded in (False, True)]
        tally.expect("a server that speaks first", server.n_accepted == 6 and bare == preloaded and b"own" in bare,
                     "%d connections, bare %s, preloaded %s" % (server.n_accepted, bare, preloaded))
