"""Asks which connection serves whom: each word of the command line is one request or one action; prints a line for each
answer.

who.py PORT WORD... where WORD is get, keep, post, head, slow (pauses 300 ms first), sleep=SECONDS, path=/PATH,
option=LEVEL:NAME:VALUE (for the sockets made from now on), late=LEVEL:NAME:VALUE (set after connecting), bind=ADDRESS,
three (three at once), field=TEXT (sent with every request from now on), to=ADDRESS, nobody (connects and closes),
raw=TEXT (sends that, reads what comes in 200 ms), refused=CALL (tried on each socket from now on, before and after it
is connected; the kernel must refuse it each time), system (runs a command), fastopen (get by one sendto with
MSG_FASTOPEN), system-beside=SECONDS (another thread runs one that takes so long).
"""
import ctypes
import os
import re
import socket
import sys
import threading
import time


class State:
    port = int(sys.argv[1])
    address = "127.0.0.1"
    path = "/who"
    options, late, fields = [], [], []
    bind = None
    refused = None


LIBC = ctypes.CDLL(None, use_errno=True)
OTHER = bytes([socket.AF_INET, 0, 0, 9, 127, 0, 0, 9]) + bytes(8)
BEFORE, AFTER = 1, 2

# Each is given the descriptor.
REFUSED = {
    "fastopen": (BEFORE | AFTER, lambda fd: LIBC.setsockopt(fd, socket.IPPROTO_TCP, 30, b"", 0)),
    "fastopen-late": (AFTER, lambda fd: LIBC.setsockopt(fd, socket.IPPROTO_TCP, 30, b"\1\0\0\0", 4)),
    "zerocopy": (BEFORE | AFTER, lambda fd: LIBC.setsockopt(fd, socket.SOL_SOCKET, 60, b"", 0)),
    "filter": (BEFORE | AFTER, lambda fd: LIBC.setsockopt(fd, socket.SOL_SOCKET, 26, b"", 0)),
    "peek-offset": (BEFORE | AFTER, lambda fd: LIBC.setsockopt(fd, socket.SOL_SOCKET, 42, b"", 0)),
    "ulp": (BEFORE | AFTER, lambda fd: LIBC.setsockopt(fd, socket.IPPROTO_TCP, 31, b"no such", 7)),
    "zerocopy-receive": (BEFORE | AFTER, lambda fd: LIBC.getsockopt(fd, socket.IPPROTO_TCP, 35, b"\1" + bytes(39), b"\x28\0\0\0")),
    "shutdown-how": (BEFORE | AFTER, lambda fd: LIBC.shutdown(fd, 7)),
    "listen": (AFTER, lambda fd: LIBC.listen(fd, 5)),
    "connect-other": (AFTER, lambda fd: LIBC.connect(fd, OTHER, 16)),
    "connect-short": (BEFORE | AFTER, lambda fd: LIBC.connect(fd, OTHER, 2)),
    "connect-family": (BEFORE, lambda fd: LIBC.connect(fd, bytes([socket.AF_INET6]) + bytes(27), 28)),
    "bind": (AFTER, lambda fd: LIBC.bind(fd, OTHER, 16)),
    "signal": (BEFORE | AFTER, lambda fd: LIBC.fcntl(fd, 10, 1000)),
    "owner": (BEFORE | AFTER, lambda fd: LIBC.ioctl(fd, 0x8901, None)),
    "sendfile": (BEFORE | AFTER, lambda fd: LIBC.sendfile(fd, -1, None, 10)),
    "splice": (BEFORE | AFTER, lambda fd: LIBC.splice(-1, None, fd, None, 10, 0)),
    "stream": (BEFORE | AFTER, lambda fd: -1 if LIBC.fdopen(fd, b"nonsense") == 0 else 0),
    "seccomp": (BEFORE | AFTER, lambda fd: LIBC.prctl(22, 2, None, 0, 0)),
    "unshare": (BEFORE | AFTER, lambda fd: LIBC.unshare(0x400 | 1)),
}


def try_refused(connection, when):
    times, call = REFUSED.get(State.refused, (0, None))
    if times & when:
        assert call(connection.fileno()) == -1, State.refused


def dial():
    connection = socket.socket(socket.AF_INET6 if ":" in State.address else socket.AF_INET)
    for option in State.options:
        connection.setsockopt(*option)
    if State.bind:
        connection.bind((State.bind, 0))
    try_refused(connection, BEFORE)
    connection.connect((State.address, State.port))
    try_refused(connection, AFTER)
    for option in State.late:
        connection.setsockopt(*option)
    return connection


def ask(connection, method="GET", close="Connection: close\r\n"):
    fields = "".join(field + "\r\n" for field in State.fields)
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    connection.sendall(("%s %s HTTP/1.1\r\nHost: x\r\n%s%s%s\r\n" % (method, State.path, close, length, fields)).encode())


def finish(connection):
    answer = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            break
        answer += piece
    connection.close()
    who = re.search(rb"connection (\d+) request (\d+)", answer)
    print("connection %d request %d" % tuple(map(int, who.groups())) if who else answer[:12].decode("latin-1"), flush=True)


def finish_kept(connection):
    """Reads by length and closes first."""
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < 27:
        answer += connection.recv(65536)
    connection.close()
    print("connection %d request %d" % tuple(map(int, re.search(rb"connection (\d+) request (\d+)", answer).groups())), flush=True)


def do(word):
    name, _, value = word.partition("=")
    if name in ("get", "post", "head"):
        connection = dial()
        ask(connection, name.upper())
        finish(connection)
    elif name == "keep":
        connection = dial()
        ask(connection, close="")
        finish_kept(connection)
    elif name == "three":
        connections = [dial() for _ in range(3)]
        for connection in connections:
            ask(connection)
        for connection in connections:
            finish(connection)
    elif name == "nobody":
        dial().close()
    elif name == "raw":
        connection = dial()
        connection.sendall(value.encode().decode("unicode_escape").encode("latin-1"))
        connection.settimeout(0.2)
        try:
            print(connection.recv(12).decode("latin-1"), flush=True)
        except socket.timeout:
            print("silence", flush=True)
        connection.close()
    elif name == "fastopen":
        connection = socket.socket()
        request = ("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % State.path).encode()
        assert connection.sendto(request, 0x20000000, (State.address, State.port)) == len(request)
        finish(connection)
    elif name == "system":
        os.system("true")
    elif name == "system-beside":
        threading.Thread(target=os.system, args=("sleep " + value,), daemon=True).start()
        time.sleep(0.02)
    elif name == "sleep":
        time.sleep(float(value))
    elif name == "path":
        State.path = value
    elif name == "bind":
        State.bind = value
    elif name == "to":
        State.address = value
    elif name == "refused":
        State.refused = value
    elif name == "field":
        State.fields = [value] if value else []
    elif name in ("option", "late"):
        setattr(State, "options" if name == "option" else "late", [tuple(map(int, value.split(":")))] if value else [])
    else:
        sys.exit("unknown word " + word)


for argument in sys.argv[2:]:
    do(argument)
