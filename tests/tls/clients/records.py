"""Requests by Python's ssl, of which it prints each piece: records.py WAY CA URL... WAY: `plain`; `update`: new keys for
what is sent, before, within and behind the request (RFC 8446 4.6.3); `ask`: ... and for what is received; `pieces`: the
records are carried by the program, a few bytes at a time; `fork`: a child has the connection for a moment.
"""
import os
import socket
import ssl
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import key_update

WAY, CA, URLS = sys.argv[1], sys.argv[2], sys.argv[3:]
UPDATES = {"update": key_update.NOT_REQUESTED, "ask": key_update.REQUESTED}


class Pieces:
    """An SSLObject over a socket: so that what it has to say goes out in small pieces, and comes in likewise."""

    def __init__(self, plain, context, name):
        self.plain, self.incoming, self.outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.out, self.size = 65536, 65536
        self.step(self.tls.do_handshake)
        self.out, self.size = 7, 11

    def step(self, call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.plain.recv(self.size)
                self.incoming.write(piece) if piece else self.incoming.write_eof()
            finally:
                self.flush()

    def flush(self):
        while self.outgoing.pending:
            self.plain.sendall(self.outgoing.read(self.out))

    def sendall(self, text):
        self.step(lambda: self.tls.write(text))

    def recv(self, size):
        try:
            return self.step(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""


def get(url):
    parts = urllib.parse.urlsplit(url)
    context, came = ssl.create_default_context(cafile=CA), set()
    if WAY == "fork":  # Python 3.11 asks OpenSSL to look away where no alert comes before the end
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if WAY == "ask":
        context._msg_callback = lambda *words: came.add(words[1:2] + words[4:5])
    with socket.create_connection((parts.hostname, parts.port)) as plain:
        if WAY == "pieces":
            tls = Pieces(plain, context, parts.hostname)
        else:
            tls = context.wrap_socket(plain, server_hostname=parts.hostname, suppress_ragged_eofs=False)
        for text in "GET %s HTTP/1.1\r\nHost: x\r\n" % parts.path, "Connection: close\r\n\r\n":
            if WAY in UPDATES:
                key_update.request(tls, UPDATES[WAY])
            tls.sendall(text.encode())
        if WAY == "fork":
            os.waitpid(os.fork() or os._exit(0), 0)
        is_answered = False
        while True:
            piece = tls.recv(65536)
            if not piece:
                break
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            if WAY in UPDATES and not is_answered:
                key_update.request(tls, UPDATES[WAY])
                key_update.send(tls)
            is_answered = True
        if WAY == "ask":
            print("\nnew keys: %s" % any(way == "read" and getattr(message, "name", "") == "KEY_UPDATE" for way, message in came))
        if WAY != "pieces":
            tls.close()


for url in URLS:
    try:
        get(url)
    except OSError as error:
        # Without a line of _ssl.c.
        print("\n%s: %s" % (type(error).__name__, str(error).split(" (_ssl")[0]))
    sys.stdout.flush()
