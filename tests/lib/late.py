"""A way to a server on which everything that comes back takes its time: connections are given out while something on them is
still to be answered."""
import socket
import threading
import time

from fake import reset
from pairs import run_logged
from suite import tally


class Late:
    """Forwards connections of a port of its own to another port; what the server sends comes so many seconds later, in
    order, the end too. Alive inside a with block."""

    def __init__(self, port, seconds):
        self.target, self.seconds = port, seconds

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for one in client, server:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ends = []
            for source, sink, seconds in (client, server, 0), (server, client, self.seconds):
                threading.Thread(target=self.forward, args=(source, sink, seconds, ends), daemon=True).start()

    @staticmethod
    def forward(source, sink, seconds, ends):
        how = None
        try:
            while data := source.recv(65536):
                time.sleep(seconds)
                sink.sendall(data)
        except OSError as error:
            how = error
        time.sleep(seconds)
        try:
            if how:
                reset(sink)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        ends.append(how)
        if how or len(ends) == 2:
            source.close()
            sink.close()


class LateServer:
    """A server for tests/lib/pairs.py at the end of such a way."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.__enter__()
        port, *others = self.server.arguments
        self.way = Late(int(port), 0.001).__enter__()
        self.arguments = str(self.way.port), *others
        self.n_connections = self.server.n_connections
        return self

    def __exit__(self, *error):
        self.way.__exit__(*error)
        self.server.__exit__(*error)


def run_behind_fences(least):
    """With reuse, of which so much is of connections whose fence was not answered."""
    def run(command, timeout, given):
        outcome = run_logged(command, True, timeout, given)
        n = sum("behind a fence" in line for line in outcome.log)
        tally.expect("pairs, in flight: behind fences", n > least, n, in_time=True)
        return outcome
    return run
