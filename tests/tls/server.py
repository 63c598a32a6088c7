#!/usr/bin/env python3
"""An HTTPS server that counts: connections, handshakes, those that were resumed, requests. It keeps connections, as
HTTP/1.1 says, and serves each by a thread.

Prints its port, and that of its control, which speaks HTTP: /stats, /reset, /set?certificate=NAME (for the handshakes
to come), /close (ends all connections that are idle). Ends when its standard input does. See --help. Groups are
OpenSSL's own setting: OPENSSL_CONF.
"""
import argparse
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import key_update

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NO_EXTENDED_MASTER_SECRET = 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET
COUNTED = "connections", "handshakes", "resumed", "failed", "requests", "posts", "closed", "with_certificate", "notified", "cut", "updated"


def pattern(size):
    """Bytes that tell sizes and positions apart."""
    line = b"%d of them. " % size
    return (line * (size // len(line) + 1))[:size]


def let_end(plain):
    """What the client has sent meanwhile does not reset the connection before it has read why this ends."""
    with plain:
        plain.settimeout(1)
        try:
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(65536):
                pass
        except OSError:
            pass


class Counters:
    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        with self.lock:
            self.values = dict.fromkeys(COUNTED, 0)

    def count(self, name):
        with self.lock:
            self.values[name] += 1


class Server:
    def __init__(self, options):
        self.options, self.counters = options, Counters()
        self.idle, self.lock = set(), threading.Lock()
        if options.also:
            self.use_certificate(options.also)
            self.other_context = self.context
        self.use_certificate(options.certificate)

    def take_context(self):
        """For one connection more: where there are two certificates, they take turns."""
        context = self.context
        if self.options.also:
            with self.lock:
                self.context, self.other_context = self.other_context, self.context
        return context

    def use_certificate(self, name):
        options = self.options
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[options.min]
        context.maximum_version = VERSIONS[options.max]
        context.load_cert_chain(os.path.join(options.folder, name + ".pem"), os.path.join(options.folder, name + ".key"))
        if options.ciphers:
            context.set_ciphers(options.ciphers)
        if options.dh:
            context.load_dh_params(options.dh)
        if options.no_tickets:
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        if options.no_ems:
            context.options |= NO_EXTENDED_MASTER_SECRET
        if options.alpn:
            context.set_alpn_protocols(options.alpn.split(","))
        if options.ask or options.require or options.ask_later:
            context.load_verify_locations(os.path.join(options.folder, "ca.pem"))
            context.verify_mode = ssl.CERT_REQUIRED if options.require else ssl.CERT_OPTIONAL
            context.post_handshake_auth = options.ask_later
        if options.count_updates:
            context._msg_callback = self.count_update
        self.context = context

    def count_update(self, _connection, direction, _version, _content, message, _data):
        """New keys of the client's (debugging only, says Lib/ssl.py)."""
        if direction == "read" and getattr(message, "name", "") == "KEY_UPDATE":
            self.counters.count("updated")

    def listen(self):
        """On both loopback addresses, at one port."""
        if self.options.any:
            listener = socket.create_server(("0.0.0.0", self.options.port), backlog=1024)
            return listener.getsockname()[1], [listener]
        for _ in range(100):
            first = socket.create_server(("127.0.0.1", self.options.port), backlog=1024)
            port = first.getsockname()[1]
            try:
                second = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=1024)
            except OSError as error:
                if error.errno == 98 and not self.options.port:
                    first.close()
                    continue
                return port, [first]
            return port, [first, second]
        raise OSError("no port is free")

    def accept(self, listener):
        while True:
            plain, _ = listener.accept()
            self.counters.count("connections")
            if self.options.one_at_a_time:
                self.serve(plain)
            else:
                threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(30)
        time.sleep(self.options.slow_hello / 1000)
        rest = plain.dup()
        try:
            connection = self.take_context().wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        except OSError:
            self.counters.count("failed")
            plain.close()
            let_end(rest)
            return
        rest.close()
        self.counters.count("handshakes")
        if connection.session_reused:
            self.counters.count("resumed")
        if connection.getpeercert(True):
            self.counters.count("with_certificate")
        try:
            Connection(self, connection).serve()
        except OSError:
            pass
        self.counters.count("closed")
        connection.close()

    def close_idle(self):
        with self.lock:
            for connection in list(self.idle):
                connection.end()


class Connection:
    def __init__(self, server, connection):
        self.server, self.connection, self.buffer = server, connection, b""

    def fill(self):
        """Ends of the client are counted by whether it has announced them (RFC 8446 6.1)."""
        try:
            piece = self.connection.recv(65536)
        except (ssl.SSLEOFError, ConnectionResetError):
            piece = None
        if not piece:
            self.server.counters.count("cut" if piece is None else "notified")
            return b""
        self.buffer += piece
        return piece

    def read_head(self):
        with self.server.lock:
            self.server.idle.add(self)
        try:
            while b"\r\n\r\n" not in self.buffer:
                if self.buffer:
                    with self.server.lock:
                        self.server.idle.discard(self)
                if not self.fill():
                    return None
        finally:
            with self.server.lock:
                self.server.idle.discard(self)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head.decode("latin-1").split("\r\n")

    def read_body(self, fields):
        if "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while True:
                while b"\r\n" not in self.buffer:
                    if not self.fill():
                        return body
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                size = int(line, 16)
                while len(self.buffer) < size + 2:
                    if not self.fill():
                        return body
                body, self.buffer = body + self.buffer[:size], self.buffer[size + 2:]
                if size == 0:
                    return body
        size = int(fields.get("content-length", 0))
        while len(self.buffer) < size:
            if not self.fill():
                break
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return body

    def end(self):
        """In order: an alert, then the end of the stream. The client's own alert is waited for only where its answer to
        new keys may come before it: bytes that nobody has read would make the end a reset."""
        options = self.server.options
        try:
            if not options.abrupt:
                self.connection.settimeout(1 if options.count_updates else 0.001)
                self.connection.unwrap()
        except (OSError, ValueError):  # or it has been ended before
            pass
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def misbehave(self, act):
        """What is no answer. False: nothing can follow on this connection."""
        descriptor = self.connection.fileno()
        if act == "stray":
            self.connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif act == "garbage":
            os.write(descriptor, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif act == "tampered":
            os.write(descriptor, b"\x17\x03\x03\x00\x30" + bytes(48))
        elif act == "half":
            os.write(descriptor, b"\x17\x03\x03\x00\x30" + bytes(10))
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
        elif act == "notify":  # the alert, and no end of the stream
            self.connection.settimeout(0.001)
            try:
                self.connection.unwrap()
            except (OSError, ValueError):
                pass
            time.sleep(2)
            return False
        elif act == "end":
            self.end()
            return False
        elif act == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif act == "silent-end":
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
            return False
        elif act == "update":
            key_update.request(self.connection, key_update.REQUESTED)
            key_update.send(self.connection)
            return True
        return act == "stray"

    def serve(self):
        options = self.server.options
        for number in range(1, options.requests + 1 if options.requests else 1 << 30):
            if number > 1 and options.idle:
                self.connection.settimeout(options.idle)
            try:
                head = self.read_head()
            except TimeoutError:
                break
            if not head:
                break
            self.connection.settimeout(30)
            method, target, version = head[0].split(" ")
            fields = {key.strip().lower(): value.strip() for key, value in (line.split(":", 1) for line in head[1:])}
            if fields.get("expect", "").lower() == "100-continue":
                self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self.read_body(fields)
            if number > 1 and options.on_second and not self.misbehave(options.on_second):
                return
            self.server.counters.count("requests")
            if method not in ("GET", "HEAD", "OPTIONS"):
                self.server.counters.count("posts")
            wish = fields.get("connection", "").lower()
            closes = "close" in wish or (version == "HTTP/1.0" and "keep-alive" not in wish) or number == options.requests
            time.sleep(options.slow / 1000)
            if not self.answer(method, urllib.parse.urlsplit(target).path, body, fields, closes, version) or closes:
                break
            if options.when_idle:
                time.sleep(0.005)
                if not self.misbehave(options.when_idle):
                    time.sleep(1)
                    return
        if options.linger:
            self.connection.settimeout(1)
            while self.fill():
                pass
            # Behind its alert: whoever sends the first end of file has it in TIME_WAIT.
            socket.socket.recv(self.connection, 1)
        self.end()

    def send(self, body, closes, status="200 OK", more="", head_only=False, in_pieces=0, length=None):
        text = "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n%s%s\r\n" % (
            status, len(body) if length is None else length, more, "Connection: close\r\n" if closes else "")
        if in_pieces:
            self.connection.sendall(text.encode())
            for at in range(0, len(body), in_pieces):
                time.sleep(0.01)
                self.connection.sendall(body[at:at + in_pieces])
        else:
            self.connection.sendall(text.encode() + (b"" if head_only else body))
        return True

    def answer(self, method, path, body, fields, closes, version):
        """False: that was the last."""
        parts = path.strip("/").split("/")
        head_only, kind = method == "HEAD", parts[0]
        if kind == "bytes":
            return self.send(pattern(int(parts[1])), closes, head_only=head_only)
        if kind == "pieces":
            return self.send(pattern(int(parts[1])), closes, in_pieces=max(1, int(parts[1]) // 5))
        if kind == "chunked":
            text = pattern(int(parts[1]))
            self.connection.sendall(("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n" % ("Connection: close\r\n" if closes else "")).encode())
            for at in range(0, len(text), 1000):
                piece = text[at:at + 1000]
                self.connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.connection.sendall(b"0\r\n\r\n")
            return True
        if kind == "updates":  # new keys in the midst: unasked, asked for, and both at once
            text = pattern(int(parts[1]))
            third = len(text) // 3
            self.send(text[:third], closes, length=len(text))
            for at, kinds in (third, [key_update.NOT_REQUESTED]), (2 * third, [key_update.REQUESTED, key_update.NOT_REQUESTED]):
                for each in kinds:
                    key_update.request(self.connection, each)
                    key_update.send(self.connection)
                self.connection.sendall(text[at:at + third])
            self.connection.sendall(text[3 * third:])
            return True
        if kind == "broken":  # half of an answer, then what is none
            self.send(pattern(50), closes, length=100)
            return self.misbehave(parts[1])
        if kind == "204":
            self.connection.sendall(("HTTP/1.1 204 No Content\r\n%s\r\n" % ("Connection: close\r\n" if closes else "")).encode())
            return True
        if kind == "304":
            self.connection.sendall(("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n%s\r\n" % ("Connection: close\r\n" if closes else "")).encode())
            return True
        if kind == "no-length":
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + pattern(int(parts[1])))
            return False
        if kind == "echo":
            return self.send(body, closes)
        if kind == "redirect":
            return self.send(b"", closes, "302 Found", "Location: /%s\r\n" % "/".join(parts[1:]))
        if kind == "sleep":
            time.sleep(int(parts[1]) / 1000)
            return self.send(b"slept\n", closes)
        if kind == "later" and self.server.options.ask_later:  # asks for a certificate now
            self.connection.verify_client_post_handshake()
            return self.send(b"asked\n", closes)
        if kind == "repository.git":
            return self.answer_git("/".join(parts[1:]), closes)
        if path == "/":
            return self.send(pattern(100), closes, head_only=head_only)
        return self.send(b"there is no %s\n" % path.encode(), closes, "404 Not Found", head_only=head_only)

    def answer_git(self, file, closes):
        """As much of a repository as `git ls-remote` reads from a server that knows no git."""
        if file == "info/refs":
            return self.send(b"%s\trefs/heads/main\n" % (b"1234" * 10), closes)
        if file == "HEAD":
            return self.send(b"ref: refs/heads/main\n", closes)
        return self.send(b"", closes, "404 Not Found")


class Control(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        server = self.server.subject
        if url.path == "/reset":
            server.counters.reset()
        elif url.path == "/close":
            server.close_idle()
        elif url.path == "/set":
            server.use_certificate(urllib.parse.parse_qs(url.query)["certificate"][0])
        text = " ".join("%s=%d" % pair for pair in server.counters.values.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def parse():
    parser = argparse.ArgumentParser(description="An HTTPS server that counts.")
    parser.add_argument("folder", help="where the certificates are (make_certificates.py)")
    parser.add_argument("--certificate", default="ecdsa", metavar="NAME")
    parser.add_argument("--also", metavar="NAME", help="a second certificate, for every other connection")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--min", default="1.2", choices=VERSIONS)
    parser.add_argument("--max", default="1.3", choices=VERSIONS)
    parser.add_argument("--ciphers", help="those of TLS 1.2")
    parser.add_argument("--dh", metavar="FILE", help="parameters for DHE")
    parser.add_argument("--alpn", help="protocols, by commas")
    parser.add_argument("--no-tickets", action="store_true")
    parser.add_argument("--no-ems", action="store_true", help="no extended master secret")
    parser.add_argument("--ask", action="store_true", help="asks for a certificate of the client")
    parser.add_argument("--require", action="store_true", help="... and insists")
    parser.add_argument("--ask-later", action="store_true", help="asks when /later is requested (TLS 1.3)")
    parser.add_argument("--slow", type=float, default=0, metavar="MS", help="waits before each answer")
    parser.add_argument("--slow-hello", type=float, default=0, metavar="MS", help="waits before each handshake")
    parser.add_argument("--idle", type=float, default=0, metavar="SECONDS", help="closes connections that are idle so long")
    parser.add_argument("--requests", type=int, default=0, metavar="N", help="... and those that carried so many requests")
    acts = "stray", "garbage", "tampered", "half", "notify", "end", "reset", "silent-end", "update"
    parser.add_argument("--when-idle", choices=acts, help="after each answer on a connection that stays")
    parser.add_argument("--on-second", choices=acts, help="instead of the second answer on a connection")
    parser.add_argument("--count-updates", action="store_true", help="counts new keys of clients")
    parser.add_argument("--one-at-a-time", action="store_true", help="serves one connection after the other")
    parser.add_argument("--any", action="store_true", help="on all addresses of IPv4")
    parser.add_argument("--linger", action="store_true", help="lets clients close first, where they do within a second")
    parser.add_argument("--abrupt", action="store_true", help="ends connections without an alert")
    return parser.parse_args()


def main():
    server = Server(parse())
    control = HTTPServer(("0.0.0.0" if server.options.any else "127.0.0.1", 0), Control)
    control.subject = server
    threading.Thread(target=control.serve_forever, daemon=True).start()
    port, listeners = server.listen()
    for listener in listeners:
        threading.Thread(target=server.accept, args=(listener,), daemon=True).start()
    print(port, control.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
