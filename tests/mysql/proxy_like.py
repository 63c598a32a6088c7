"""A server that answers a change of user at once, as ProxySQL and TiDB do, and notes each command that it gets."""
import socket
import struct
import threading

GREETING = b"\x0a8.0.11-proxy\0\7\0\0\0" + b"12345678\0" + b"\x0f\xa2\x2d\2\0\x08\0\x15" + bytes(10) + b"9abcdefghijk\0" + b"mysql_native_password\0"
OK = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"


def column(name):
    return b"\3def\0\0\0" + bytes([len(name)]) + name + b"\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0"


class ProxyLike:
    """Alive inside a with block. `commands`: those of all connections."""

    def __enter__(self):
        self.commands, self.n_connections = [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
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
            threading.Thread(target=self.serve, args=(client.makefile("rwb", 0),), daemon=True).start()

    def serve(self, file):
        def send(number, *payloads):
            for i, payload in enumerate(payloads):
                file.write(struct.pack("<I", len(payload))[:3] + bytes([number + i]) + payload)

        def receive():
            head = file.read(4)
            return file.read(int.from_bytes(head[:3], "little")) if len(head) == 4 else b""

        try:
            send(0, GREETING)
            receive()
            send(2, OK)
            while True:
                packet = receive()
                if not packet or packet[0] == 1:
                    return
                self.commands.append(packet[0])
                text = packet[1:]
                if packet[0] == 3 and text.startswith(b"SELECT '"):
                    send(1, b"\2", column(b"a"), column(b"b"), END, b"\x10" + text[8:24] + b"\0", END)
                elif packet[0] == 3 and text.lower().startswith(b"select"):
                    send(1, b"\1", column(b"a"), END, b"\1" + text[-1:], END)
                else:
                    send(1, OK)
        except OSError:
            pass
