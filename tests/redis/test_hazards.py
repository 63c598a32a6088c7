"""What may go wrong with a kept connection to Redis, and what a server or another program might try."""
import os
import signal
import socket
import subprocess
import time

import harness
from broker_world import World
from fake import Fake, reset
from harness import HOLDLINE, PYTHON
from resp import commands, encode
from servers import Redis, reusing
from suite import tally

PRELUDE = """
import os, signal, socket, sys, time
sys.path.insert(0, %r)
from resp import Client, Gone, encode
port = int(sys.argv[1])
def once(*words, then=0):
    c = Client.tcp(port)
    time.sleep(then)
    try:
        seen = c.ask(*words)
    except (Gone, ConnectionError) as gone:
        seen = type(gone).__name__
    c.close()
    return seen
def say(*words):
    print(*words, flush=True)
""" % os.path.dirname(os.path.abspath(__file__))


def program(text, port):
    return [PYTHON, "-c", PRELUDE + text, str(port)]


def run(text, port, preloaded=True, **settings):
    return harness.run(program(text, port), preloaded, 30, **(reusing(**settings) if preloaded else {}))


def same(name, text, port, expected=None, **settings):
    """The program prints the same bare and with reuse."""
    bare, reused = run(text, port, False), run(text, port, **settings)
    tally.expect(name, bare.text() == reused.text() and (expected is None or reused.text() == expected),
                 "%s instead of %s %s" % (reused.text(), bare.text(), reused.errors.decode()[-500:]))


@tally.timed
def test_switch():
    """--protocols=http, and a rule, leave Redis alone."""
    text = "for _ in range(5): say(once('PING'))"
    with Redis() as server:
        for name, settings in (("off", {"HOLDLINE_PROTOCOLS": "http"}), ("rule off", {"HOLDLINE_RULES": "*:%d proto=off" % server.port}),
                               ("rule http", {"HOLDLINE_RULES": "*:%d proto=http" % server.port}), ("mode", {"HOLDLINE_MODE": "observe"})):
            before = server.n_connections()
            run(text, server.port, **settings)
            tally.expect("switch: " + name, server.n_connections() - before == 5, server.n_connections() - before)
        before = server.n_connections()
        run(text, server.port, HOLDLINE_PROTOCOLS="http", HOLDLINE_RULES="*:%d proto=redis" % server.port)
        tally.expect("switch: a rule turns it on", server.n_connections() - before == 1, server.n_connections() - before, in_time=True)


def test_redis_alone():
    """--protocols=redis leaves HTTP alone."""
    text = "import urllib.request\nfor _ in range(3): urllib.request.urlopen('http://127.0.0.1:%d/who' % port).read()"
    for protocols, expected in (("redis", 3), ("http", 1), ("all", 1)):
        with harness.Server() as server:
            harness.run(program(text, server.port), True, 20, HOLDLINE_PROTOCOLS=protocols)
            tally.expect("HTTP under --protocols=" + protocols, server.stats()["connections"] == expected, server.stats())


def test_others_setting():
    """A program that does not follow Redis neither uses nor ends what others keep there."""
    with Redis() as server, World() as world:
        for i, protocols in enumerate(("all", "http", "all", "http", "all")):
            outcome = harness.run([HOLDLINE, "run", "--quiet", "--protocols=" + protocols, "--", *program("say(once('PING'))", server.port)], False, 30,
                                  **world.environment({}))
            tally.expect("others' setting: %d, %s" % (i, protocols), outcome.output == b"+PONG\n", outcome.text())
        tally.expect("others' setting: connections", server.n_connections() == 3, server.n_connections())


