"""A program that listens: connections to itself are its own business, those to the same port of other machines are not."""
import os

import harness
import network
from harness import PYTHON
from suite import tally

# Answers five requests of its own, and makes five to the server: prints how many connections it has accepted.
ASKER = """
import http.client, socket, sys, threading
listener = socket.create_server((sys.argv[1], 8080), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
n = 0
def serve():
    global n
    while True:
        s, _ = listener.accept()
        n += 1
        with s, s.makefile("rwb") as stream:
            while stream.readline().strip():
                while stream.readline().strip():
                    pass
                stream.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
                stream.flush()
threading.Thread(target=serve, daemon=True).start()
for host in sys.argv[2:]:
    for _ in range(5):
        connection = http.client.HTTPConnection(host, 8080)
        connection.request("GET", "/bytes/2")
        assert len(connection.getresponse().read()) == 2
        connection.close()
print(n)
"""


def beside(address, *hosts):
    """What the asker prints, and the connections of a server on another machine."""
    with network.Neighbour(1) as there, harness.Server("--any", "--port", "8080", prefix=there) as server:
        server.host = "10.78.1.2"
        outcome = harness.run([PYTHON, "-c", ASKER, address, *hosts], True)
        return outcome.text(), outcome.output.decode(), server.stats()["connections"]


def test_own_ports():
    if os.geteuid() != 0:
        tally.skip("own ports", "needs root")
        return
    for address, hosts in {"0.0.0.0": ["127.0.0.1", "10.78.1.1"], "::": ["::1", "::1"], "10.78.1.1": ["10.78.1.1", "10.78.1.1"]}.items():
        text, printed, connections = network.Inside(beside, address, *hosts, "10.78.1.2").result()
        tally.expect("own ports, at %s" % address, (printed, connections) == ("10\n", 1), "%d connections\n%s" % (connections, text))
