"""Connections that are given out before the answer to RESET has come: nobody reads that answer, nobody is told of it, and what is
asked behind it gets its own answers."""
import tempfile
import time

import harness
from cases import CASES
from fake import Fake, reset
from late import LateServer, run_behind_fences
from resp import commands
from servers import Redis, reusing
from suite import tally
from test_hazards import program, same
from test_pairs import PAIRS

# Shorter than a program is made to wait for an answer.
LATE_S = 0.004
ANSWER = b"+RESET\r\n"


def serve_late(answer=ANSWER, from_then_on=0, then_late_s=LATE_S):
    """A server that repeats what is said; what it says to RESET comes late, and after so many right ones so late, and is
    `answer`: bytes, or a function of the connection."""
    n_right = [0]

    def serve(connection, number):
        for words in commands(connection):
            if words != [b"RESET"]:
                connection.sendall(b"+%s\r\n" % b" ".join(words))
                continue
            n_right[0] += 1
            time.sleep(LATE_S if n_right[0] <= from_then_on else then_late_s)
            if n_right[0] <= from_then_on:
                connection.sendall(ANSWER)
            elif callable(answer):
                if answer(connection):
                    return
            else:
                connection.sendall(answer)
    return serve


def run_logged(text, port, **settings):
    """What the program says, and how often it was behind a fence."""
    with tempfile.NamedTemporaryFile(prefix="holdline-log-") as log:
        outcome = harness.run(program(text, port), True, 30, **reusing(HOLDLINE_LOG=log.name, **settings))
        said = log.read().decode()
    return outcome, said.count("behind a fence")


# Each asks SELECT first, so that what it leaves has to be undone, and says what it has read.
WAYS = {
    "recv": "c.ask('ECHO', i)",
    "by the byte": "(c.send(encode('ECHO', i)), b''.join(c.socket.recv(1) for _ in range(%d)))[1]",
    "peek": "(c.send(encode('ECHO', i)), c.socket.recv(99, socket.MSG_PEEK), c.read())[1:]",
    "all": "(c.send(encode('ECHO', i)), c.socket.recv(%d, socket.MSG_WAITALL))[1]",
    "recvmsg": "(c.send(encode('ECHO', i)), c.socket.recvmsg(99)[0])[1]",
    "into several": "(c.send(encode('ECHO', i)), c.socket.recvmsg_into([bytearray(1), bytearray(90)])[0])[1]",
    "read": "(c.send(encode('ECHO', i)), os.read(c.socket.fileno(), 99))[1]",
    "poll": "(c.send(encode('ECHO', i)), wait_poll(c), c.socket.recv(99, socket.MSG_DONTWAIT))[2]",
    "select": "(c.send(encode('ECHO', i)), select.select([c.socket], [], []), c.socket.recv(99, socket.MSG_DONTWAIT))[2]",
    "epoll": "(c.send(encode('ECHO', i)), wait_epoll(c, 0), c.socket.recv(99, socket.MSG_DONTWAIT))[2]",
    "edge": "(c.socket.setblocking(False), edge(c, i))[1]",
    "timeout": "(c.socket.settimeout(5), c.ask('ECHO', i))[1]",
    "timeout of the kernel": "(c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 5, 0)), c.ask('ECHO', i))[1]",
    "count": "(c.send(encode('ECHO', i)), wait_poll(c), unread(c), c.read())[2:]",
    "late": "(time.sleep(0.01), is_readable(c), unread(c), c.ask('ECHO', i))[1:]",
    "at once": "(is_readable(c), unread(c), c.ask('ECHO', i))",
    "low water": "(c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 3), c.ask('ECHO', i))[1]",
    "dup": "(d := socket.fromfd(c.socket.fileno(), c.socket.family, c.socket.type), d.sendall(encode('ECHO', i)), d.recv(99), d.close())[2]",
    "pipelined": "(c.send(encode('ECHO', i) * 3), [c.read() for _ in range(3)])[1]",
    "nothing": "None",
}
HELP = """
import fcntl, select, struct, termios
def wait_poll(c):
    p = select.poll(); p.register(c.socket, select.POLLIN); p.poll(5000)
# A set that is closed before its sockets would make them unfit.
sets = []
def new_set():
    sets.append(select.epoll())
    return sets[-1]
def wait_epoll(c, flags):
    e = new_set(); e.register(c.socket, select.EPOLLIN | flags); e.poll(5)
def is_readable(c):
    return bool(select.select([c.socket], [], [], 0)[0])
def unread(c):
    return struct.unpack('i', fcntl.ioctl(c.socket, termios.FIONREAD, b'    '))[0]
def edge(c, i):
    e = new_set(); e.register(c.socket, select.EPOLLIN | select.EPOLLET)
    c.send(encode('ECHO', i))
    data = b''
    while not data.endswith(b'\\r\\n'):
        if not e.poll(5): return 'nothing came', data
        try:
            data += c.socket.recv(99)
        except BlockingIOError:
            pass
    return data
"""
LOOP = HELP + """
for i in range(10, 22):
    c = Client.tcp(port)
    seen = %s
    c.socket.setblocking(True)
    say(i, seen, c.ask('SELECT', i)) if seen else None
    c.close()
"""


