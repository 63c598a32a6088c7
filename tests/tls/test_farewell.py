"""How kept connections end: the server gets a close_notify before the end of file, as from a program that keeps its
connections itself, whoever ends them."""
import os

import harness
import programs
import secure
import servers
from broker_world import World
from secure import ca, counted
from suite import tally

URLLIB = os.path.join(programs.FOLDER, "urllib_pause.py")


def ended(server):
    """(announced, cut off), once all connections have ended."""
    harness.wait_until(lambda: server.stats()["closed"] == server.stats()["connections"])
    seen = server.stats()
    return seen["notified"], seen["cut"]


def run_once(server, command, with_broker, settings):
    server.reset()
    with World() as world:
        outcome = secure.start_subject(world, command, 60, **settings)
        if with_broker:
            found = ended(server)
    if not with_broker:
        found = ended(server)
    return outcome, found


def run(server, name, command, n_ended, with_broker=False, **settings):
    """`n_ended`: so many connections are kept, and ended by whoever keeps them. `with_broker`: while there is one."""
    # A broker on a busy machine may not answer in time: then there are more connections, which end in order as well.
    for _ in range(harness.ATTEMPTS):
        outcome, found = run_once(server, command, with_broker, settings)
        if found[0] <= n_ended or found[1]:
            break
    tally.expect(name, outcome.status == 0 and found == (n_ended, 0), "status %s, %d announced, %d cut off, %s %s" % (
        outcome.status, *found, counted(server.stats()), outcome.errors.decode()[-500:]))


def is_silent(server, command):
    """Whether the program leaves without a close_notify bare (wget of Debian 13 leaves its connection to the kernel)."""
    server.reset()
    harness.run(command, False, 30)
    return ended(server)[1] > 0


def test_farewell():
    """By the program's end, by the idle timeout, for a POST, and by the broker."""
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            url, post = server.url("/bytes/10"), "post:" + server.url("/echo")
            for library, command in (
                    ("urllib", lambda pause, *what: [harness.PYTHON, URLLIB, ca(), str(pause), *what]),
                    ("curls", lambda pause, *what: programs.shell('curl -sS --cacert "$CA" "$URL"; sleep %g' % (pause / 1000))(ca(), what)),
                    ("wgets", lambda pause, *what: programs.shell('wget -q -O - --ca-certificate="$CA" "$URL"; sleep %g' % (pause / 1000))(ca(), what))):
                title = "%s, TLS %s: " % (library, version)
                one = command(0, url, url)
                if library == "wgets" and is_silent(server, one):
                    tally.skip(title + "farewell", "it says none bare")
                    continue
                run(server, title + "the program's end", one, 1 if library == "urllib" else 2, HOLDLINE_POOL="local")
                run(server, title + "the broker's end", one, 1)
                run(server, title + "the broker's idle timeout", one, 1, True, HOLDLINE_IDLE_CONN_TIMEOUT="300ms")
                if library == "urllib":
                    run(server, title + "the idle timeout", command(1500, url, url), 2, HOLDLINE_IDLE_CONN_TIMEOUT="300ms", HOLDLINE_POOL="local")
                    run(server, title + "a POST", command(0, url, post, url, post), 2, HOLDLINE_POOL="local")
                    run(server, title + "a POST, with a broker", command(0, url, post, url, post), 2)
