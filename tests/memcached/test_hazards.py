"""What may go wrong with a kept connection to memcached, and what a server or another program might try."""
import os
import subprocess
import time

import harness
from broker_world import World
from fake import Fake, reset
from harness import HOLDLINE, PYTHON
from servers import Memcached
from suite import tally
from wire import commands

PRELUDE = """
import os, socket, sys, time
sys.path.insert(0, %r)
from wire import Client, Gone, packet
port = int(sys.argv[1])
def once(*lines, then=0, n=1):
    c = Client(port)
    time.sleep(then)
    try:
        seen = [c.ask(*lines)] + [c.line() for _ in range(n - 1)]
    except (Gone, ConnectionError) as gone:
        seen = [type(gone).__name__]
    c.close()
    return ' '.join(seen)
def say(*words):
    print(*words, flush=True)
""" % os.path.dirname(os.path.abspath(__file__))
SETTINGS = b"STAT maxbytes 67108864\r\nSTAT auth_enabled_ascii no\r\nEND\r\n"


def program(text, port):
    return [PYTHON, "-c", PRELUDE + text, str(port)]


def run(text, port, preloaded=True, **settings):
    return harness.run(program(text, port), preloaded, 30, **(settings if preloaded else {}))


def same(name, text, port, expected=None, **settings):
    """The program prints the same bare and with reuse."""
    bare, reused = run(text, port, False), run(text, port, **settings)
    tally.expect(name, bare.text() == reused.text() and (expected is None or reused.text() == expected),
                 "%s instead of %s %s" % (reused.text(), bare.text(), reused.errors.decode()[-500:]))


def answers(connection, **others):
    """Serves a connection as memcached does, but for what is in `others`: by a command's first word."""
    for line, _ in commands(connection):
        word = line.split()[0].decode() if line.split() else ""
        reply = others.get(line.decode().replace(" ", "_"), others.get(word))
        if callable(reply):
            reply = reply()
        if reply is None:
            reply = {"get": b"END\r\n", "set": b"STORED\r\n", "version": b"VERSION 1\r\n", "stats": SETTINGS}.get(word, b"ERROR\r\n")
        if b"noreply" not in line:
            connection.sendall(reply)


@tally.timed
def test_switch():
    """--protocols=http or =redis, and a rule, leave memcached alone."""
    text = "for _ in range(5): say(once('get k'))"
    with Memcached() as server:
        for name, settings, n in (("off", {"HOLDLINE_PROTOCOLS": "http"}, 5), ("redis", {"HOLDLINE_PROTOCOLS": "redis"}, 5),
                                  ("rule off", {"HOLDLINE_RULES": "*:%d proto=off" % server.port}, 5),
                                  ("rule http", {"HOLDLINE_RULES": "*:%d proto=http" % server.port}, 5), ("mode", {"HOLDLINE_MODE": "observe"}, 5),
                                  ("alone", {"HOLDLINE_PROTOCOLS": "memcached"}, 1),
                                  ("by a rule", {"HOLDLINE_PROTOCOLS": "http", "HOLDLINE_RULES": "*:%d proto=memcached" % server.port}, 1)):
            before = server.n_connections()
            run(text, server.port, **settings)
            tally.expect("switch: " + name, server.n_connections() - before == n, server.n_connections() - before, in_time=True)


def hidden(text, n=5):
    """What a server hears of n connections that a program makes."""
    heard = []

    def serve(connection, number):
        for line, _ in commands(connection):
            heard.append(line.decode())
            word = line.split()[0]
            if b"noreply" not in line:
                connection.sendall({b"get": b"END\r\n", b"set": b"STORED\r\n", b"version": b"VERSION 1\r\n", b"stats": SETTINGS}[word])

    with Fake(serve) as server:
        run("for _ in range(%d):\n    %s" % (n, text), server.port)
        time.sleep(0.05)
        return heard, server.n_connections


@tally.timed
def test_hidden_commands():
    """Nothing is said for a clean connection, `stats settings` once where it began by `set`, `version` after quiet ones; `quit` is
    not heard."""
    heard, n = hidden("once('get k')")
    tally.expect("hidden: none for a clean one", heard == ["get k"] * 5 and n == 1, "%s %d" % (heard, n), in_time=True)
    heard, n = hidden("once('set k 0 0 1', 'x')")
    tally.expect("hidden: once after a set", heard.count("stats settings") == n == 1 and len(heard) == 6, "%s %d" % (heard, n), in_time=True)
    heard, n = hidden("c = Client(port); c.until_end('get k'); c.send(b'set k 0 0 1 noreply\\r\\nx\\r\\n'); c.close()")
    tally.expect("hidden: after quiet ones", heard.count("version") == 5 and n == 1, "%s %d" % (heard, n), in_time=True)
    heard, n = hidden("c = Client(port); c.until_end('get k'); c.send(b'quit\\r\\n'); assert c.rest() == ' end'; c.close()")
    tally.expect("hidden: quit is withheld", "quit" not in heard and n == 1, "%s %d" % (heard, n), in_time=True)