@tally.timed
def test_hidden_commands():
    """Clean connections say nothing of their own; others say RESET; QUIT is not heard."""
    with Redis() as server:
        run("for _ in range(5): once('GET', 'k')", server.port)
        tally.expect("hidden: none for a clean one", server.n_calls("reset") == 0, server.n_calls("reset"))
        run("for _ in range(5): once('SELECT', 3)", server.port)
        tally.expect("hidden: one each for others", server.n_calls("reset") == 5, server.n_calls("reset"))
        before = server.n_connections()
        run("""
for _ in range(5):
    c = Client.tcp(port); c.ask('PING'); c.send(encode('QUIT')); assert c.rest() == '+OK\\r\\n end'; c.close()
""", server.port)
        tally.expect("hidden: QUIT is withheld", server.n_calls("quit") == 0 and server.n_connections() - before == 1,
                     "%d, %d connections" % (server.n_calls("quit"), server.n_connections() - before), in_time=True)


@tally.timed
def test_idle_server():
    """A server that hangs up after a second: no program meets it. The second one connects to a connection that is cold, and
    writes when that would have been closed."""
    with Redis("timeout 1") as server:
        text = "say(once('PING')); say(once('GET', 'k', then=2.5)); say(once('PING'))"
        bare, reused = run(text, server.port, False), run(text, server.port)
        tally.expect("idle: one that thinks for long gets another connection",
                     bare.output == b"+PONG\nGone\n+PONG\n" and reused.output == b"+PONG\n$ none\n+PONG\n", bare.text() + reused.text())
        before = server.n_connections()
        outcome = run("say(once('PING')); time.sleep(0.7); say(once('PING', then=0.6))", server.port)
        tally.expect("idle: asked when it was cold", outcome.output == b"+PONG\n+PONG\n" and server.n_calls("reset") >= 1, outcome.text())
        tally.expect("idle: and reused", server.n_connections() - before == 1, server.n_connections() - before, in_time=True)


@tally.timed
def test_login_stays():
    """What one program has logged in, another one does not have."""
    with Redis(password="secret") as server, World() as world:
        for name, text, expected in (("logs in", "say(once('AUTH', 'secret'))", b"+OK\n"),
                                     ("does not", "say(once('GET', 'k'))", b"-NOAUTH Authentication required.\n"),
                                     ("as another", "c = Client.tcp(port); say(c.ask('AUTH', 'tester', 'word'), c.ask('ACL', 'WHOAMI'))", b"+OK $ tester\n"),
                                     ("is nobody", "say(once('ACL', 'WHOAMI'))", b"-NOAUTH Authentication required.\n")):
            outcome = harness.run([HOLDLINE, "run", "--quiet", "--protocols=all", "--", *program(text, server.port)], False, 30,
                                  **world.environment({}))
            tally.expect("login: " + name, outcome.output == expected, outcome.text() + outcome.errors.decode()[-300:])
        tally.expect("login: on one connection", server.n_connections() == 1, server.n_connections(), in_time=True)


@tally.timed
def test_old_server():
    """Without RESET: one failure teaches it, then clean connections are kept without a word."""
    with Redis('rename-command RESET ""') as server:
        run("for _ in range(5): once('SELECT', 3)", server.port)
        tally.expect("old: asked once", int((server.info("errorstat_ERR") or "count=0").split("=")[1]) == 1, server.info("errorstat_ERR"))
        before = server.n_connections()
        run("for _ in range(5): once('GET', 'k')", server.port)
        tally.expect("old: clean ones are kept", server.n_connections() - before == 1, server.n_connections() - before, in_time=True)


ANSWERS = {
    "nothing": b"", "another": b"+OK\r\n", "error": b"-ERR no\r\n", "too much": b"+RESET\r\n+RESET\r\n", "less": b"+RES",
    "late reply": b":1\r\n+RESET\r\n", "case": b"+reset\r\n",
}