@tally.timed
def test_ways_in_flight():
    """However a program waits and reads."""
    for name, way in WAYS.items():
        text = LOOP % (way % len("+ECHO 10\r\n") if "%d" in way else way)
        with Fake(serve_late()) as server:
            same("ahead, " + name, text, server.port)
        with Fake(serve_late()) as server:
            outcome, n = run_logged(text, server.port)
            # With a wish of its own about what it is told of, it is not given one.
            least = 0 if name in ("nothing", "low water") else 5
            tally.expect("ahead, %s: behind fences" % name, n >= least and server.n_connections <= 12 - least,
                         "%d, %d connections" % (n, server.n_connections), in_time=True)


def test_processes_in_flight():
    """Two processes with one socket: neither reads it."""
    for name, use in {
            "fork": "pid = os.fork()\n    if not pid: say('child', c.ask('ECHO', i)); os._exit(0)\n    os.waitpid(pid, 0)",
            "exec": "import subprocess\n    os.set_inheritable(c.socket.fileno(), True)\n    c.send(encode('ECHO', i))\n    "
                    "say(subprocess.run([sys.executable, '-c', 'import os, sys; print(os.read(int(sys.argv[1]), 99))', str(c.socket.fileno())], "
                    "close_fds=False, capture_output=True, env={}).stdout)",
            "passed on": "import array\n    a, b = socket.socketpair()\n    socket.send_fds(a, [b'x'], [c.socket.fileno()])\n    "
                         "d = socket.socket(fileno=socket.recv_fds(b, 1, 1)[1][0])\n    d.sendall(encode('ECHO', i))\n    say(d.recv(99))\n    d.close()"}.items():
        text = """
for i in range(10):
    c = Client.tcp(port)
    say(c.ask('SELECT', i))
    c.close()
for i in range(5):
    c = Client.tcp(port)
    %s
    say(c.ask('ECHO', 'parent'))
    c.close()
    say(Client.tcp(port).ask('SELECT', i))
""" % use
        for late_s in LATE_S, 0.2:
            with Fake(serve_late(from_then_on=5, then_late_s=late_s)) as server:
                same("ahead, %s, %g s" % (name, late_s), text, server.port)


# What makes the library give a socket up, or look at it, while the answer is due.
AMID = {
    "subscribes": "c.send(encode('SELECT', i) + encode('SUBSCRIBE', i)); say(c.read(), c.read())",
    "stdio": "c.send(encode('ECHO', i)); f = libc.fdopen(os.dup(c.socket.fileno()), b'r'); b = ctypes.create_string_buffer(99); "
             "libc.fgets(b, 99, f); say(b.value); libc.fclose(f)",
    "vfork": "c.send(encode('ECHO', i)); say(subprocess.run(['true']).returncode, c.read())",
    "low water": "say(c.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)); say(c.ask('ECHO', i))",
    "hang-up is looked for": "time.sleep(0.05); p = select.poll(); p.register(c.socket, select.POLLIN | 0x2000); say(p.poll(0)); say(c.ask('ECHO', i))",
}


def closes_at_once(connection):
    connection.sendall(ANSWER)
    return True


