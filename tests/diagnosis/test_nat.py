"""Translated addresses, here and at a router, and what is seen without root."""
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import harness
import network
from doctor import CRITICAL, OK, UNKNOWN, WARNING, doctor, doctor_text, in_network, narrow, verdict
from harness import HOLDLINE


def masquerade(command):
    """`command` gives connections to 10.77.0.2:8080 ten source ports."""
    if subprocess.run(command, shell=True, stderr=subprocess.PIPE).returncode:
        return [["NAT", None, "the kernel has none"]]
    narrow()
    sink = network.Sink()
    held = network.hold(sink.address, 5)
    status, report = doctor()
    results = [verdict("5 of 10", OK, "healthy", status, report)]
    held += network.hold(sink.address, 3)
    status, report = doctor()
    results.append(verdict("8 of 10", WARNING, "snat", status, report))
    held += network.hold(sink.address, 2)
    waiting = socket.socket()
    waiting.settimeout(1.5)
    error = waiting.connect_ex(sink.address)
    status, report = doctor()
    snat = report["netfilter"]["snat"]
    results.append(verdict("10 of 10", CRITICAL, "snat", status, report, error in (errno.EAGAIN, errno.ETIMEDOUT) and len(snat) == 1 and
                           (snat[0]["held_ports"], snat[0]["first_port"], snat[0]["last_port"]) == (10, 61000, 61009)))
    results.append(["no answer shows as what it is", any("no answer yet" in note for note in report["notes"]), str(report["notes"])])
    status, text = doctor_text()
    results.append(["in words", 
                    re.search(r"CRITICAL \(snat\): 10 of the 10 ports that NAT has from 10.77.0.\d to 10.77.0.2:8080 are held", " ".join(text.split()))
                    is not None, text])
    del held, waiting
    return results


def snat_nftables():
    return masquerade("nft 'table ip t { chain c { type nat hook postrouting priority srcnat;"
                      " tcp dport 8080 masquerade to :61000-61009;};}'")


def snat_nftables_address():
    return masquerade("nft 'table inet t { chain c { type nat hook postrouting priority srcnat;"
                      " tcp dport 8080 snat ip to 10.77.0.1:61000-61009;};}'")


def snat_iptables():
    return masquerade("iptables -t nat -A POSTROUTING -p tcp --dport 8080 -j MASQUERADE --to-ports 61000-61009")


def without_root():
    """NAT rules that can't be read without root show by their effect."""
    rule = "nft 'table ip t { chain c { type nat hook postrouting priority srcnat; tcp dport 8080 masquerade to :61000-61009;};}'"
    if os.geteuid() != 0 or subprocess.run(rule, shell=True, stderr=subprocess.PIPE).returncode:
        return [["without root", None, "not root, or no NAT in the kernel"]]
    narrow()
    sink = network.Sink()
    held = network.hold(sink.address, 10)
    waiting = socket.socket()
    waiting.setblocking(False)
    waiting.connect_ex(sink.address)
    time.sleep(1.5)  # for the first SYN to be sent again
    with tempfile.TemporaryDirectory() as folder:
        # The user may have no access to the build folder.
        os.chmod(folder, 0o755)
        command = shutil.copy(HOLDLINE, folder)
        outcome = harness.run(["setpriv", "--reuid=65534", "--clear-groups", command, "doctor", "--json", "--window=3s"], False)
    report = json.loads(outcome.output)
    results = [verdict("NAT", WARNING, "snat", outcome.status, report, not report["netfilter"]["is_readable"]),
               ["what can't be seen is said", sum("root" in note for note in report["notes"]) == 2 and
                report["tuples"][0]["owners"] == [{"uid": 0, "pid": None, "program": None, "connections": 10}], str(report["notes"])]]
    del held, waiting
    return results


class Neighbour:
    """Another namespace, alive inside a with block."""

    def __enter__(self):
        self.process = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink("/proc/%d/ns/net" % self.process.pid) == ours:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def inside(self, *command):
        return ["nsenter", "-t", str(self.process.pid), "-n", *command]

    def run(self, script):
        return subprocess.run(self.inside("sh", "-ec", script), stderr=subprocess.PIPE).returncode == 0


SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
import network
network.Sink("0.0.0.0", 8080)
print("ready", flush=True)
sys.stdin.read()
"""


def router():
    """NAT on another machine: doctor on the client names its doubt, doctor on the router knows."""
    with Neighbour() as gateway, Neighbour() as far:
        pids = gateway.process.pid, far.process.pid
        ready = not subprocess.run(["sh", "-ec", "ip link add near type veth peer name inner netns %d && ip addr add 10.78.0.2/24 dev near &&"
                                    " ip link set near up && ip route add default via 10.78.0.1" % pids[0]], stderr=subprocess.PIPE).returncode
        ready = ready and gateway.run(
            "ip addr add 10.78.0.1/24 dev inner; ip link set inner up; ip link add outer type veth peer name end netns %d;"
            "ip addr add 10.79.0.1/24 dev outer; ip link set outer up; echo 1 >/proc/sys/net/ipv4/ip_forward;"
            "nft 'table ip t { chain c { type nat hook postrouting priority srcnat; oif outer tcp dport 8080 masquerade to :61000-61009;};}'" % pids[1])
        if not (ready and far.run("ip addr add 10.79.0.2/24 dev end; ip link set end up")):
            return [["a router", None, "not root, or no NAT or veth in the kernel"]]
        server = subprocess.Popen(far.inside(harness.python(), "-c", SERVER, os.path.join(harness.ROOT, "tests", "lib")), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        server.stdout.readline()
        held = [network.dial(("10.79.0.2", 8080)) for _ in range(10)]
        for _ in range(3):
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("10.79.0.2", 8080))
        time.sleep(1.5)  # for the first SYNs to be sent again
        ours, theirs = doctor(), doctor("--pid", str(pids[0]))
        server.stdin.close()
        server.wait()
        server.stdout.close()
    return [verdict("of the client's machine", UNKNOWN, "unknown", *ours, "NAT on the way" in ours[1]["findings"][0]["text"]),
            verdict("of the router", CRITICAL, "snat", *theirs, theirs[1]["netfilter"]["snat"][0]["destination"] == "10.79.0.2:8080")]


test_snat_nftables = in_network(snat_nftables)
test_snat_nftables_address = in_network(snat_nftables_address)
test_snat_iptables = in_network(snat_iptables)
test_without_root = in_network(without_root)
test_router = in_network(router)
