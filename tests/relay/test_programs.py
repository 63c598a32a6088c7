"""Programs that nobody here wrote for a relay: each sees what it sees bare, and the server sees few connections."""
import os
import shutil
import subprocess

import harness
from harness import PYTHON
from relayed import Relay, build_go, build_musl, build_static, client, compare, go, needs, run_pair, static_clients
from suite import tally

GET = r"send=GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

# What client.go is asked, to which path, and to how many connections it must come down (None: any number).
GO = (
    ("gets", ["-n", "20"], "/bytes/1000", 1),
    ("different answers", ["-n", "20"], "/bytes/%d", 1),
    ("chunked answers", ["-n", "10"], "/chunked/5000", 1),
    ("big answers", ["-n", "4"], "/bytes/3000000", 1),
    ("unread", ["-n", "20", "-unread"], "/bytes/1000", 1),
    ("heads", ["-n", "10", "-method", "HEAD"], "/bytes/1000", 1),
    ("options", ["-n", "10", "-method", "OPTIONS"], "/bytes/10", 1),
    ("posts", ["-n", "5", "-method", "POST", "-body", "1000"], "/body", None),
    ("puts", ["-n", "5", "-method", "PUT", "-body", "0"], "/bytes/10", None),
    ("echoed heads", ["-n", "5", "-method", "DELETE"], "/bytes/10", None),
    ("big uploads", ["-n", "3", "-method", "POST", "-body", "2000000"], "/body", None),
    ("chunked uploads", ["-n", "5", "-method", "POST", "-body", "100000", "-chunked"], "/body", None),
    ("uploads with a trailer", ["-n", "5", "-method", "POST", "-body", "100", "-trailer"], "/body", None),
    ("100-continue", ["-n", "5", "-method", "POST", "-body", "1000", "-expect"], "/body", None),
    ("a get with a body", ["-n", "5", "-body", "50"], "/body", None),
    ("204", ["-n", "10"], "/204", 1),
    ("304", ["-n", "10"], "/304", 1),
    ("404", ["-n", "10"], "/nothing", 1),
    ("500", ["-n", "10"], "/status/500", 1),
    ("interim answers", ["-n", "10"], "/interim/2", 1),
    ("gzip", ["-n", "10"], "/gzip", 1),
    ("redirects", ["-n", "10"], "/redirect/bytes/10", 1),
    ("pieces", ["-n", "10"], "/two-pieces", 1),
    ("slow pieces", ["-n", "3"], "/slow-two-pieces/20", 1),
    ("a big head", ["-n", "3"], "/big-header/100000", None),
    ("keep-alive of its own", ["-n", "20", "-keep"], "/bytes/1000", 1),
    ("keep-alive of its own, posts", ["-n", "10", "-keep", "-method", "POST", "-body", "100"], "/body", None),
    ("upgrade", ["-n", "3", "-upgrade"], "/upgrade", None),
    ("a server that closes", ["-n", "5"], "/close-header", None),
    ("HTTP/1.0 answers", ["-n", "5"], "/http10", None),
    ("no length", ["-n", "5"], "/no-length", None),
    ("garbage", ["-n", "3"], "/garbage", None),
    ("two lengths", ["-n", "3"], "/two-lengths", None),
    ("bad chunk", ["-n", "3"], "/bad-chunk", None),
    ("surplus", ["-n", "5"], "/surplus", None),
    ("ntlm", ["-n", "5"], "/ntlm", None),
    ("an answer that is cut by a FIN", ["-n", "3", "-method", "POST"], "/cut/40/fin", None),
    ("an answer that is cut by a RST", ["-n", "3", "-method", "POST"], "/cut/40/rst", None),
    ("nothing but a FIN", ["-n", "3", "-method", "POST"], "/cut/0/fin", None),
    ("nothing but a RST", ["-n", "3", "-method", "POST"], "/cut/0/rst", None),
    ("timeout", ["-n", "3", "-timeout", "100ms"], "/sleep/600", None),
    ("timeout in the answer", ["-n", "2", "-timeout", "200ms", "-cancel", "5"], "/drip/1000", None),
    ("cancelled", ["-n", "3", "-cancel", "10"], "/drip/3000", None),
    ("cancelled early", ["-n", "3", "-cancel", "0"], "/bytes/100000000", None),
    ("remote address", ["-n", "3", "-who"], "/bytes/10", 1),
    ("8 at once", ["-n", "80", "-c", "8"], "/bytes/%d", 16),
    ("64 at once", ["-n", "256", "-c", "64"], "/sleep/5", 128),
)


def test_go():
    """net/http by all its sides."""
    if not needs("go", build_go("client")):
        return
    with harness.Server() as server, Relay() as world:
        for name, flags, path, most in GO:
            compare("go: " + name, server, go("client", *flags, server.url(path)), most, world=world)


def test_go_ipv6():
    if not needs("go over IPv6", build_go("client")):
        return
    with harness.Server() as server:
        compare("go: IPv6", server, go("client", "-n", "10", "-who", "http://[::1]:%d/bytes/10" % server.port), 1)
        compare("go: localhost", server, go("client", "-n", "10", "http://localhost:%d/bytes/10" % server.port), 1)


