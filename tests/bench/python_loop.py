"""python_loop.py urllib|client|fresh PORT N: requests per second of a urllib.request loop, of http.client on one kept connection, and of
http.client with a connection for each request."""
import http.client
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


begin = time.monotonic()
{"urllib": by_urllib, "client": by_client, "fresh": by_fresh_client}[kind]()
print(n / (time.monotonic() - begin))