def test_amid():
    """... on a server that is slow by then, and on one that answers and hangs up."""
    for name, use in AMID.items():
        text = """
import ctypes, select, subprocess
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.fgets.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
for i in range(10, 16):
    once('SELECT', i)
for i in range(16, 19):
    c = Client.tcp(port)
    %s
    c.close()
    once('SELECT', i)
""" % use
        with Fake(serve_late(from_then_on=5, then_late_s=0.15)) as server:
            same("amid, %s, slow" % name, text, server.port)
        with Fake(serve_late(closes_at_once, 5)) as server:
            same("amid, %s, ends" % name, text.replace("c = Client.tcp(port)", "c = Client.tcp(port); time.sleep(0.02)"), server.port)


def test_several_servers():
    """Behind one address, one of which has no RESET: nobody's command is carried out where another one was."""
    seen = []

    def serve(connection, number):
        database = b"0"
        for words in commands(connection):
            if words == [b"RESET"]:
                time.sleep(LATE_S)
                connection.sendall(ANSWER if number % 2 else b"-ERR unknown command\r\n")
                database = b"0" if number % 2 else database
                continue
            if words[0] == b"SELECT":
                database = words[1]
            if words[0] == b"SET":
                seen.append(database)
            connection.sendall(b"+OK\r\n")

    with Fake(serve) as server:
        run_logged("""
for i in range(30):
    try:
        a = Client.tcp(port); b = Client.tcp(port)
        say(a.ask('SELECT', 1), b.ask('SELECT', 1))
        a.close(); b.close()
        once('SET', 'k', 'v')
    except (Gone, ConnectionError) as error:
        say(error)
""", server.port)
        tally.expect("several servers", seen and set(seen) == {b"0"}, seen)


WRONG = {"another": b"+OK\r\n", "error": b"-ERR unknown command\r\n", "shorter": b"+R\r\n", "in the midst": b"+RESEX\r\n",
         "end": lambda connection: True, "reset": lambda connection: reset(connection) or True}


@tally.timed
def test_wrong_in_flight():
    """A server that was right for a while: what it says then is read by nobody, and the next one is served."""
    text = """
seen = []
for i in range(12):
    try:
        c = Client.tcp(port)
        seen.append([c.ask('ECHO', i), c.ask('SELECT', i)])
        c.close()
    except (Gone, ConnectionError):
        seen.append('gone')
wrong = [one for i, one in enumerate(seen) if one not in ('gone', ['ECHO %d' % i, 'SELECT %d' % i], ['+ECHO %d' % i, '+SELECT %d' % i])]
say(wrong, seen.count('gone'))
"""
    for name, answer in WRONG.items():
        with Fake(serve_late(answer, 4)) as server:
            outcome, n = run_logged(text, server.port)
            wrong, n_gone = outcome.text().rsplit(" ", 1) if outcome.status == 0 else (outcome.text(), 99)
            tally.expect("ahead, wrong answer, %s" % name, wrong == "[]" and int(n_gone) <= 1, "%s %s" % (outcome.text(), outcome.errors.decode()[-500:]))
            tally.expect("ahead, wrong answer, %s: was ahead" % name, n >= 1, n, in_time=True)


def test_pieces_in_flight():
    """The answer in two pieces, cut at each byte; and the end of the connection behind each byte of it."""
    for at in range(1, len(ANSWER)):
        def in_two(connection):
            connection.sendall(ANSWER[:at])
            time.sleep(0.001)
            connection.sendall(ANSWER[at:])

        def cut(connection):
            connection.sendall(ANSWER[:at])
            return True

        text = LOOP % WAYS["recv" if at % 2 else "edge"]
        with Fake(serve_late(in_two)) as server:
            same("ahead, cut at %d" % at, text, server.port)
        with Fake(serve_late(cut, 4)) as server:
            outcome, _ = run_logged("""
for i in range(12):
    try:
        seen = once('ECHO', i)
        once('SELECT', i)
    except (Gone, ConnectionError):
        seen = 'gone'
    if seen not in ('+ECHO %d' % i, 'ECHO %d' % i, 'gone', 'Gone', 'ConnectionResetError', 'BrokenPipeError'): say(i, seen)
say('done')
""", server.port)
            tally.expect("ahead, ends at %d" % at, outcome.output == b"done\n", outcome.text() + outcome.errors.decode()[-300:])


def test_pairs_in_flight():
    PAIRS.run("in flight", lambda: LateServer(Redis()), run_behind_fences(len(CASES) / 2), 0.9)
