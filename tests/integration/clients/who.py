"""Asks which connection serves whom: each word of the command line is one request or one action; prints a line for each answer.

who.py PORT WORD...  where WORD is get, keep, post, head, slow (pauses 300 ms first), sleep=SECONDS, path=/PATH, option=LEVEL:NAME:VALUE (for
the sockets made from now on), late=LEVEL:NAME:VALUE (set after connecting), bind=ADDRESS, three (three at once), field=TEXT (sent with
every request from now on), to=ADDRESS, nobody (connects and closes), raw=TEXT (sends that, reads what comes in 200 ms).
"""
import re
import socket
import sys
import time


class State:
    port = int(sys.argv[1])
    address = "127.0.0.1"
    path = "/who"
    options, late, fields = [], [], []
    bind = None


def dial():
    connection = socket.socket(socket.AF_INET6 if ":" in State.address else socket.AF_INET)
    for option in State.options:
        connection.setsockopt(*option)
    if State.bind:
        connection.bind((State.bind, 0))
    connection.connect((State.address, State.port))
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
    elif name == "sleep":
        time.sleep(float(value))
    elif name == "path":
        State.path = value
    elif name == "bind":
        State.bind = value
    elif name == "to":
        State.address = value
    elif name == "field":
        State.fields = [value] if value else []
    elif name in ("option", "late"):
        setattr(State, "options" if name == "option" else "late", [tuple(map(int, value.split(":")))] if value else [])
    else:
        sys.exit("unknown word " + word)


for argument in sys.argv[2:]:
    do(argument)
