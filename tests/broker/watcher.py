"""A server that notes how each of its connections ends."""
import errno
import socket
import threading
import time


class Watcher:
    """A server that answers each request's first read, then tells how the connection ends."""

    def __init__(self, stalls=False):
        self.stalls = stalls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                threading.Thread(target=self.serve, args=[self.listener.accept()[0]], daemon=True).start()
        except OSError:
            pass

    def serve(self, connection):
        end = "eof"
        try:
            while (request := connection.recv(4096)):
                if b"/stall" in request or b"POST" in request:
                    while self.stalls:
                        time.sleep(0.05)
                    continue
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlast\n")
        except OSError as error:
            end = errno.errorcode[error.errno]
        self.ends.append(end)
        connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stalls = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)
