"""Servers whose every byte a test decides."""
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

GET = r"send=GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
GET_KEPT = r"send=GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


class Scripted:
    """handler(connection, number) serves each connection in a thread, which are counted from 1. What it appends to `log`
    is the test's. An OSError of it is the connection's end."""

    def __init__(self, handler, wrap=None):
        self.handler, self.wrap, self.log, self.accepted = handler, wrap, [], 0
        self.threads = []

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection, self.accepted), daemon=True).start()

    def serve(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.wrap:
                connection = self.wrap(connection)
            with connection:
                self.handler(connection, number)
        except OSError as error:
            self.log.append(str(error))

    def stats(self):
        return {"connections": self.accepted, "requests": -1}

    def reset(self):
        self.accepted = 0
        self.log.clear()


def read_head(connection):
    """A request's head; b"" at the connection's end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def read_all(connection):
    """All bytes until the client's end."""
    text = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            return text
        text += piece


def answer(body, more=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), more, body)


def serve_kept(connection, body=b"0123456789"):
    """Like any server that keeps connections."""
    while True:
        head = read_head(connection)
        if not head:
            return
        closes = b"Connection: close" in head
        connection.sendall(answer(body, b"Connection: close     \r\n" if closes else b""))
        if closes:
            return


def echo(connection, *_):
    while True:
        piece = connection.recv(65536)
        if not piece:
            return
        connection.sendall(piece)


class Certificate:
    """Of a server's own; None inside where there is no openssl."""

    def __enter__(self):
        if not shutil.which("openssl"):
            return None
        self.folder = tempfile.mkdtemp(prefix="holdline-relay-")
        key, certificate = os.path.join(self.folder, "key"), os.path.join(self.folder, "certificate")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out",
                        certificate], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def __exit__(self, *_):
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)


def lie_in_wait(connection, seconds):
    """How many bytes have come by then, which stay there; waits so long for the first."""
    connection.settimeout(seconds)
    try:
        return len(connection.recv(65536, socket.MSG_PEEK))
    except TimeoutError:
        return 0
    finally:
        connection.settimeout(None)


def end_by(connection, kind):
    """"rst": so that the close to come is one."""
    if kind == "rst":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
