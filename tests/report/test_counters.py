"""Programs count the same as servers and kernels, however the programs end."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import harness
import network
import pages
from harness import PYTHON
from suite import tally

GET = """
import os, socket, sys, urllib.request
url = sys.argv[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
get = lambda: opener.open(url).read()
"""


class Folder:
    """A folder of pages of a test's own."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="holdline-counting-")
        self.path = os.path.join(self.home.name, "stats")
        return self

    def __exit__(self, *_):
        self.home.cleanup()

    def run(self, command, preloaded=True, **extra):
        return harness.run(command, preloaded, 30, HOLDLINE_STATS=self.path, **extra)

    def python(self, text, *arguments, **extra):
        return self.run([PYTHON, "-c", GET + text, *map(str, arguments)], **extra)

    def counted(self, port=None):
        return {name: number for name, number in pages.read_folder(self.path, port).items() if number}


def expect(name, outcome, counted, **wanted):
    """Exactly these of the numbers that are named, and a program that ended well."""
    seen = {key: counted.get(key, 0) for key in wanted}
    tally.expect(name, seen == wanted and outcome.status == 0, "status %s, %s\n%s" % (outcome.status, counted, outcome.errors.decode()[-500:]))


def test_reuse():
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("for i in range(20): get()", server.url("/bytes/10"))
        expect("20 requests", outcome, folder.counted(server.port), connects=20, dialed=1, leased=19, reused=19, parked=20, active=0, idle=0)
        tally.expect("one file is left", os.listdir(folder.path) == ["total"], str(os.listdir(folder.path)))
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("get()\nopener.open(url, b'x=1').read()\nget()", server.url("/bytes/10"))
        expect("a POST moves on", outcome, folder.counted(server.port), connects=3, dialed=server.stats()["connections"], unsafe_method=1)


def test_probed():
    """A look is a connection that is closed without a request. One look changes nothing; where half of a call site's
    connects are looks, a kept connection that has answered one look is not used for the next."""
    look = "\nsocket.create_connection(('127.0.0.1', int(sys.argv[2]))).close()"
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("get(); get()" + look + "\nget(); get(); get()", server.url("/bytes/10"), server.port)
        expect("a look", outcome, folder.counted(server.port), connects=6, dialed=1, reused=5, parked=6, probed=0)
        tally.expect("a look: as many connections as counted", server.stats()["connections"] == 1, server.stats())
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("get()" + 3 * look + "\nget()\nget()", server.url("/bytes/10"), server.port)
        expect("probed", outcome, folder.counted(server.port), connects=6, dialed=4, reused=2, parked=4, probed=3, pool_full=1)
        tally.expect("probed: a request goes past them, and takes a place", server.stats()["connections"] == 2, server.stats())


LATE_CLOSER = """
import select, socket, sys
events, last = select.epoll(), None
for i in range(20):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", int(sys.argv[1])))
    events.register(s, select.EPOLLOUT)
    events.poll()
    events.modify(s, select.EPOLLIN)
    s.send(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    if last:
        last.close()
    while events.poll() and s.recv(4096):
        pass
    events.unregister(s)
    last = s
"""


def test_late_closer():
    """An event loop that closes a connection when it has opened the next: the first one has ended all the same."""
    with Folder() as folder, harness.Server() as server:
        outcome = folder.run([PYTHON, "-c", LATE_CLOSER, str(server.port)])
        expect("closes late", outcome, folder.counted(server.port), connects=20, dialed=1, reused=19)


def test_observe():
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("for i in range(10): get()", server.url("/bytes/10"), HOLDLINE_MODE="observe")
        expect("observe", outcome, folder.counted(server.port), connects=10, dialed=10, reusable=10, reused=0, parked=0)
        tally.expect("observe: as many connections as bare", server.stats()["connections"] == 10, server.stats())


def test_reasons():
    for path, why in ("/close-header", "server_close"), ("/http10", "http10"), ("/no-length", "no_framing"), \
            ("/two-lengths", "not_canonical"), ("/ntlm", "auth_bound"):
        for mode in "full", "observe":
            with Folder() as folder, harness.Server() as server:
                outcome = folder.run(["curl", "-s", "-o", "/dev/null", server.url(path)], HOLDLINE_MODE=mode)
                counted = folder.counted(server.port)
                tally.expect("%s: %s, %s" % (path, why, mode), counted.get(why) == 1 and outcome.status in (0, 22), counted)
    with Folder() as folder, harness.Server() as server:
        folder.run(["curl", "-sk", "-m", "1", "https" + server.url("/")[4:]])
        expect("https", harness.run(["true"], False), folder.counted(server.port), connects=1, dialed=1, tls_opaque=1)


NO_WAY = {
    "blocking": "s = socket.socket()\nprint(s.connect_ex((url, int(sys.argv[2]))))",
    "non-blocking, SO_ERROR": """import select
s = socket.socket(); s.setblocking(False); s.connect_ex((url, int(sys.argv[2]))); select.select([], [s], [], 5)
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))""",
    "non-blocking, connect again": """import select
s = socket.socket(); s.setblocking(False); s.connect_ex((url, int(sys.argv[2]))); select.select([], [s], [], 5)
print(s.connect_ex((url, int(sys.argv[2]))))""",
    "non-blocking, just closed": """import select
s = socket.socket(); s.setblocking(False); s.connect_ex((url, int(sys.argv[2]))); select.select([], [s], [], 5); s.close()""",
    "asyncio": """import asyncio
async def go():
    try: await asyncio.open_connection(url, int(sys.argv[2]))
    except ConnectionRefusedError: pass
asyncio.run(go())""",
}


def test_refused():
    port = harness.free_port()
    for name, text in NO_WAY.items():
        with Folder() as folder:
            outcome = folder.python(text, "127.0.0.1", port)
            expect("refused: " + name, outcome, folder.counted(port), connects=1, dialed=0, ECONNREFUSED=1, client_close=0)


def test_abandoned():
    """A backlog that is full: the handshake never ends."""
    with Folder() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        time.sleep(0.1)
        outcome = folder.python("""
s = socket.socket(); s.settimeout(0.3)
try: s.connect((url, int(sys.argv[2])))
except TimeoutError: pass
s.close()""", "127.0.0.1", port)
        expect("abandoned", outcome, folder.counted(port), connects=1, dialed=0, abandoned=1)
        for filler in fillers:
            filler.close()


def in_scarcity(home):
    network.set_ports(40000, 40019, tcp_tw_reuse=0)
    os.environ["HOME"] = home
    with harness.Server() as server:
        with Folder() as folder:
            folder.python("""
import http.client
for i in range(50):
    try:
        connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[2]))
        connection.request('GET', '/bytes/10'); connection.getresponse().read(); connection.close()
    except OSError: pass""", server.url("/bytes/10"), server.port, HOLDLINE_MODE="observe")
            return folder.counted(server.port)


def test_ports_run_out():
    try:
        counted = network.Inside(in_scarcity, tempfile.gettempdir()).result()
    except RuntimeError as error:
        if "unshare" not in str(error):
            raise
        tally.skip("ports run out", "namespaces are not allowed here")
        return
    tally.expect("ports run out", counted.get("connects") == 50 and counted.get("EADDRNOTAVAIL", 0) + counted.get("dialed", 0) == 50 and
                 counted["EADDRNOTAVAIL"] >= 30 and "port_waits" not in counted, counted)


def test_processes():
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("""
get()
if os.fork() == 0:
    get(); get()
    os._exit(0)
os.wait()
get()""", server.url("/bytes/10"))
        counted = folder.counted(server.port)
        expect("fork", outcome, counted, connects=4, dialed=server.stats()["connections"])
        tally.expect("fork: nobody counts for another", counted["dialed"] + counted.get("reused", 0) == 4, counted)
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("get()\nos.execvp('curl', ['curl', '-s', url, url])", server.url("/bytes/10"))
        expect("exec", outcome, folder.counted(server.port), connects=2, dialed=2)
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("get()\nimport subprocess\nsubprocess.run(['curl', '-s', url])\nget()", server.url("/bytes/10"))
        expect("a child", outcome, folder.counted(server.port), connects=3, dialed=2, reused=1)
    with Folder() as folder, harness.Server() as server:
        outcome = folder.python("""
import threading
threads = [threading.Thread(target=lambda: [get() for i in range(50)]) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()""", server.url("/bytes/10"))
        counted = folder.counted(server.port)
        expect("8 threads", outcome, counted, connects=400, dialed=server.stats()["connections"], reused=400 - counted["dialed"])


def test_killed():
    """The counts of a killed process stay, and are added once, whichever process comes next."""
    with Folder() as folder, harness.Server() as server:
        for _ in range(3):
            process = subprocess.Popen([PYTHON, "-c", GET + "while True: get()", server.url("/bytes/10")],
                                       env=harness.environment(True, HOLDLINE_STATS=folder.path))
            before = server.stats()["requests"]
            while server.stats()["requests"] < before + 50:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        seen = server.stats()["requests"]
        counted = folder.counted(server.port)
        tally.expect("killed", seen <= counted["connects"] <= seen + 3, "%d requests, %s" % (seen, counted))
        # All slots are looked into.
        kept = sorted(name for name in os.listdir(folder.path) if name != "total")
        tally.expect("killed: their files are there", len(kept) == 3, str(kept))


def test_nowhere():
    with Folder() as folder, harness.Server() as server:
        url = server.url("/bytes/10")
        bare = folder.python("print(get())", url, preloaded=False)
        for name, place in ("off", "off"), ("a file", "/etc/passwd/stats"), ("no right", "/proc/stats"), ("gone", os.path.join(folder.path, "a/b/c")):
            outcome = harness.run([PYTHON, "-c", GET + "print(get())", url], True, HOLDLINE_STATS=place)
            tally.expect("nowhere: " + name, (outcome.status, outcome.output, outcome.errors) == (0, bare.output, b""), outcome.text())


def fill_and_run(home):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k,mode=0700", "none", home], check=True)
    network.write(os.path.join(home, "filler"), "x" * 40000)
    with harness.Server() as server:
        texts = [harness.run([PYTHON, "-c", GET + "for i in range(5): print(get())", server.url("/bytes/10")], preloaded, HOLDLINE_STATS=home).text()
                 for preloaded in (False, True, True)]
    left = os.listdir(home)
    return [texts, left]


def test_full_memory():
    """A tmpfs without room: no SIGBUS, no trace."""
    if os.geteuid() != 0:
        tally.skip("a full tmpfs", "needs root")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-full-") as home:
        script = ("import sys; path, sys.path[:0], sys.argv[1:] = sys.argv[1], sys.argv[2:], []\n"
                  "import json, test_counters\nprint(json.dumps(test_counters.fill_and_run(path)))")
        outcome = harness.run(["unshare", "-m", PYTHON, "-c", script, home, *sys.path], False)
        text = outcome.output.decode()
        good = outcome.status == 0 and "null" not in text
        texts, left = json.loads(text) if good else ([0, 1, 2], None)
        tally.expect("a full tmpfs", good and texts[0] == texts[1] == texts[2] and left == ["filler"], text + outcome.errors.decode())


CALLER = """
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
__attribute__((noinline)) int dial_here(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	close(fd);
	return result;
}
int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return dial_here(&address) + dial_here(&address) != 0;
}
"""


def test_callsites():
    with tempfile.TemporaryDirectory(prefix="holdline-caller-") as home:
        program, source = os.path.join(home, "caller"), os.path.join(home, "caller.c")
        network.write(source, CALLER)
        subprocess.run(["cc", "-O1", "-g", "-o", program, source], check=True)
        symbols = dict(reversed(line.split()[::2]) for line in subprocess.run(["nm", program], capture_output=True, text=True).stdout.splitlines() if len(line.split()) == 3)
        begin = {name: int(value, 16) for name, value in symbols.items()}
        for kind in "address", "stack", "off":
            with Folder() as folder, harness.Server() as server:
                outcome = folder.run([program, str(server.port)], HOLDLINE_CALLSITES=kind)
                sites = pages.read_callsites(os.path.join(folder.path, "total"))
                if kind == "off":
                    tally.expect("call sites: off", outcome.status == 0 and not sites, str(sites))
                    continue
                ours = [(n, frames) for n, frames in sites if frames[0][0] == program and begin["dial_here"] < frames[0][1] < begin["dial_here"] + 200]
                good = sum(n for n, _ in ours) == 2 and len(ours) == (1 if kind == "address" else 2)
                if kind == "stack":
                    good = good and all(frames[1][0] == program and begin["main"] < frames[1][1] < begin["main"] + 200 for _, frames in ours)
                tally.expect("call sites: " + kind, good and outcome.status == 0, "%s %s" % (sites, begin))


def test_probes():
    notes = subprocess.run(["readelf", "-n", os.path.join(harness.PRODUCT, "libholdline.so")], capture_output=True, text=True).stdout
    names = set(re.findall(r"Provider: holdline\s+Name: (\w+)", notes))
    tally.expect("static probes", names == {"dial", "dial_fail", "reuse", "refuse", "return", "close"}, str(names))
