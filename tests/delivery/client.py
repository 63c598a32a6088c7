"""A service: it makes COUNT requests, each over a connection of its own. usage: client.py PORT COUNT [--stay]"""
import signal
import socket
import sys

for _ in range(int(sys.argv[2])):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
        connection.sendall(b"GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if not answer.endswith(b"\r\n\r\n" + answer[-10:]):
        sys.exit("another answer: %r" % answer)
if "--stay" in sys.argv:
    with open(sys.argv[-1], "w") as file:
        file.write("done")
    signal.pause()
