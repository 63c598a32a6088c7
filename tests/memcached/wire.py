"""A client of memcached as small as can be: what is sent and read is what the test says."""
import socket
import struct


class Gone(Exception):
    """The server has ended the connection."""


def packet(opcode, key=b"", extras=b"", value=b"", opaque=7):
    """A request of the binary protocol."""
    body = extras + key + value
    return struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(body), opaque, 0) + body


class Client:
    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone()
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def ask(self, *lines):
        """Sends a command, and reads one line."""
        self.send(b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\r\n")
        return self.line()

    def until_end(self, command):
        """Sends a command, and reads lines until END or an error."""
        seen = [self.ask(command)]
        while seen[-1] != "END" and "ERROR" not in seen[-1]:
            seen.append(self.line())
        return seen

    def response(self):
        """One of the binary protocol: opcode, status, opaque, body."""
        _, opcode, _, _, _, status, length, opaque, _ = struct.unpack(">BBHBBHIIQ", self.exactly(24))
        return [opcode, status, opaque, self.exactly(length).decode("latin-1")]

    def ask_binary(self, *arguments, **more):
        self.send(packet(*arguments, **more))
        return self.response()

    def rest(self):
        """All until the end, and how it ends."""
        try:
            while True:
                self.fill()
        except Gone:
            how = "end"
        except ConnectionError:
            how = "reset"
        data, self.buffer = self.buffer, b""
        return data.decode("latin-1") + " " + how

    def close(self):
        self.socket.close()


def commands(connection):
    """For a server: the commands that come, each a line and its data."""
    data = b""
    while True:
        while b"\r\n" in data:
            line, rest = data.split(b"\r\n", 1)
            words = line.split()
            n = int(words[4]) + 2 if words and words[0] in (b"set", b"add") else 0
            if len(rest) < n:
                break
            data = rest[n:]
            yield line, rest[:n]
        more = connection.recv(65536)
        if not more:
            return
        data += more