def test_wrong_answers():
    """Whatever a server answers to RESET, the next program sees its own replies only."""
    for name, wrong in ANSWERS.items():
        def serve(connection, number):
            for words in commands(connection):
                connection.sendall(wrong if words == [b"RESET"] else b"+%d %s\r\n" % (number, words[0]))

        with Fake(serve) as server:
            outcome = run("say(once('SELECT', 1)); time.sleep(0.02); say(once('PING'))", server.port)
            tally.expect("wrong answer: " + name, outcome.output == b"+1 SELECT\n+2 PING\n", outcome.text() + outcome.errors.decode()[-300:])

    def hang_up(connection, number):
        for words in commands(connection):
            if words == [b"RESET"]:
                return
            connection.sendall(b"+%d %s\r\n" % (number, words[0]))

    with Fake(hang_up) as server:
        outcome = run("say(once('SELECT', 1)); time.sleep(0.02); say(once('PING'))", server.port)
        tally.expect("wrong answer: the end", outcome.output == b"+1 SELECT\n+2 PING\n", outcome.text())


def test_split_answer():
    """The answer to RESET in two pieces, with a pause: it is waited for, or not used."""
    def serve(connection, number):
        for words in commands(connection):
            if words == [b"RESET"]:
                connection.sendall(b"+RES")
                time.sleep(0.005)
                connection.sendall(b"ET\r\n")
            else:
                connection.sendall(b"+%s\r\n" % words[0])

    with Fake(serve) as server:
        outcome = run("for i in range(5): say(once('SELECT', i)); time.sleep(0.02)", server.port)
        tally.expect("split answer", outcome.output == b"+SELECT\n" * 5 and server.n_connections <= 3, "%s %d" % (outcome.text(), server.n_connections))


@tally.timed
def test_names_of_libraries():
    """RESET of Redis 7.2 leaves what CLIENT SETINFO has set, and that of Dragonfly the name: the next one finds none."""
    def serve(connection, number):
        info = {}
        for words in commands(connection):
            if words[:2] == [b"CLIENT", b"SETINFO"]:
                info[words[2]] = words[3]
            elif words[:2] == [b"CLIENT", b"SETNAME"]:
                info[b"NAME"] = words[2]
            connection.sendall(b"+RESET\r\n" if words == [b"RESET"] else b"+%s\r\n" % b",".join(sorted(info.values())) if words == [b"INFO"]
                               else b"+OK\r\n")

    with Fake(serve) as server:
        outcome = run("""
c = Client.tcp(port)
say(c.ask('CLIENT', 'SETINFO', 'LIB-NAME', 'lib'), c.ask('CLIENT', 'SETINFO', 'LIB-VER', '1'), c.ask('CLIENT', 'SETNAME', 'me'), c.ask('INFO'))
c.close()
say(once('INFO'))
""", server.port)
        tally.expect("names", outcome.output == b"+OK +OK +OK +1,lib,me\n+,,\n" and server.n_connections == 1,
                     "%s %d" % (outcome.text(), server.n_connections), in_time=True)