def test_static():
    """Static programs with either libc, by each way of connecting."""
    with harness.Server() as server, Relay() as world:
        for libc, program in static_clients():
            for way in "block", "poll", "epoll", "dup", "storage":
                for address in "127.0.0.1", "::1":
                    compare("%s %s %s" % (libc, way, address), server,
                            [program, way, address, str(server.port), "connect", "peer", GET, "read", "close", "repeat=5", "connect", GET, "read"],
                            1, world=world)
        if not build_static("musl"):
            tally.skip("musl", "musl-tools is not installed")


def test_musl_dynamic():
    """musl's loader starts no program with the library in LD_PRELOAD."""
    program = build_musl("relay-client-musl-dynamic", ())
    if not needs("musl, dynamic", program):
        return
    with harness.Server() as server:
        command = [program, "block", "127.0.0.1", str(server.port), "repeat=5", "connect", GET, "read"]
        compare("musl, dynamic", server, command, 1)
        compare("musl, dynamic, of a shell", server, ["sh", "-c", "'%s'; exit $?" % "' '".join(command)], 1)
        pair = run_pair(server, command, relay="off")
        tally.expect("musl, dynamic, without a relay", pair.is_same(), pair.text())


def busybox():
    """A static one, or None."""
    for path in "/bin/busybox", "/usr/bin/busybox":
        if os.path.exists(path) and b"statically linked" in subprocess.run([path, "ldd", path], capture_output=True).stdout + b"statically linked":
            return path
    return None


def test_busybox():
    if not needs("busybox wget", busybox()):
        return
    with harness.Server() as server:
        compare("busybox wget", server, [busybox(), "wget", "-q", "-O", "-", server.url("/bytes/1000")], 1)
        # Each wget is a process of one shell, static itself.
        compare("busybox sh: a loop of wget", server, [busybox(), "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do busybox wget -q -O - %s; done" %
                                                       server.url("/bytes/100")], 1)
        compare("busybox wget: 404", server, [busybox(), "wget", "-q", "-O", "-", server.url("/nothing")], 1)
        compare("busybox wget: redirect", server, [busybox(), "wget", "-q", "-O", "-", server.url("/redirect/bytes/10")], 1)
        compare("busybox wget: post", server, [busybox(), "wget", "-q", "-O", "-", "--post-data=a=b", server.url("/body")])


DEV_TCP = """
for i in 1 2 3 4 5; do
    exec 3<>/dev/tcp/127.0.0.1/$1
    printf 'GET /bytes/20 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3
    %s
    exec 3<&-
done
"""


def test_bash():
    """A static shell: by its own read, and by a dynamic child that has the connection from it."""
    bash = shutil.which("bash-static")
    if not needs("bash-static", bash):
        return
    with harness.Server() as server:
        compare("bash-static", server, [bash, "-c", DEV_TCP % "while read -r -u 3 line; do echo \"$line\"; done", "bash", str(server.port)], 1)
        compare("bash-static, cat reads", server, [bash, "-c", DEV_TCP % "cat <&3", "bash", str(server.port)])


RUST = """
use std::io::{Read, Write};
use std::net::TcpStream;
fn main() {
    let port = std::env::args().nth(1).unwrap();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", port)).unwrap();
        stream.write_all(b"GET /bytes/20 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        println!("{} {:?}", stream.peer_addr().unwrap().port() == port.parse::<u16>().unwrap(), answer);
    }
}
"""


def test_rust():
    """Rust's standard library, static."""
    if not shutil.which("rustc"):
        tally.skip("rust", "rustc is not installed")
        return
    program = os.path.join(harness.BUILD, "rust-client")
    if not os.path.exists(program):
        built = subprocess.run(["rustc", "-O", "-C", "target-feature=+crt-static", "-o", program, "-"], input=RUST.encode(), capture_output=True)
        if built.returncode:
            tally.skip("rust", "it builds no static program here")
            return
    with harness.Server() as server:
        compare("rust", server, [program, str(server.port)], 1)


def test_dynamic_child():
    """A Go program's children that the library can enter are the library's."""
    bash = shutil.which("bash-static")
    if not needs("a dynamic child", bash, shutil.which("curl")):
        return
    with harness.Server() as server:
        compare("a static shell's curls", server, [bash, "-c", "for i in 1 2 3 4 5; do curl -s %s || exit 1; done" % server.url("/bytes/100")], 1)


def test_always():
    """--relay=always: a dynamic program goes through the relay, too."""
    if not needs("always", shutil.which("curl")):
        return
    with harness.Server() as server:
        url = server.url("/bytes/100")
        compare("curl by the relay", server, ["curl", "-sS", "-H", "Connection: close", url, url, url, url], 1, relay="always")
        compare("python by the relay", server, [PYTHON, "-c", "import sys, urllib.request\nfor i in range(10):\n"
                "    print(urllib.request.urlopen(sys.argv[1]).read())", url], 1, relay="always")


def test_off():
    """--relay=off: as bare, with as many connections."""
    with harness.Server() as server:
        pair = run_pair(server, client("block", "127.0.0.1", server.port, "repeat=5", "connect", GET, "read"), relay="off")
        tally.expect("off", pair.is_same() and pair.stats["connections"] == 5, pair.text())
