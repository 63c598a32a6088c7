"""ssl.MemoryBIO over a blocking socket: memory_bio.py CA URL..."""
import socket
import ssl
import sys
import urllib.parse


def step(connection, incoming, outgoing, call):
    """Calls until it neither wants to read nor to write."""
    while True:
        try:
            result, error = call(), None
        except ssl.SSLWantReadError as want:
            result, error = None, want
        if outgoing.pending:
            connection.sendall(outgoing.read())
        if not error:
            return result
        piece = connection.recv(65536)
        if piece:
            incoming.write(piece)
        else:
            incoming.write_eof()


for url in sys.argv[2:]:
    parts = urllib.parse.urlsplit(url)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=sys.argv[1]).wrap_bio(incoming, outgoing, server_hostname=parts.hostname)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        step(connection, incoming, outgoing, tls.do_handshake)
        step(connection, incoming, outgoing, lambda: tls.write(
            ("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (parts.path, parts.netloc)).encode()))
        while True:
            try:
                piece = step(connection, incoming, outgoing, lambda: tls.read(65536))
            except ssl.SSLZeroReturnError:
                break
            if not piece:
                break
            sys.stdout.buffer.write(piece)
