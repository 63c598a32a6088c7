"""Servers that misbehave on connections that they have kept, where bare each request has its own: the program must see
none of it."""
import os

import harness
import programs
import servers
from secure import ca, compare, counted
from suite import tally

PAUSE = os.path.join(programs.FOLDER, "urllib_pause.py")
ACTS = "stray", "garbage", "tampered", "half", "notify", "end", "reset", "silent-end"

BYTES = "stray", "garbage", "tampered", "half"


def requests_of(server):
    return [server.url("/bytes/10"), server.url("/bytes/20000"), "post:" + server.url("/echo"), server.url("/chunked/3000"), server.url("/bytes/10"),
            "post:" + server.url("/echo")]


def judge(name, options, pause):
    for version in ("1.3", "1.2") if harness.HEAVY else ("1.3",):
        with servers.TlsServer("--max=" + version, *options) as server:
            title = "%s, TLS %s" % (name, version)
            command = [harness.PYTHON, PAUSE, ca(), str(pause), *requests_of(server)]
            pair = compare(title, server, command, timeout=60)
            tally.expect(title + ": posts", pair.stats["posts"] == pair.bare_stats["posts"] == 2, counted(pair.stats))
            loop = programs.shell('curl -sS --cacert "$CA" "$URL"; sleep %g' % (pause / 1000))
            compare(title + ", loop of curl", server, loop(ca(), [server.url("/bytes/%d" % size) for size in (10, 20, 30)]), timeout=60)
            loop = programs.shell('wget -q -O - --ca-certificate="$CA" "$URL"; sleep %g' % (pause / 1000))
            compare(title + ", loop of wget", server, loop(ca(), [server.url("/bytes/%d" % size) for size in (10, 20, 30)]), timeout=60)


def test_when_idle():
    """What comes behind an answer (5 ms), before the next request, or at the same time as it. Bytes that cross a request
    are its answer for all that anybody knows: see below."""
    for act in ACTS:
        for pause in (10 if act in BYTES else 0, 50) if harness.HEAVY else (50,):
            judge("%s when idle, %d ms" % (act, pause), ["--when-idle=" + act], pause)


def test_on_second():
    """What comes instead of the second answer on a connection. Where a record has come that is no answer, the program
    sees what it would see bare of such a server; so these are only the ends without a byte."""
    for act in "notify", "end", "reset", "silent-end":
        judge("%s instead of an answer" % act, ["--on-second=" + act], 0)
