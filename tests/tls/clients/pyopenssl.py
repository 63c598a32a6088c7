"""pyOpenSSL, with a verify callback that refuses each third: pyopenssl.py CA URL... What the callback has seen is
printed once: one that refuses is asked again on a fresh connection."""
import socket
import sys
import urllib.parse

from OpenSSL import SSL


def connect(parts, number):
    def verify(_connection, certificate, error, depth, fine):
        seen.add("verify %d %d %d %s" % (depth, error, fine, certificate.get_subject().CN))
        if number % 3 == 2 and depth == 0:
            return False
        return bool(fine)
    seen = set()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(sys.argv[1])
    context.set_verify(SSL.VERIFY_PEER, verify)
    connection = SSL.Connection(context, socket.create_connection((parts.hostname, parts.port)))
    connection.set_tlsext_host_name(parts.hostname.encode())
    connection.set_connect_state()
    return connection, seen


for number, url in enumerate(sys.argv[2:]):
    parts = urllib.parse.urlsplit(url)
    connection, seen = connect(parts, number)
    try:
        connection.do_handshake()
        connection.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (parts.path, parts.netloc)).encode())
        answer = b""
        while True:
            try:
                answer += connection.recv(65536)
            except SSL.ZeroReturnError:
                break
        print(answer.split(b"\r\n\r\n", 1)[1])
        connection.shutdown()
    except SSL.Error as error:
        print("refused", error)
    print(sorted(seen))
    connection.close()
