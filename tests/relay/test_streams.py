"""Long bodies, slow readers and writers, and connections that are no HTTP."""
import shutil
import socket
import threading
import time

import harness
from relayed import Relay, build_go, client, compare, go, kill, memory_kib, needs, run_pair
from servers import GET, GET_KEPT, Certificate, Scripted, answer, echo, end_by, read_all, read_head
from suite import tally

MIB = 1 << 20
BIG = 100 * MIB
# What the kernel's buffers of four sockets hold, and the relay's own.
MOST_AHEAD = 48 * MIB
MOST_MEMORY_KIB = 32 * 1024


def send_big(connection, sent):
    piece = bytes(range(256)) * 1024
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    while sent[0] < BIG:
        sent[0] += connection.send(piece[:BIG - sent[0]])


def test_slow_reader():
    """100 MB to a program that reads a little of it, and pauses: the server must wait, and the relay keeps none of it."""
    sent = [0]
    with Scripted(lambda connection, _: read_head(connection) and send_big(connection, sent)) as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, GET, "quiet", "read=1000000", "hold", "read"))
        process.stdout.readline()
        process.stdout.readline()
        while True:
            before = sent[0]
            time.sleep(0.3)
            if sent[0] == before:
                break
        memory = sum(memory_kib(pid) for pid in world.pids())
        tally.expect("slow reader: the server waits", sent[0] < MOST_AHEAD, "%d MB were sent" % (sent[0] // MIB), "%d MB ahead" % (sent[0] // MIB))
        tally.expect("slow reader: the relay's memory", 0 < memory < MOST_MEMORY_KIB, "%d KiB" % memory, "%d KiB" % memory)
        output, _ = process.communicate(timeout=30)
    # What is left of the answer comes in one piece to the reader that goes on.
    tally.expect("slow reader: the rest", ("<%d bytes" % (BIG + 46 - 1000000)) in output and process.returncode == 0, output)


def test_reader_gone():
    """A program that closes in the midst of 100 MB: the server sees the end, and need not send them all."""
    sent = [0]
    with Scripted(lambda connection, _: read_head(connection) and send_big(connection, sent)) as server:
        pair = run_pair(server, client("block", "127.0.0.1", server.port, GET, "quiet", "read=1000", "close", "sleep=300"))
        ended = harness.wait_until(lambda: len(server.log) == 1)
        tally.expect("reader gone", pair.is_same() and ended and sent[0] < MOST_AHEAD, "%s %d\n%s" % (server.log, sent[0], pair.text()))


def test_reader_of_chunks_gone():
    """The same in chunks without end, each of which would be worth reading for the connection's sake."""
    sent = [0]

    def handler(connection, _):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"ea60\r\n%s\r\n" % bytes(60000))
            sent[0] += 60000
    with Scripted(handler) as server, Relay() as world:
        world.run(client("block", "127.0.0.1", server.port, GET, "quiet", "read=1000", "close", "sleep=300"))
        ended = harness.wait_until(lambda: len(server.log) == 1)
        tally.expect("reader of chunks gone", ended and sent[0] < MOST_AHEAD, "%s %d MB" % (server.log, sent[0] // MIB))


def test_slow_upload():
    """A server that reads nothing of an upload, for a while."""
    start, received = threading.Event(), []

    def handler(connection, _):
        read_head(connection)
        start.wait(10)
        n = 0
        while n < 20 * MIB:
            piece = connection.recv(1 << 20)
            if not piece:
                return
            n += len(piece)
        received.append(n)
        connection.sendall(answer(b"done"))
    if not needs("slow upload", build_go("client")):
        return
    with Scripted(handler) as server, Relay() as world:
        process = world.start(go("client", "-method", "POST", "-body", 20 * MIB, "http://127.0.0.1:%d/a" % server.port))
        time.sleep(0.7)
        memory = sum(memory_kib(pid) for pid in world.pids())
        start.set()
        output, _ = process.communicate(timeout=30)
    tally.expect("slow upload: memory", 0 < memory < MOST_MEMORY_KIB, "%d KiB" % memory, "%d KiB" % memory)
    tally.expect("slow upload", "200 OK" in output and received == [20 * MIB], "%s %s" % (output, received))


def test_parting():
    """A request whose program closes at once and reads no answer: it is done all the same, also where it has to wait for a new connection."""
    def handler(connection, _):
        while head := read_head(connection):
            if head.startswith(b"POST"):
                server.log.append(connection.recv(5))
            connection.sendall(answer(b"0123456789"))
    post = r"send=POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    with Scripted(handler) as server, Relay() as world:
        outcome = world.run(client("block", "127.0.0.1", server.port, "repeat=20", "connect", GET_KEPT, "read=49", "close", "connect", post, "close"))
        # The server's answer may find nobody any more and be reset, as it is bare: that it logs too.
        harness.wait_until(lambda: server.log.count(b"hello") >= 20)
        tally.expect("a last word", outcome.status == 0 and server.log.count(b"hello") == 20, "%s\n%s" % (server.log, outcome.text()))


def test_idle_end():
    """A server that ends idle connections, and programs that wait for that: behind an answer, and where they said nothing."""
    def handler(connection, _):
        connection.settimeout(0.5)
        while read_head(connection):
            connection.sendall(answer(b"0123456789"))
    for name, actions in (("behind an answer", [GET_KEPT, "read"]), ("behind two", [GET_KEPT, "read=49", "connect", GET_KEPT, "read"]),
                          ("nothing said", [GET, "read", "close", "connect", "read"])):
        for way in "block", "epoll":
            with Scripted(handler) as server:
                compare("an idle end, %s, %s" % (name, way), server, client(way, "127.0.0.1", server.port, *actions), timeout=8)

    # What the relay has kept has gone long before the server would have ended it.
    def later(connection, _):
        connection.settimeout(3)
        while read_head(connection):
            connection.sendall(answer(b"0123456789"))
    with Scripted(later) as server:
        compare("an idle end, later than ours", server, client("block", "127.0.0.1", server.port, GET_KEPT, "read"), timeout=15,
                options=["--pool=local", "--idle-conn-timeout=1s"])


def test_end_with_the_answer():
    """A server that ends its connection without a word, in the packet that ends its answer: a program that keeps its own sees that."""
    def handler(connection, _):
        read_head(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        connection.sendall(answer(b"0123456789"))
    for way in "block", "epoll":
        with Scripted(handler) as server:
            compare("an end with the answer, " + way, server, client(way, "127.0.0.1", server.port, "repeat=3", "connect", GET_KEPT, "read"), timeout=8)


def test_last_bytes():
    """No HTTP: the server's direction ends first, and it is slow to read what the program sends until it closes."""
    def handler(connection, _):
        connection.recv(5)
        connection.sendall(b"hi")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        total = 0
        while piece := connection.recv(65536):
            total += len(piece)
            time.sleep(0.008)
        server.log.append(total)
    with Scripted(handler) as server, Relay() as world:
        outcome = world.run(client("block", "127.0.0.1", server.port, "send=hello", "read", "repeat=320", "send=" + "x" * 65536))
        harness.wait_until(lambda: server.log, 20)
        tally.expect("the last bytes", outcome.status == 0 and server.log == [320 << 16], "%s\n%s" % (server.log, outcome.text()))


def test_server_waits_for_the_last_word():
    """A server that answers when it has read the program's end of file."""
    def handler(connection, _):
        read_all(connection)
        connection.sendall(answer(b"0123456789"))
    with Scripted(handler) as server:
        compare("a server that waits for the last word", server, client("block", "127.0.0.1", server.port, GET, "shut", "read"), timeout=10)


def test_reset_behind_the_last_word():
    """A server resets the connection in the midst of an answer, when the program has sent its end of file: that is no end of the answer."""
    def handler(connection, _):
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n01234")
        time.sleep(0.1)
        end_by(connection, "rst")
    for request in GET, "send=hello":
        with Scripted(handler) as server:
            compare("reset behind the last word, %s" % request[:9], server, client("block", "127.0.0.1", server.port, request, "shut", "read"))


def test_reset_of_an_upload():
    """A server resets the connection while bytes of an upload wait for it. The kernel tells that to the relay's next send, and not once more."""
    def handler(connection, _):
        read_head(connection)
        time.sleep(0.3)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n01234")
        end_by(connection, "rst")
    post = r"send=POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\n\r\n"
    with Scripted(handler) as server:
        compare("reset of an upload", server, client("block", "127.0.0.1", server.port, post, "repeat=320", "send=" + "x" * 65536))


def test_upload_from_the_queue():
    """An upload that waits for a connection, at the limit, and gets a kept one: all of it is sent."""
    post = r"send=POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"

    def handler(connection, _):
        while head := read_head(connection):
            if head.startswith(b"POST"):
                server.log.append(len(connection.recv(60000, socket.MSG_WAITALL)))
            else:
                time.sleep(0.5)
            connection.sendall(answer(b"0123456789"))
    with Scripted(handler) as server, Relay() as world:
        get, upload = (" ".join("'%s'" % word for word in client("block", "127.0.0.1", server.port, *actions, "read=49")) for actions in (
            [GET_KEPT], [post, *3 * ["send=" + "x" * 20000]]))
        outcome = world.run(["sh", "-c", "%s & sleep 0.2; exec %s" % (get, upload)], timeout=10, relay="always",
                            options=["--max-conns-per-host=1", "--unsafe-methods=reuse"])
    tally.expect("an upload from the queue", outcome.output.count(b"<49 bytes") == 2 and server.log == [60000] and server.accepted == 1, outcome.text())


def test_gone_before_the_dial():
    """Programs that send and close while their dial has not ended: the server has what was sent, and their places at the
    limit are free again."""
    with harness.Server() as server, Relay() as world:
        gone = "%s >/dev/null" % " ".join("'%s'" % word for word in client(
            "block", "127.0.0.1", server.port, "repeat=100", "connect", GET_KEPT, "close"))
        last = " ".join("'%s'" % word for word in client("block", "127.0.0.1", server.port, GET_KEPT, "read=100"))
        outcome = world.run(["sh", "-c", "%s & %s & %s & wait; %s" % (gone, gone, gone, last)], relay="always", options=["--max-conns-per-host=2"])
    tally.expect("gone before the dial ended", outcome.status == 0 and b"<100 bytes" in outcome.output, outcome.text()[-500:])


def test_big_both_ways():
    """Long bodies both ways at once, through a server that answers while it reads."""
    def handler(connection, _):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        left = 8 * MIB
        while left:
            piece = connection.recv(min(left, 65536))
            if not piece:
                return
            connection.sendall(piece)
            left -= len(piece)
    if needs("big both ways", build_go("client")):
        with Scripted(handler) as server:
            compare("big both ways", server, go("client", "-n", 2, "-method", "POST", "-body", 8 * MIB, "http://127.0.0.1:%d/a" % server.port))


def test_raw_exchanges():
    """Exchanges that a program writes by hand; each must look the same bare and relayed, by each way of connecting."""
    post = r"send=POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly the begin"
    expect = r"send=POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    cases = (
        ("an early answer", [post, "read"]),
        ("100-continue", [expect, "read=25", "send=body", "read"]),
        ("body in pieces", [r"send=POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\n", "sleep=30", "send=abc", "sleep=30", "send=def", "read"]),
        ("head in pieces", ["send=GE", "sleep=20", "send=T /bytes/10 HT", "sleep=20", r"send=TP/1.1\r\nHost: x\r\nConnection: close\r\n", "sleep=20", r"send=\r\n", "read"]),
        ("a chunked body by hand", [r"send=POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", r"send=4\r\nbody\r\n", "sleep=20",
                                    r"send=0\r\n\r\n", "read"]),
        ("upgrade", [r"send=GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", "read=72", "send=hello", "read=5", r"send=GET / HTTP/1.1\r\n\r\n",
                     "read=18", "shut", "read"]),
        ("half-close", [GET.replace("/a", "/bytes/50"), "shut", "read"]),
        ("half-close, kept", [r"send=GET /bytes/50 HTTP/1.1\r\nHost: x\r\n\r\n", "shut", "read"]),
        ("half-close in the request", [r"send=POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\nnot all", "shut", "read"]),
        ("http/1.0", [r"send=GET /bytes/50 HTTP/1.0\r\n\r\n", "read"]),
        ("http/1.0 kept", [r"send=GET /bytes/50 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "read=120"]),
        ("head, closed", [r"send=HEAD /bytes/50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "read"]),
        ("nothing", ["connect", "close"]),
        ("a reset", [GET, "reset"]),
        ("two in a row", [r"send=GET /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n", "read=80", r"send=GET /bytes/6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "read"]),
        ("readiness", [GET.replace("/a", "/bytes/10"), "sleep=100", "wait=0", "read", "wait=0"]),
        ("long lines", ["send=GET /" + "a" * 9000 + r" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "read"]),
        ("no HTTP", [r"send=PING\r\n\r\n", "wait=300"]),
        ("an empty line first", [r"send=\r\nGET /bytes/5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "read"]),
        ("bare line feeds", [r"send=GET /bytes/5 HTTP/1.1\nHost: x\nConnection: close\n\n", "wait=300"]),
    )
    with harness.Server() as server, Relay() as world:
        for name, actions in cases:
            for way in ("block", "poll", "epoll") if harness.HEAVY else ("block", "poll"):
                # The first is a connection to dial, the second may be one that was kept.
                compare("%s, %s" % (name, way), server, client(way, "127.0.0.1", server.port, *actions, "close", *actions), world=world)


def greet(connection, _):
    connection.sendall(b"220 ready\r\n")
    while True:
        line = b""
        while not line.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                return
            line += byte
        connection.sendall(b"221 bye\r\n" if line == b"QUIT\r\n" else b"250 " + line)
        if line == b"QUIT\r\n":
            return


def test_other_protocols():
    """No HTTP: the server speaks first, the client does, or nobody."""
    mail = ["read=11", r"send=HELO x\r\n", "read=12", r"send=QUIT\r\n", "read"]
    for name, handler, actions in (
            ("the server speaks first", greet, mail),
            ("an echo", echo, [r"send=\0\1binary", "read=8", "send=more", "read=4", "shut", "read"]),
            ("HTTP's first letters", echo, ["send=G", "read=1", "send=ET", "read=2", "send=X", "read=1", "shut", "read"]),
            ("all, then the answer", lambda connection, _: connection.sendall(b"%d bytes" % len(read_all(connection))), ["send=one", "send=two", "shut", "read"]),
            ("only a greeting", lambda connection, _: connection.sendall(b"hello and goodbye"), ["read"]),
            ("only an end", lambda connection, _: None, ["read"]),
            ("nobody speaks", lambda connection, _: connection.recv(1), ["wait=150", "close"])):
        for way in "block", "poll", "epoll":
            with Scripted(handler) as server:
                pair = compare("%s, %s" % (name, way), server, client(way, "127.0.0.1", server.port, *(["connect", *actions] * 3)), timeout=8)
                tally.expect("%s, %s: connections" % (name, way), pair.stats["connections"] in (3, pair.bare_stats["connections"]), pair.text())


def test_connect_without_request():
    """Programs that connect and close, as health checks do: the server sees each of them."""
    for number in 1, 10:
        with Scripted(lambda connection, _: server.log.append(read_all(connection))) as server, Relay() as world:
            outcome = world.run(client("block", "127.0.0.1", server.port, "repeat=%d" % number, "connect", "close"))
            harness.wait_until(lambda: len(server.log) >= number)
            tally.expect("connect() alone, %d times" % number, outcome.status == 0 and outcome.output == b"" and server.log == [b""] * number,
                         "%s %s" % (outcome.text(), server.log))


def test_tls():
    """TLS goes through untouched, and soon past the relay."""
    if not needs("TLS", build_go("client")):
        return
    with Certificate() as context:
        if not context:
            tally.skip("TLS", "openssl is not installed")
            return

        def handler(connection, _):
            while read_head(connection):
                connection.sendall(answer(b"secret"))
        with Scripted(handler, lambda connection: context.wrap_socket(connection, server_side=True)) as server:
            url = "https://127.0.0.1:%d/" % server.port
            compare("TLS", server, go("client", "-insecure", "-n", 10, url))
            compare("TLS, kept", server, go("client", "-insecure", "-keep", "-n", 10, url))
            compare("TLS, 8 at once", server, go("client", "-insecure", "-n", 40, "-c", 8, url))
            compare("TLS, refused certificate", server, go("client", "-n", 2, url))
            proxied(url)


def proxied(url):
    """The same through a proxy: CONNECT, and then TLS."""
    def proxy(connection, _):
        words = read_head(connection).split()
        host, port = words[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=forward, args=(other, connection))
            back.start()
            forward(connection, other)
            back.join(10)

    def forward(source, sink):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    with Scripted(proxy) as server:
        for more in [], ["-keep"]:
            pair = run_pair(server, go("client", "-insecure", "-n", 5, *more, "-proxy", "http://127.0.0.1:%d" % server.port, url))
            tally.expect("CONNECT %s" % " ".join(more), pair.is_same() and b"good 5" in pair.bare.output and
                         pair.stats["connections"] == pair.bare_stats["connections"], pair.text())


def test_http_proxy():
    """Requests to a proxy, with absolute addresses."""
    if not needs("an HTTP proxy", build_go("client")):
        return

    def proxy(connection, _):
        while True:
            head = read_head(connection)
            if not head:
                return
            connection.sendall(answer(head.split()[1], b"Connection: close     \r\n" if b"Connection: close" in head else
                                      b"Connection: keep-alive\r\n"))
            if b"Connection: close" in head:
                return
    with Scripted(proxy) as server:
        pair = run_pair(server, go("client", "-n", 10, "-proxy", "http://127.0.0.1:%d" % server.port, "http://far.example/%d"))
        tally.expect("an HTTP proxy", pair.is_same() and b"good 10" in pair.bare.output and pair.stats["connections"] == 1, pair.text())


def test_slow_program():
    """A program that takes its time between the parts of an exchange."""
    with harness.Server() as server:
        compare("slow program", server, client("block", "127.0.0.1", server.port, "connect", "sleep=400", GET.replace("/a", "/bytes/10"), "sleep=400", "read=20",
                                               "sleep=200", "read"), 1)


def test_two_readers():
    """A child has the connection, too: the end comes when both have closed."""
    bash = shutil.which("bash-static")
    if not needs("two readers", bash):
        return
    script = ("exec 3<>/dev/tcp/127.0.0.1/$1; printf 'GET /bytes/20 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; "
              "(read -r -u 3 line; echo \"child $line\"); while read -r -u 3 line; do echo \"parent $line\"; done")
    with harness.Server() as server:
        compare("two readers", server, [bash, "-c", script, "bash", str(server.port)])


def test_killed_writer():
    """A program that is killed in the midst of an upload: the server sees an end, not a complete request."""
    with Scripted(lambda connection, _: server.log.append(len(read_all(connection)))) as server, Relay() as world:
        process = world.start(client("block", "127.0.0.1", server.port, r"send=POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\npart", "name", "hold"))
        process.stdout.readline()
        time.sleep(0.1)
        kill(process)
        ended = harness.wait_until(lambda: server.log)
        tally.expect("killed in an upload", ended and (isinstance(server.log[0], str) or server.log[0] < 100), str(server.log))
        tally.expect("killed in an upload: the relay", world.are_gone(), str(world.processes()))


def test_silent_program():
    """stdin, stdout and stderr closed: nothing of the relay's comes out of them."""
    with harness.Server() as server, Relay() as world:
        outcome = harness.run(["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", *world.command(client("block", "127.0.0.1", server.port, GET, "read"))], False, 10,
                              **world.environment({}))
        requests = server.stats()["requests"]
    tally.expect("closed streams", outcome.status == 0 and requests == 1 and outcome.output == b"", "%d %s" % (requests, outcome.text()))
