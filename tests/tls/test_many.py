"""Many at once, and many in a row: threads, processes, few ports."""
import os

import harness
import network
import programs
import secure
import servers
from broker_world import World
from secure import ca, compare
from suite import tally

THREADS = os.path.join(programs.FOLDER, "threads_mixed.py")
CLOSES = os.path.join(programs.FOLDER, "http_client_closes.py")
# A line of each process, since what they print is mixed.
CURLS = 'for i in $(seq %d); do echo "$2$((i %% 50))"; done | xargs -P %d -I URL curl -sS --cacert "$1" -o /dev/null -w "%%{http_code} %%{size_download}\\n" URL | sort'


def test_threads():
    """Threads with different settings, GETs and POSTs, at once."""
    n = 100 if harness.HEAVY else 7
    with servers.TlsServer() as server:
        urls = [server.url(path) for path in ("/bytes/10", "/bytes/20000", "/chunked/3000", "/204", "/bytes/0")]
        compare("12 threads", server, [harness.PYTHON, THREADS, ca(), "12", str(n), *urls], timeout=120, reuses=True)
    with servers.TlsServer("--requests=3") as server:
        compare("12 threads, the server closes after three", server, [harness.PYTHON, THREADS, ca(), "12", str(n), server.url("/bytes/10")], timeout=120)
    with servers.TlsServer("--idle=0.02") as server:
        compare("12 threads, the server closes when idle", server, [harness.PYTHON, THREADS, ca(), "12", str(n), server.url("/bytes/10")], timeout=120)


def test_processes():
    """curls, eight at once. Each takes a kept connection, or leaves one."""
    n = 200 if harness.HEAVY else 64
    with servers.TlsServer() as server:
        pair = compare("%d curls, 8 at once" % n, server, ["sh", "-c", CURLS % (n, 8), "sh", ca(), server.url("/bytes/")], 24, timeout=120)
    tally.expect("%d curls: requests" % n, pair.stats["requests"] == n, secure.counted(pair.stats))


def test_many_gnutls():
    """GnuTLS: threads, wgets eight at once, and such as are killed in the midst."""
    n = 100 if harness.HEAVY else 32
    with servers.TlsServer() as server:
        command = programs.built("gnutls_ways", ("-lgnutls", "-lpthread"))(ca(), [server.url("/bytes/%d" % size) for size in (10, 20, 30, 10, 20, 30)])
        line = '"$@" | grep -o "[0-9]* of them\\|end -*[0-9]*" | sort'
        compare("threads of GnuTLS", server, ["sh", "-c", line, "sh", command[0], "threads", *command[1:]], reuses=True)
        line = ('for i in $(seq %d); do echo "$2$((i %% 50))"; done | '
                'xargs -P 8 -I URL sh -c \'wget -q -O - --ca-certificate="$0" URL | wc -c\' "$1" | sort')
        compare("%d wgets, 8 at once" % n, server, ["sh", "-c", line % n, "sh", ca(), server.url("/bytes/")], reuses=True)
    with servers.TlsServer("--slow=5") as server:
        line = ('for i in $(seq %d); do timeout -s KILL 0.0$((i %% 9 + 1)) wget -q -O /dev/null --ca-certificate="$1" "$2"; done; '
                'for i in 1 2 3; do wget -q -O - --ca-certificate="$1" "$3"; done')
        command = ["sh", "-c", line % n, "sh", ca(), server.url("/bytes/30000"), server.url("/bytes/10")]
        pair = secure.run_pair(server, command, timeout=120)
        tally.expect("wgets that are killed", pair.subject.output.endswith(b"10 of them" * 3), pair.text())


def test_loop():
    """One process after the other: one connection, one handshake."""
    n = 200 if harness.HEAVY else 20
    with servers.TlsServer() as server:
        compare("a loop of %d curls" % n, server, ["sh", "-c", CURLS % (n, 1), "sh", ca(), server.url("/bytes/")], 1, timeout=120)


# How many bytes came, or curl's words.
CURL_LOOP = 'for i in $(seq $3); do curl -sS --cacert "$1" -o /dev/null -w "%{size_download} bytes\\n" "$2" 2>&1; done | sort | uniq -c | sed "s/^ *//"'
NO_PORT = "Cannot assign requested address"
# Name: a command, to which CA, URL and a number of requests are added; how many there are of ports and of requests;
# what it says where no port is left.
FEW_PORTS = {
    "http.client": ([harness.PYTHON, CLOSES], 64, 1000, NO_PORT),
    "urllib": ([harness.PYTHON, os.path.join(programs.FOLDER, "urllib_many.py")], 64, 1000, NO_PORT),
    "loop of curl": (["sh", "-c", CURL_LOOP, "sh"], 24, 60, "Couldn't connect to server"),
}


def with_few_ports(version):
    """In a namespace of its own: for each, [what was printed, connections], bare and with reuse."""
    found, first = [], 40000
    for command, n_ports, n, _ in FEW_PORTS.values():
        for run in (lambda _, command: harness.run(command, False, 120), lambda world, command: secure.start_subject(world, command, 120)):
            network.set_ports(first, first + n_ports - 1, tcp_tw_reuse=0)
            first += n_ports
            # Without its alert: one that meets a closed socket ends the client's TIME_WAIT.
            with servers.TlsServer("--abrupt", "--linger", "--max=" + version) as server, World() as world:
                outcome = run(world, [*command, ca(), server.url("/bytes/10", "127.0.0.1"), str(n)])
                found.append([outcome.output.decode(), outcome.errors.decode(), server.stats()["connections"]])
    return found


def test_ports():
    """Few ports, and clients that close first."""
    if os.geteuid() != 0:
        tally.skip("few ports", "needs root")
        return
    for version in "1.3", "1.2":
        found = network.Inside(with_few_ports, version).result()
        for (name, (_, _, n, words)), bare, subject in zip(FEW_PORTS.items(), found[::2], found[1::2]):
            title = "few ports, TLS %s: %s" % (version, name)
            tally.expect(title + ": bare fails", words in bare[0], str(bare))
            tally.expect(title, subject[0] == "%d 10 bytes\n" % n, str(subject), "%d connections" % subject[2])