def test_logins():
    """memcached -Y: nobody has another's login, and no login becomes an item that can be read."""
    text = """
say(once('set login 0 0 10', 'usr secret'))
say(once('get login'))
c = Client(port); say(c.ask('set login 0 0 10', 'usr secret'), c.ask('set x 0 0 1', 'v'), c.until_end('get x'), c.until_end('get login')); c.close()
for _ in range(6): say(once('set login 0 0 10', 'usr secret'))
say(once('get x'))
c = Client(port); say(c.ask('set login 0 0 10', 'usr secret'), c.until_end('get login')); c.close()
"""
    with Memcached(password="secret") as server:
        same("logins", text, server.port)
        before = server.n_connections()
        run("for _ in range(4): say(once('set login 0 0 10', 'usr secret'))", server.port)
        tally.expect("logins: each on its own connection", server.n_connections() - before == 4, server.n_connections() - before)
        with World() as world:
            for name, line, expected in (("logs in", "say(once('set login 0 0 10', 'usr secret'))", b"STORED\n"),
                                         ("does not", "say(once('get login'))", b"CLIENT_ERROR unauthenticated\n")) * 2:
                outcome = harness.run([HOLDLINE, "run", "--quiet", "--", *program(line, server.port)], False, 30, **world.environment({}))
                tally.expect("logins, between programs: " + name, outcome.output == expected, outcome.text())


