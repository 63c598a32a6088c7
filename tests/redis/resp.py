"""A client of Redis as small as can be: what is sent and read is what the test says. Numbers and ids that differ from
run to run are for the caller to hide."""
import socket


class Gone(Exception):
    """The server has ended the connection."""


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Client:
    def __init__(self, connected):
        self.socket = connected
        self.buffer = b""

    @classmethod
    def tcp(cls, port):
        connected = socket.socket()
        connected.connect(("127.0.0.1", port))
        return cls(connected)

    @classmethod
    def unix(cls, path):
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(path)
        return cls(connected)

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
        return line

    def exactly(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read(self):
        """One reply, or a push, as nested lists of (type, value)."""
        line = self.line()
        kind, rest = line[:1].decode(), line[1:]
        if kind in "$=!":
            n = int(rest)
            return kind + (" none" if n < 0 else " " + self.exactly(n + 2)[:-2].decode("latin-1"))
        if kind in "*~>":
            return [kind] + [self.read() for _ in range(max(int(rest), 0))]
        if kind == "%":
            return [kind] + [self.read() for _ in range(2 * int(rest))]
        return line.decode("latin-1")

    def ask(self, *words):
        self.send(encode(*words))
        return self.read()

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
    """The commands that come, each as a list of words; whole ones only."""
    data = b""
    while True:
        more = connection.recv(65536)
        if not more:
            return
        data += more
        while True:
            words, rest = take(data)
            if words is None:
                break
            data = rest
            yield words


def take(data):
    lines = data.split(b"\r\n")
    if not data.startswith(b"*") or len(lines) < 2:
        return None, data
    n = int(lines[0][1:])
    if len(lines) < 2 + 2 * n:
        return None, data
    return lines[2:2 + 2 * n:2], b"\r\n".join(lines[1 + 2 * n:])
