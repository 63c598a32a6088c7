"""python_loop.py urllib|client|fresh|ideal PORT N: requests per second of a urllib.request loop, of http.client on one
kept connection, of http.client with a connection for each request, and of urllib.request with every dial answered at no
cost by one open connection: the rest is urllib's own time, which no pool outside the program can save."""
import http.client
import socket
import sys
import time
import urllib.request

kind, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def by_urllib():
    for _ in range(n):
        with urllib.request.urlopen("http://127.0.0.1:%d/bytes/1024" % port) as answer:
            assert len(answer.read()) == 1024


def by_client():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(n):
        connection.request("GET", "/bytes/1024")
        assert len(connection.getresponse().read()) == 1024


def by_fresh_client():
    for _ in range(n):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/bytes/1024", headers={"Connection": "close"})
        assert len(connection.getresponse().read()) == 1024
        connection.close()


def by_ideal():
    connected = socket.create_connection(("127.0.0.1", port))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    class Kept:
        def close(self):
            pass

        def setsockopt(self, *_):
            pass

        def __getattr__(self, name):
            return getattr(connected, name)

    request = http.client.HTTPConnection.request

    def without_close(self, method, url, body=None, headers=None, **rest):
        return request(self, method, url, body, {k: v for k, v in (headers or {}).items() if k != "Connection"}, **rest)

    socket.create_connection = lambda *_, **__: Kept()
    http.client.HTTPConnection.request = without_close
    by_urllib()


begin = time.monotonic()
{"ideal": by_ideal, "urllib": by_urllib, "client": by_client, "fresh": by_fresh_client}[kind]()
print(n / (time.monotonic() - begin))
