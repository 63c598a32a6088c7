"""A limit of connections to one server, and programs that meet it."""
import os
import subprocess

import harness
import broker_world


class Capped:
    """A server, and a broker's world in which there may be so many connections to it."""

    def __init__(self, cap, *options, **settings):
        self.world = broker_world.World(HOLDLINE_MAX_CONNS_PER_HOST=str(cap), **settings)
        self.server = harness.Server(*options)

    def __enter__(self):
        return self.world.__enter__(), self.server.__enter__()

    def __exit__(self, *_):
        self.server.__exit__()
        self.world.__exit__()


HOLDER = """
import socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET /sleep/60000 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    held.append(s)
print("held", flush=True)
sys.stdin.read()
"""


# The beginning of programs with a descriptor `s` whose connect() is queued. They print only what is wrong.
WAITING = """
import ctypes, errno, fcntl, os, select, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
port = int(sys.argv[1])
request = b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
def expect(what, got, wanted):
    if got != wanted:
        print(what, got, wanted)
def error_of(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
s = socket.socket()
s.setblocking(False)
expect("connect", s.connect_ex(("127.0.0.1", port)), errno.EINPROGRESS)
def request_file():
    file = os.memfd_create("request")
    os.write(file, request)
    return file
def request_pipe():
    ours, theirs = os.pipe()
    os.write(theirs, request)
    return ours
def poll_all(s, events=select.POLLIN | select.POLLOUT):
    poll = select.poll()
    poll.register(s, events)
    return poll.poll(8000)
def poll_in(s):
    expect("readable", poll_all(s, select.POLLIN), [(s.fileno(), select.POLLIN)])
def answer_on(s):
    poll_in(s)
    return s.recv(15)
def send_in_turn(send):
    # Tries until the connection is there; nothing else in this program asks for it.
    n_tries = 1
    while (result := error_of(send)) == "EAGAIN":
        n_tries += 1
        time.sleep(0.05)
    expect("sent", (result, n_tries > 1), (len(request), True))
    expect("answer", answer_on(s), b"HTTP/1.1 200 OK")
def await_turn():
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    expect("turn", poll.poll(8000), [(s.fileno(), select.POLLOUT)])
    expect("error", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
    expect("peer", s.getpeername(), ("127.0.0.1", port))
def exchange():
    s.settimeout(8)
    s.sendall(request)
    expect("answer", s.recv(15), b"HTTP/1.1 200 OK")
"""


def compile_to(folder, name, source):
    program = os.path.join(folder, name)
    subprocess.run([harness.CC, "-D_GNU_SOURCE", "-w", "-x", "c", "-", "-o", program], input=source.encode(), check=True)
    return program
