"""Records that are seldom: new keys, pieces, and such as are no authentic ones. A program reads of a kept connection
what it reads of its own, and the server what it reads bare."""
import os

import harness
import key_update
import programs
import servers
from secure import ca, compare, counted
from suite import tally

RECORDS = os.path.join(programs.FOLDER, "records.py")
VERSIONS = "1.3", "1.2"
CLIENTS = "python urllib", "python asyncio streams", "libcurl easy", "loop of curl", "loop of wget"


def records(way, urls):
    return [harness.PYTHON, RECORDS, way, ca(), *urls]


def can_update():
    if not key_update.is_possible():
        tally.skip("key updates", "Python's libssl is not to be had")
    return key_update.is_possible()


def test_key_update_of_server():
    """New keys in the midst of answers, asked for and not, each time on the same connection; and when it is idle."""
    if not can_update():
        return
    with servers.TlsServer("--count-updates") as server:
        urls = [server.url("/updates/%d" % size) for size in (3000, 30000, 300)] + [server.url("/bytes/10")]
        for program in programs.LIST:
            if program.name in CLIENTS and not program.missing():
                name = "key updates of the server, " + program.name
                pair = compare(name, server, program.command(ca(), urls), program.most)
                # Behind the last answer nothing is sent.
                tally.expect(name + ": answered", pair.stats["updated"] == 3, counted(pair.stats), "%d, bare %d" % (
                    pair.stats["updated"], pair.bare_stats["updated"]))
    with servers.TlsServer("--when-idle=update") as server:
        for program in programs.LIST:
            if program.name in CLIENTS and not program.missing():
                loop = program.command(ca(), [server.url("/bytes/%d" % size) for size in (10, 20, 30)])
                compare("key updates when idle, " + program.name, server, loop)


def test_key_update_of_program():
    """The server need not know of them, nor of how many there were on its connection."""
    if not can_update():
        return
    with servers.TlsServer("--count-updates") as server:
        for way in "update", "ask":
            urls = [server.url("/pieces/%d" % size) for size in (1000, 3000, 1000)]
            pair = compare("key updates of the program, " + way, server, records(way, urls), 1)
            tally.expect("key updates of the program, %s: bare" % way, pair.bare_stats["updated"] == 9, counted(pair.bare_stats))


def test_pieces():
    """A program that carries the bytes itself, a few at a time."""
    for version in VERSIONS:
        with servers.TlsServer("--max=" + version) as server:
            urls = [server.url(path) for path in ("/bytes/10", "/chunked/3000", "/bytes/20000", "/bytes/10")]
            compare("records in pieces, TLS " + version, server, records("pieces", urls), 1)


def test_shared():
    """A connection that a child has had can't be kept: its end is in order all the same."""
    for version in VERSIONS:
        with servers.TlsServer("--max=" + version) as server:
            urls = [server.url("/bytes/%d" % size) for size in (10, 3000, 10)]
            compare("end of a shared connection, TLS " + version, server, records("fork", urls), native=True)


def test_broken():
    """In the midst of an answer: the program's own library says what is wrong, and another request is answered."""
    for version in VERSIONS:
        with servers.TlsServer("--max=" + version) as server:
            for act in "tampered", "garbage", "half", "notify", "end", "silent-end":
                urls = [server.url(path) for path in ("/bytes/10", "/broken/" + act, "/bytes/20", "/broken/" + act)]
                pair = compare("%s in an answer, TLS %s" % (act, version), server, records("plain", urls), reuses=True)
                tally.expect("%s in an answer, TLS %s: requests" % (act, version), pair.stats["requests"] == 4, counted(pair.stats))
