"""What watches over all tests sees what it is there for."""
import os
import socket
import tempfile

import audit
import harness
import servers
import sniffer
from suite import tally

HELLO = bytes.fromhex(
    "16030100c4010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b0009000006"
    "736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3"
    "c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d000201010"
    "01c00024001")


def send(listener, pieces):
    with socket.create_connection(listener.getsockname()[:2]) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted, _ = listener.accept()
        with accepted:
            for piece in pieces:
                client.sendall(piece)
                accepted.recv(len(piece), socket.MSG_WAITALL)


def watch(*streams):
    with sniffer.Sniffer() as watcher, socket.create_server(("127.0.0.1", 0)) as listener:
        for pieces in streams:
            send(listener, pieces)
    return watcher.seen


def test_sniffer():
    if not sniffer.is_allowed():
        tally.skip("sniffer", "needs root")
        return
    other_share, other_random = HELLO.replace(HELLO[90:130], os.urandom(40)), HELLO[:11] + os.urandom(32) + HELLO[43:]
    tally.expect("sniffer: different", True, "")
    for name, streams, n_repeated in (
            ("a hello again", ([HELLO], [HELLO]), 2),
            ("in pieces", ([HELLO[:1], HELLO[1:7], HELLO[7:100], HELLO[100:]], [HELLO]), 0),
            ("the same random", ([HELLO], [other_share[:11] + HELLO[11:43] + other_share[43:]]), None),
            ("the same key share", ([HELLO], [other_random]), 1),
            ("twice in a stream, as after a retry", ([HELLO + HELLO], []), 0),
            ("no TLS", ([b"GET / HTTP/1.1\r\n\r\n"], [b"GET / HTTP/1.1\r\n\r\n"]), 0)):
        seen = watch(*streams)
        fine = len(seen["repeated"]) == n_repeated if n_repeated is not None else len(seen["repeated"]) >= 1
        tally.expect("sniffer: " + name, fine and not seen["dropped"] and seen["cut"] == (name == "in pieces"), str(seen))


def test_sniffer_counts():
    """Each handshake that a server counts, of several at once too."""
    if not sniffer.is_allowed():
        tally.skip("sniffer counts", "needs root")
        return
    with servers.TlsServer() as server, sniffer.Sniffer() as watcher:
        harness.run(["curl", "-sZ", "--cacert", servers.certificate("ca.pem"), "-H", "Connection: close"]
                    + ["-o", "/dev/null", server.url("/bytes/100000")] * 20, False, 30)
        stats = server.stats()
    tally.expect("sniffer counts", stats["handshakes"] == 20 and watcher.seen["hellos"] >= 20 and not watcher.seen["repeated"],
                 "%s, the sniffer %s" % (stats, watcher.seen))


def test_audit():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "audit")
        for name, text, n_repeated in (("fine", "a 01\na 02\nb 01\n", 0), ("a repeated one", "a 01\nb 01\na 01\n", 1), ("no pair", "a\n", 1)):
            with open(path, "w") as file:
                file.write(text)
            tally.expect("audit: " + name, len(audit.read(path)[2]) == n_repeated, str(audit.read(path)))
