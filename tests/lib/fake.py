"""A server whose every connection is a function of its own."""
import socket
import struct
import threading


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Fake:
    """Calls serve(connection, number) in a thread for each connection; then closes it. Alive inside a with block."""

    def __init__(self, serve):
        self.serve = serve
        self.n_connections = 0

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
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.run, args=(connection, self.n_connections), daemon=True).start()

    def run(self, connection, number):
        try:
            self.serve(connection, number)
        except OSError:
            pass
        finally:
            connection.close()