def test_two_protocols():
    """A port on which HTTP and Redis are spoken: no connection carries both."""
    seen = []

    def serve(connection, number):
        while True:
            data = connection.recv(4096)
            if not data:
                return
            seen.append((number, data[:1]))
            connection.sendall(b"+PONG\r\n" if data[:1] == b"*" else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    text = """
def http():
    s = socket.create_connection(("127.0.0.1", port)); s.sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"); data = s.recv(4096); s.close(); return data[-2:]
for _ in range(3): say(once('PING'), http(), http(), once('PING'), once('PING'))
"""
    with Fake(serve) as server:
        same("two protocols", text, server.port)
        mixed = {number for number, first in seen if first == b"*"} & {number for number, first in seen if first != b"*"}
        tally.expect("two protocols: each on its own", not mixed, seen)


def test_every_byte():
    """A reply that is cut, ended or reset behind each of its bytes: the program and the next one see what they see bare."""
    reply = b"*2\r\n$5\r\nhello\r\n:12\r\n"
    ways = {"pause": None, "end": "end", "reset": "reset"}
    for way, end in ways.items():
        def serve(connection, number):
            for words in commands(connection):
                at = int(words[1]) if words[0] == b"CUT" else len(reply)
                if words[0] == b"RESET":
                    connection.sendall(b"+RESET\r\n")
                    continue
                connection.sendall(reply[:at])
                if at == len(reply):
                    continue
                time.sleep(0.002)
                if end == "reset":
                    reset(connection)
                if end:
                    return
                connection.sendall(reply[at:])

        with Fake(serve) as server:
            same("every byte: " + way, """
for at in range(%d):
    say(at, once('GET', 0), once('CUT', at), once('GET', 0))
""" % len(reply), server.port)


def test_unsolicited():
    """Something comes on a kept connection, at any time: nobody reads it."""
    def serve(connection, number):
        for words in commands(connection):
            if words[0] == b"RESET":
                connection.sendall(b"+RESET\r\n")
            elif words[0] == b"LATE":
                connection.sendall(b"+first\r\n")
                time.sleep(0.01)
                connection.sendall(b"+late\r\n")
            else:
                connection.sendall(b"+%s\r\n" % words[0])

    with Fake(serve) as server:
        for pause in (0, 0.005, 0.03):
            same("unsolicited, %s s" % pause, "for _ in range(5): say(once('LATE')); time.sleep(%s); say(once('PING'))" % pause, server.port)


def test_fork_and_threads():
    with Redis() as server:
        same("fork between connect and use", """
once('PING')
c = Client.tcp(port)
pid = os.fork()
if pid == 0:
    say(c.ask('ECHO', 'child'))
    os._exit(0)
os.waitpid(pid, 0)
say(c.ask('ECHO', 'parent')); c.close(); say(once('ECHO', 'next'))
""", server.port)
        same("threads", """
import threading
wrong = []
def work(name):
    for i in range(100):
        if once('ECHO', '%s-%d' % (name, i)) != '$ %s-%d' % (name, i): wrong.append(i)
threads = [threading.Thread(target=work, args=(n,)) for n in 'abcd']
[t.start() for t in threads]; [t.join() for t in threads]
say(wrong)
""", server.port, "[]\n")


def test_kills():
    """Processes that share connections are killed at any moment: nobody gets another's reply."""
    text = """
import random
name = str(os.getpid())
for i in range(1000):
    seen = once(*random.choice([('ECHO', name), ('EVAL', 'return ARGV[1]', 0, name), ('EVAL', 'return ARGV[1]', 0, name)]))
    if seen != '$ ' + name:
        say('WRONG', name, seen); break
"""
    n = 200 if harness.HEAVY else 40
    with Redis() as server, World() as world:
        wrong = b""
        for i in range(0, n, 4):
            processes = [subprocess.Popen([HOLDLINE, "run", "--quiet", "--protocols=all", "--", *program(text, server.port)],
                                          stdout=subprocess.PIPE, env=harness.environment(False, **world.environment({}))) for _ in range(4)]
            n_before = server.n_calls("echo")
            harness.wait_until(lambda: server.n_calls("echo") > n_before + 20)
            time.sleep(0.003 * (i % 16))
            for process in processes:
                process.kill()
                wrong += process.communicate()[0]
        tally.expect("kills: nobody's reply is another's", not wrong, wrong)
        tally.expect("kills: something was shared", server.n_calls("reset") > 0, server.n_calls("reset"))


def test_wait_behind_replica():
    """WAIT waits for what its own connection has written: on one with a past, for what others have."""
    with Redis() as server, Redis("replicaof 127.0.0.1 %d" % server.port) as replica:
        if not harness.wait_until(lambda: "state=online" in str(server.ask("INFO", "replication")), 20):
            tally.skip("wait", "the replica does not follow")
            return
        os.kill(replica.process.pid, signal.SIGSTOP)
        same("wait: not for others' writes", """
say(once('SET', 'a', 1))
say(once('WAIT', 1, 300))
c = Client.tcp(port); say(c.ask('GET', 'a'), c.ask('WAIT', 1, 300)); c.close()
c = Client.tcp(port); say(c.ask('SET', 'a', 1), c.ask('WAIT', 1, 100)); c.close()
""", server.port)
