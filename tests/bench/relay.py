"""Rows on the relay: Go programs and static ones, bare, relayed, and with a keep-alive of their own."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
URL = "http://10.77.0.2:8080/bytes/1024"
# (round trip in us, requests at once, requests, least ratio to bare, least ratio to the program's own keep-alive)
DISTANCES = ((0, 1, 2000, 0.85, None), (0, 8, 4000, 0.85, None), (0, 64, 4000, 0.85, None), (1000, 1, 200, None, 0.95), (1000, 8, 1600, None, 0.95),
             (1000, 64, 6400, None, 0.95), (10000, 1, 60, None, 0.95))


def build_go(name):
    source, path = os.path.join(HERE, "..", "relay", "go", name + ".go"), os.path.join(harness.BUILD, "go-" + name)
    os.makedirs(harness.BUILD, exist_ok=True)
    subprocess.run(["go", "build", "-o", path, source], check=True, env=dict(
        harness.environment(False), GOCACHE=os.path.join(harness.BUILD, "go-cache"), GOPROXY="off", GO111MODULE="off", CGO_ENABLED="0"))
    return path


def relayed(command, *options):
    return [harness.HOLDLINE, "run", "--quiet", "--relay=auto", "--pool=local", *options, "--", *command]


def at_distance(round_trip, rounds, commands):
    """{name: microseconds a request}, or None without a tun device."""
    delay = harness.compile_program("bench_delay", ["tests/bench/delay.c"], ["-O2"])
    with tempfile.TemporaryDirectory(prefix="holdline-bench-") as folder:
        outcome = harness.run(["unshare", "-n", sys.executable, os.path.join(HERE, "at_distance"), delay, harness.build_server(), str(round_trip), str(rounds),
                               json.dumps(commands)], False, 300, XDG_RUNTIME_DIR=folder)
    if outcome.status == 77:
        return None
    if outcome.status:
        raise RuntimeError(outcome.errors.decode()[-500:])
    return json.loads(outcome.output)


def far(info, row):
    """The rows at a distance; `info` and `row` are those of bench/run."""
    if os.geteuid() != 0 or not shutil.which("go") or not os.path.exists("/dev/net/tun"):
        info("relay", "skipped: needs root, Go and /dev/net/tun")
        return
    program = build_go("client")
    for round_trip, at_once, n, least_bare, least_keep in DISTANCES:
        command = [program, "-quiet", "-timing", "-n", str(n), "-c", str(at_once)]
        times = at_distance(round_trip, 5, {"bare": [*command, URL], "relayed": relayed([*command, URL]), "keep": [*command, "-keep", URL]})
        if not times:
            info("relay", "skipped: no tun device")
            return
        name = "Go, %g ms, %d at once" % (round_trip / 1000, at_once)
        info(name + ": bare, relayed, own keep-alive", "%.0f, %.0f, %.0f us" % (times["bare"], times["relayed"], times["keep"]))
        for other, least in ("bare", least_bare), ("keep", least_keep):
            ratio = times[other] / times["relayed"]
            text = "%s: relayed / %s" % (name, {"bare": "bare", "keep": "own keep-alive"}[other])
            row(text, ratio, "%.2fx", ">= %.2fx" % least, ratio >= least) if least else info(text, "%.2fx" % ratio)
    pipelining(program, info, row)
    document = [build_go("document"), URL, "50"]
    times = at_distance(10000, 3, {half: relayed([*document, half]) for half in ("short", "long")})
    ratio = times["short"] / times["long"]
    row("the document's program, 10 ms: short half / long half", ratio, "%.2fx", "<= 1.20x", ratio <= 1.2)


def pipelining(program, info, row):
    """Two connections with requests behind each other, against as many as there are requests at once."""
    command = [program, "-quiet", "-timing", "-n", "3200", "-c", "16", URL]
    capped = "--max-conns-per-host=2"
    times = at_distance(1000, 5, {"16": relayed(command), "2": relayed(command, capped), "2, 8 behind each other": relayed(command, capped, "--pipeline=8"),
                                  "bare": command})
    for name, value in times.items():
        info("Go, 1 ms, 16 at once; connections: " + name, "%.0f us" % value)
    ratio = times["16"] / times["2, 8 behind each other"]
    row("Go, 1 ms, 16 at once: 2 connections, pipelined / 16", ratio, "%.2fx", ">= 0.90x", ratio >= 0.9)


class Greeter:
    """A server that speaks first."""

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"+")
                try:
                    connection.recv(1)
                except OSError:
                    pass


def notifications(info, row, interleave):
    """What a connect() that is not relayed costs, and any other system call."""
    program = harness.compile_program("bench_notify", ["tests/bench/notify.c"], ["-O2", "-static"])
    for call, n in ("connect", "2000"), ("getpid", "3000000"):
        with Greeter() as server:
            commands = {"bare": [program, call, n, str(server.port)], "filtered": [program, "filtered-" + call, n, str(server.port)]}
            commands["relayed"] = relayed(commands["bare"])

            def measure(kind):
                outcome = harness.run(commands[kind], False, 60)
                if outcome.status:
                    raise RuntimeError("%s: status %s" % (call, outcome.status))
                return float(outcome.errors)
            times = interleave(("bare", "relayed") if call == "connect" else ("bare", "filtered", "relayed"), measure)
        info("%s: bare, relayed" % call, "%.2f, %.2f us" % (times["bare"] / 1000, times["relayed"] / 1000))
        if call == "connect":
            more = (times["relayed"] - times["bare"]) / 1000
            row("connect() to no HTTP: added by a notification, us", more, "%.1f", "<= 30", more <= 30)
        else:
            info("getpid() under a filter that allows all / bare", "%.2fx" % (times["filtered"] / times["bare"]))
            ratio = times["relayed"] / times["filtered"]
            row("getpid() under the relay's filter / under that one", ratio, "%.2fx", "<= 1.05x", ratio <= 1.05)
