"""Which programs own the connections, also kept ones and those of ended programs."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import harness
import network
from doctor import WARNING, doctor, in_network, narrow, verdict
from harness import HOLDLINE

KEEPER = """
import http.client, sys
connections = [http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])) for _ in range(3)]
for connection in connections:
    connection.request("GET", "/bytes/10")
for connection in connections:
    connection.getresponse().read()
    connection.close()
print("kept", flush=True)
sys.stdin.readline()
"""


def parked():
    """A connection that the broker holds is shown as that of the program that parked it, asleep or ended; the broker's
    own name is `holdline`."""
    narrow()
    folder = os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="holdline-kept-")
    results = []
    with harness.Server("--idle-timeout", "60000") as server:
        environment = harness.environment(False, HOLDLINE_LIBRARY=harness.SHIM)
        keeper = subprocess.Popen([HOLDLINE, "run", "--quiet", "--", harness.python(), "-c", KEEPER, str(server.port)], env=environment,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        keeper.stdout.readline()
        owners_of = lambda: next((t["owners"] for t in doctor()[1]["tuples"] if t["destination"] == "127.0.0.1:%d" % server.port), None)
        shown = owners_of()
        results.append(["asleep", [(o["pid"], o["connections"]) for o in shown] == [(keeper.pid, 3)], json.dumps(shown)])
        keeper.communicate("\n")
        for _ in range(100):
            shown = owners_of()
            if shown and shown[0]["pid"] is None:
                break
            time.sleep(0.02)
        name = os.path.basename(harness.python())
        results.append(["ended", [(o["pid"], o["program"], o["connections"]) for o in shown] == [(None, name, 3)], json.dumps(shown)])
        text = harness.run([HOLDLINE, "top", "-b", "-n", "1"], False).output.decode()
        results.append(["in top", "- %s" % name in text, text])
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(os.path.join(folder, "holdline", "broker"))
            broker = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        with open("/proc/%d/comm" % broker) as file:
            results.append(["the broker's name", file.read() == "holdline\n", str(broker)])
        # A broker that does not answer is named as the owner itself, and doctor does not wait for it.
        os.kill(broker, signal.SIGSTOP)
        shown = owners_of()
        os.kill(broker, signal.SIGCONT)
        results.append(["of a broker that is stopped", [(o["pid"], o["program"]) for o in shown] == [(broker, "holdline")], json.dumps(shown)])
        os.kill(broker, signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)
    return results


def owners():
    narrow()
    sink = network.Sink()
    held = network.hold(sink.address, 170)
    status, report = doctor()
    shares = report["tuples"][0]["owners"]
    return [verdict("held connections", WARNING, "local_ports", status, report, report["tuples"][0]["established"] == 170),
            ["their process is named", len(shares) == 1 and shares[0]["pid"] == os.getpid() and shares[0]["connections"] == len(held) and
             shares[0]["program"].startswith("python"), json.dumps(shares)]]


def client():
    return harness.compile_program("diagnosis/client", ["tests/diagnosis/client.c"])


class Watched:
    """A client under Holdline, its pages in a folder of the test's own."""

    def __init__(self, address, requests, pause_ms=1, mode="observe"):
        self.folder = tempfile.mkdtemp(prefix="holdline-diagnosis-")
        self.environment = dict(XDG_RUNTIME_DIR=self.folder, HOLDLINE_LIBRARY=harness.SHIM)
        self.process = subprocess.Popen([HOLDLINE, "run", "--quiet", "--mode=" + mode, "--pool=local", "--", client(), address[0], str(address[1]),
                                         str(requests), str(pause_ms)], env=harness.environment(False, **self.environment),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def wait(self):
        self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def http_server():
    return harness.Server("--any", "--port", "8080")


def counted():
    """Which program dialed the connections in TIME_WAIT, at which line, and how many fewer there would be with
    reuse."""
    narrow()
    with http_server() as server:
        client = Watched(("10.77.0.2", server.port), 150)
        client.wait()
        outcome = harness.run([HOLDLINE, "doctor", "--json", "--window=0"], False, **client.environment)
        text = harness.run([HOLDLINE, "doctor", "--window=0"], False, **client.environment).output.decode()
        top = harness.run([HOLDLINE, "top", "-b", "-n1", "-d100ms"], False, **client.environment).output.decode()
        pid = client.process.pid
        client.end()
    report = json.loads(outcome.output)
    tuple_ = report["tuples"][0]
    counts = tuple_["counted"] or {}
    with open(os.path.join(harness.ROOT, "tests", "diagnosis", "client.c")) as file:
        line = [number for number, text_ in enumerate(file, 1) if "a test looks for this line" in text_][0]
    place = "dial_once (client.c:%d)" % line
    return [verdict("150 of 179", WARNING, "local_ports", outcome.status, report),
            ["the process", counts.get("processes", [{}])[0].get("pid") == pid and counts["processes"][0]["dialed"] == 150, str(counts)],
            ["the line", counts["callsites"][0]["place"] == place, str(counts)],
            ["nothing is unattributed", tuple_["time_wait"] == 150 and tuple_["unattributed_connections"] == 0, str(tuple_)],
            ["reuse would help", counts["reusable_ratio"] == 1 and counts["pool_connections"] == 1 and counts["recorded_dials_with_pool"] == 1, str(counts)],
            ["in words", "client (%d), at %s; 100 %% of the connections could be reused" % (pid, place) in " ".join(text.split()), text],
            ["the remedy names the program", report["fixes"][0]["command"] == "holdline run -- client", str(report["fixes"][0])],
            ["top shows it", re.search(r"10.77.0.2:8080 +10.77.0.2 +83.8%% .* 0%% +150 +0 .* %d client +%s" % (pid, re.escape(place)), top) is not None, top]]


def kept():
    """Under Holdline a connection is reused, and top says so."""
    narrow()
    with http_server() as server:
        client = Watched(("10.77.0.2", server.port), 100, mode="full")
        client.wait()
        outcome = harness.run([HOLDLINE, "top", "-b", "-n1", "-d100ms"], False, **client.environment)
        client.end()
    top = outcome.output.decode()
    return [["99 % reused", re.search(r"10.77.0.2:8080 .* 99% +0 +1 ", top) is not None, top]]


test_owners = in_network(owners)
test_parked = in_network(parked)


test_counted = in_network(counted)
test_kept = in_network(kept)
