"""A server that answers a POST before it has read the body, and then reads it, reads it later, closes or resets: no
request is lost or comes twice, and none is answered otherwise than bare."""
import socket
import struct
import threading
import time

import harness

N = 30
CLIENT = """
import socket, sys, time
for i in range(%d):
    for is_post in True, False:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        if is_post:
            s.sendall(b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4\\r\\n\\r\\n")
            time.sleep(0.002)
            s.sendall(b"%%04d" %% i)
        else:
            s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert s.recv(4096).endswith(b"no\\n"), (i, is_post)
        s.close()
print("done")
""" % N


class Server:
    """`then`: what follows a body that has been read: read (nothing more), late (it sleeps before it reads), close,
    reset."""

    def __init__(self, then):
        self.then, self.bodies, self.gets = then, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    data += self.more(connection)
                head, _, data = data.partition(b"\r\n\r\n")
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n")
                if head.startswith(b"GET"):
                    self.gets += 1
                    continue
                time.sleep(0.005 if self.then == "late" else 0)
                while len(data) < 4:
                    data += self.more(connection)
                self.bodies.append(data[:4])
                data = data[4:]
                if self.then == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if self.then in ("close", "reset"):
                    return
        except OSError:
            pass
        finally:
            connection.close()

    @staticmethod
    def more(connection):
        piece = connection.recv(4096)
        if not piece:
            raise OSError("the end")
        return piece


def run(tally, preloaded):
    for then in "read", "late", "close", "reset":
        server = Server(then)
        outcome = harness.run([harness.python(), "-c", CLIENT, str(server.port)], preloaded, 40)
        # The last body may still be on its way.
        for _ in range(200):
            if len(server.bodies) >= N:
                break
            time.sleep(0.01)
        server.listener.close()
        tally.expect("an early answer: " + then, outcome.output == b"done\n" and server.gets == N and
                     sorted(server.bodies) == [b"%04d" % i for i in range(N)],
                     "%s GETs, bodies %s\n%s" % (server.gets, server.bodies, outcome.errors.decode()))
