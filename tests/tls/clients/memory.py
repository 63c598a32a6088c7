"""An SSLObject over a socket, with a socket's calls."""
import ssl


class Memory:
    """`out` and `size` are how much is sent and received at once (-1: all there is)."""

    def __init__(self, plain, context, name, session=None):
        self.plain, self.incoming, self.outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.out, self.size = -1, 65536
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        self.step(self.tls.do_handshake)

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

    def __getattr__(self, name):
        return getattr(self.tls, name)
