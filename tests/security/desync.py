"""A server that answers so that the next answer on its connection might be taken from what it sent before (response
splitting), and requests after which the next request might be taken for something else (request smuggling).

Every form is one request, after which another one must come on a connection of its own. The server itself notes what
came where.
"""
import socket
import threading
import time

OWN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\n"

# name: what is sent at once, what is sent while the connection is idle, the request's method. Forms that begin with
# "sound" have nothing wrong with them: a test in which they are not reused shows nothing.
ANSWERS = {
    "sound": (GOOD, b"", "GET"),
    "sound chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "sound interim": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD, b"", "GET"),
    "two answers": (GOOD + FORGED, b"", "GET"),
    "a second answer, later": (GOOD, FORGED, "GET"),
    "one byte too many": (GOOD + b"\n", b"", "GET"),
    "one byte too many, later": (GOOD, b"\r", "GET"),
    "a second interim answer, later": (GOOD, b"HTTP/1.1 100 Continue\r\n\r\n", "GET"),
    "an answer split by its own field": (OK + b"X: a\r\nContent-Length: 0\r\n\r\n" + FORGED, b"", "GET"),
    "two lengths": (OK + b"Content-Length: 5\r\nContent-Length: 44\r\n\r\nhello" + FORGED[:-5], b"", "GET"),
    "a length, and an empty one": (OK + b"Content-Length: 5\r\nContent-Length: \r\n\r\nhello", b"", "GET"),
    "two equal lengths": (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "a list of lengths": (OK + b"Content-Length: 5, 5\r\n\r\nhello", b"", "GET"),
    "a length with a sign": (OK + b"Content-Length: +5\r\n\r\nhello", b"", "GET"),
    "a negative length": (OK + b"Content-Length: -5\r\n\r\n" + FORGED, b"", "GET"),
    "a hexadecimal length": (OK + b"Content-Length: 0x5\r\n\r\nhello", b"", "GET"),
    "a length beyond 64 bits": (OK + b"Content-Length: 18446744073709551621\r\n\r\nhello", b"", "GET"),
    "a length with a blank before the colon": (OK + b"Content-Length : 5\r\n\r\nhello", b"", "GET"),
    "a length on a folded line": (OK + b"X: y\r\n Content-Length: 9\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "a length behind a bare CR": (OK + b"X: y\rContent-Length: 50\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "a NUL in a field": (OK + b"X: \0\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "lines that end with LF": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"", "GET"),
    "length and chunks": (OK + b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "chunks, then another coding": (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "an unknown coding": (OK + b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "chunks in HTTP/1.0": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "a chunk that is longer than it says": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "a chunk size beyond 64 bits": (OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "a chunk size with a sign": (OK + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "a chunk extension with an LF": (OK + b"Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", b"", "GET"),
    "204 with a body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n" + FORGED, b"", "GET"),
    "304 with a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + FORGED, b"", "GET"),
    "a body for HEAD": (GOOD, b"", "HEAD"),
    "no body for HEAD, then an answer": (OK + b"Content-Length: 44\r\n\r\n" + FORGED, b"", "HEAD"),
    "an interim answer with a body": (b"HTTP/1.1 100 Continue\r\nContent-Length: 44\r\n\r\n" + FORGED, b"", "GET"),
    "101 nobody asked for": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + FORGED, b"", "GET"),
    "HTTP/0.9": (b"hello", b"", "GET"),
    "an old version": (b"HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "a version to come": (b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"", "GET"),
    "blank lines before it": (b"\r\n\r\n" + GOOD, b"", "GET"),
}

LENGTH = "Content-Length: 5\r\n"
CHUNKS = "Transfer-Encoding: chunked\r\n"
# name: fields and body of a POST. The server answers each as if all were well, and keeps the connection.
REQUESTS = {
    "sound": (LENGTH, "hello"),
    "length and chunks": (LENGTH + CHUNKS, "5\r\nhello\r\n0\r\n\r\n"),
    "two lengths": (LENGTH + "Content-Length: 50\r\n", "hello"),
    "two equal lengths": (LENGTH + LENGTH, "hello"),
    "a length with a sign": ("Content-Length: +5\r\n", "hello"),
    "a blank before the colon": ("Transfer-Encoding : chunked\r\n" + LENGTH, "hello"),
    "a vertical tab before the coding": ("Transfer-Encoding: \vchunked\r\n" + LENGTH, "hello"),
    "an unknown coding": ("Transfer-Encoding: xchunked\r\n" + LENGTH, "hello"),
    "chunks that are not last": ("Transfer-Encoding: chunked, identity\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    "chunked on a folded line": ("Transfer-Encoding:\r\n chunked\r\n" + LENGTH, "hello"),
    "chunked behind a bare LF": ("X: y\nTransfer-Encoding: chunked\r\n" + LENGTH, "hello"),
    "chunked behind a bare CR": ("X: y\rTransfer-Encoding: chunked\r\n" + LENGTH, "hello"),
    "chunked behind a NUL": ("X: y\0Transfer-Encoding: chunked\r\n" + LENGTH, "hello"),
    "a request behind the request": (LENGTH, "helloGET /smuggled HTTP/1.1\r\nX: "),
    "a body that never comes": ("Content-Length: 50\r\n", "hello"),
    "a chunk that never comes": (CHUNKS, "50\r\nhello"),
    "a bare LF behind a chunk's size": (CHUNKS, "5\nhello\r\n0\r\n\r\n"),
}

# Sends each request over a new connection, and prints what comes until the end or, for those that don't end, for a
# while. Goes on when the server has nothing more to send: before it connects again, or (WAITS_LATE) between that and
# the first byte. Where the server speaks first (IS_GREETED) it asks when that is there.
CLIENT = """
import os, select, socket, sys
def wait_for_server():
    with socket.socket(socket.AF_UNIX) as done:
        done.connect("\\0holdline-desync-" + sys.argv[1])
        done.recv(1)
for request in sys.argv[2:]:
    if "WAITS_LATE" not in os.environ:
        wait_for_server()
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    connection.settimeout(0.4)
    wait_for_server()
    if "IS_GREETED" in os.environ:
        select.select([connection], [], [], 2)
    connection.sendall(bytes(request, "latin1").replace(b"<NUL>", bytes(1)))
    answer = b""
    try:
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
    except OSError:
        pass
    connection.close()
    print(answer, flush=True)
"""


def first_requests():
    """name: the request, as the client's argument."""
    found = {}
    for name, (_, _, method) in ANSWERS.items():
        found["answer: " + name] = "%s /answer/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, list(ANSWERS).index(name))
    for name, (fields, body) in REQUESTS.items():
        found["request: " + name] = "POST /request HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s" % (fields.replace("\0", "<NUL>"), body)
    return found


OWN_REQUEST = "GET /own HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Server:
    """Alive inside a with block. `log`: what came, in order: (number of the connection, path). `greets`: it
    says something before it is asked."""

    def __init__(self, greets=False):
        self.greets = greets
        self.log = []
        self.n_busy = self.n_accepted = 0
        self.changes = threading.Condition()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.done = socket.socket(socket.AF_UNIX)
        self.done.bind("\0holdline-desync-%d" % self.port)
        self.done.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.tell_done, daemon=True).start()
        return self

    def __exit__(self, *_):
        for listener in self.listener, self.done:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def tell_done(self):
        while True:
            try:
                connection = self.done.accept()[0]
            except OSError:
                return
            with connection, self.changes:
                self.changes.wait_for(lambda: not self.n_busy, 5)
                connection.sendall(b"x")

    def change_busy(self, by):
        with self.changes:
            self.n_busy += by
            self.changes.notify_all()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.n_accepted += 1
            threading.Thread(target=self.serve, args=(connection, self.n_accepted), daemon=True).start()

    def serve(self, connection, number):
        connection.settimeout(2)
        # Without TCP_NODELAY the later bytes wait for an acknowledgement, and arrive after the next request.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                if self.greets:
                    connection.sendall(FORGED)
                while True:
                    request = connection.recv(65536)
                    if not request:
                        return
                    path = request.split(b" ")[1].decode() if b" " in request else ""
                    with self.changes:
                        self.log.append((number, path))
                    self.change_busy(1)
                    try:
                        self.answer(connection, path)
                    finally:
                        self.change_busy(-1)
                    if b"\r\nConnection: close\r\n" in request:
                        return
            except OSError:
                pass

    def answer(self, connection, path):
        if self.greets:
            time.sleep(0.015)
        if not path.startswith("/answer/"):
            connection.sendall(OWN)
            return
        at_once, later, _ = list(ANSWERS.values())[int(path[8:])]
        connection.sendall(at_once)
        if later:
            time.sleep(0.015)
            connection.sendall(later)
