"""Between a program and a server: each byte on its own, or an end after so many bytes of the server's."""
import ctypes
import socket
import threading
import time

libc = ctypes.CDLL(None)


class Proxy:
    """Alive inside a with block. `chunk`: so many bytes at once, 0: as they come; `cut`: after so many bytes of the server's on a
    connection it ends, by a FIN or by an RST; `late`: what comes back takes so many seconds, and `change` is what it becomes."""

    def __init__(self, port, chunk=0, cut=None, by_reset=False, late=0, change=None):
        self.to, self.chunk, self.cut, self.by_reset, self.late, self.change = port, chunk, cut, by_reset, late, change
        self.n_connections = 0

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
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
            self.n_connections += 1
            server = socket.create_connection(("127.0.0.1", self.to))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, self.cut, self.late, self.change), daemon=True).start()

    def pump(self, source, sink, left, late=0, change=None):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                time.sleep(late)
                data = change(data) if change else data
                if left is not None and len(data) >= left:
                    sink.sendall(data[:left])
                    self.end(sink, source)
                    return
                left = left and left - len(data)
                step = self.chunk or len(data)
                for at in range(0, len(data), step):
                    sink.sendall(data[at:at + step])
        except OSError:
            self.end(sink, source)

    def end(self, *sockets):
        for one in sockets:
            try:
                if self.by_reset:
                    libc.connect(one.fileno(), bytes(16), 16)  # AF_UNSPEC; a close() would wait for the other thread
                else:
                    one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