def test_restart_with_logins():
    """A server that wanted none is replaced by one that does: what was known of it does not count any more."""
    text = """
import signal
say(once('set k 0 0 1', 'x')); say(once('set k 0 0 1', 'x'))
sys.stdin.readline()
for _ in range(4): say(once('set login 0 0 10', 'usr secret'))
say(once('get login'))
"""
    with Memcached() as server:
        process = subprocess.Popen(program(text, server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=harness.environment(True))
        begun = [process.stdout.readline() for _ in range(2)]
        port = server.port
    second = Memcached(password="secret")
    with second.at(port):
        output, _ = process.communicate(b"\n", 20)
        tally.expect("restart: as on a new server", begun == [b"STORED\n"] * 2 and output == b"STORED\n" * 4 + b"CLIENT_ERROR unauthenticated\n",
                     "%s %s" % (begun, output))


def test_idle_server():
    """A server that hangs up on idle connections: no program meets it."""
    with Memcached("-o", "idle_timeout=2") as server:
        outcome = run("say(once('get k')); time.sleep(1.5); say(once('get k', then=1.2))", server.port)
        tally.expect("idle: asked when it was cold", outcome.output == b"END\nEND\n", outcome.text())
        outcome = run("say(once('get k')); time.sleep(5); say(once('get k'))", server.port)
        tally.expect("idle: ended meanwhile", outcome.output == b"END\nEND\n", outcome.text())


def test_wrong_answers():
    """What is no proof gives nobody the connection; a server that never proves it is asked no more."""
    for name, others in (("an error", {"version": b"ERROR\r\n"}), ("something first", {"version": b"ERROR\r\nVERSION 1\r\n"}),
                         ("too much", {"version": b"VERSION 1\r\nEND\r\n"}), ("nothing", {"version": b""}), ("other settings", {"stats": b"END\r\n"}),
                         ("logins", {"stats": b"STAT auth_enabled_ascii yes\r\nEND\r\n"}), ("half of them", {"stats": SETTINGS[:30]}),
                         ("without end", {"stats": b"STAT x y\r\n" * 5000})):
        with Fake(lambda connection, number: answers(connection, **others)) as server:
            same("wrong answers: " + name, """
for _ in range(6):
    c = Client(port); say(c.until_end('get k')); c.send(b'set k 0 0 1 noreply\\r\\nx\\r\\n'); c.close()
    say(once('set k 0 0 1', 'x')); say(once('get k'))
""", server.port)


def test_every_byte():
    """A reply that is cut, ended or reset behind each of its bytes: the program and the next one see what they see bare."""
    reply = b"VALUE k 5 3\r\nabc\r\nEND\r\n"
    for way in "pause", "end", "reset":
        def serve(connection, number):
            for line, _ in commands(connection):
                words = line.split()
                at = int(words[1]) if words[0] == b"get" and words[1].isdigit() else len(reply)
                if words[0] == b"version":
                    connection.sendall(b"VERSION 1\r\n")
                    continue
                connection.sendall(reply[:at])
                if at == len(reply):
                    continue
                time.sleep(0.002)
                if way == "reset":
                    reset(connection)
                if way != "pause":
                    return
                connection.sendall(reply[at:])

        with Fake(serve) as server:
            same("every byte: " + way, """
for at in range(%d):
    say(at, once('get whole', n=3), once('get %%d' %% at, n=3), once('get whole', n=3))
""" % len(reply), server.port)


def test_late_errors():
    """An error of a quiet command comes late: it is nobody else's."""
    def serve(connection, number):
        for line, _ in commands(connection):
            if b"noreply" in line:
                time.sleep(0.01)
                connection.sendall(b"SERVER_ERROR late\r\n")
            else:
                connection.sendall(b"VERSION 1\r\n" if line == b"version" else b"END\r\n")

    with Fake(serve) as server:
        for pause in 0, 0.005, 0.03:
            same("late errors, %s s" % pause, """
for _ in range(5):
    c = Client(port); say(c.ask('get k')); c.send(b'set k 0 0 1 noreply\\r\\nx\\r\\n'); c.close()
    time.sleep(%s); say(once('get k'))
""" % pause, server.port)


def test_three_protocols():
    """A port on which HTTP, Redis and memcached are spoken: no connection carries two."""
    seen = []

    def serve(connection, number):
        while True:
            data = connection.recv(4096)
            if not data:
                return
            seen.append((number, data[:1]))
            connection.sendall({b"*": b"+PONG\r\n", b"g": b"END\r\n", b"G": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}[data[:1]])

    text = """
def said(data):
    s = socket.create_connection(("127.0.0.1", port)); s.sendall(data); got = s.recv(4096); s.close(); return got[-4:]
for _ in range(3): say(*[said(data) for data in (b"get k\\r\\n", b"*1\\r\\n$4\\r\\nPING\\r\\n", b"GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n", b"get k\\r\\n", b"get k\\r\\n")])
"""
    with Fake(serve) as server:
        same("three protocols", text, server.port)
        carried = {}
        for number, first in seen:
            carried.setdefault(number, set()).add(first)
        tally.expect("three protocols: each on its own", all(len(firsts) == 1 for firsts in carried.values()), seen)


def test_redis_inline():
    """What both understand goes by what is spoken there: Redis's replies are none of memcached's."""
    def serve(connection, number):
        while connection.recv(4096):
            connection.sendall(b"$1\r\nv\r\n")

    with Fake(serve) as server:
        same("Redis, inline", "for _ in range(5): say(once('get k', n=2))", server.port)


def test_fork_and_threads():
    with Memcached() as server:
        same("fork between connect and use", """
once('get k')
c = Client(port)
pid = os.fork()
if pid == 0:
    say(c.ask('get k'))
    os._exit(0)
os.waitpid(pid, 0)
say(c.ask('version')); c.close(); say(once('get k'))
""", server.port)
        same("threads", """
import threading
wrong = []
def work(name):
    for i in range(100):
        c = Client(port)
        if c.ask('set %s 0 0 4' % name, '%04d' % i) != 'STORED' or c.until_end('get ' + name)[1] != '%04d' % i: wrong.append(i)
        c.close()
threads = [threading.Thread(target=work, args=(n,)) for n in 'abcd']
[t.start() for t in threads]; [t.join() for t in threads]
say(wrong)
""", server.port, "[]\n")


def test_kills():
    """Processes that share connections are killed at any moment: nobody gets another's reply."""
    text = """
name = 'key-%d' % os.getpid()
c = Client(port); c.ask('set %s 0 0 %d' % (name, len(name)), name); c.close()
for i in range(1000):
    c = Client(port)
    if os.getpid() % 2:
        seen = c.until_end('get ' + name)[1]
    else:
        c.send(packet(0, name.encode())); seen = c.response()[3][4:]
    c.close()
    if seen != name:
        say('WRONG', name, seen); break
"""
    n = 200 if harness.HEAVY else 24
    with Memcached() as server, World() as world:
        wrong = b""
        for i in range(0, n, 4):
            processes = [subprocess.Popen([HOLDLINE, "run", "--quiet", "--", *program(text, server.port)], stdout=subprocess.PIPE,
                                          env=harness.environment(False, **world.environment({}))) for _ in range(4)]
            n_before = server.statistic("cmd_get")
            harness.wait_until(lambda: server.statistic("cmd_get") > n_before + 40)
            time.sleep(0.003 * (i % 16))
            for process in processes:
                process.kill()
                wrong += process.communicate()[0]
        tally.expect("kills: nobody's reply is another's", not wrong, wrong)
        tally.expect("kills: something was shared", server.n_connections() < server.statistic("cmd_get") / 2, server.n_connections())
