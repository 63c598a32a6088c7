"""More connections at once than there are ephemeral ports."""
import os
import subprocess

import harness
from harness import PYTHON
from suite import tally

CROWD = """
import sys, threading, urllib.request
failures = []
def ask():
    try:
        urllib.request.urlopen("http://127.0.0.1:8080/sleep/20").read()
    except OSError as error:
        failures.append(error)
threads = [threading.Thread(target=ask) for _ in range(200)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(failures), failures[:1])
"""


def test_ports():
    """More at once than there are ports: they wait for each other."""
    if os.geteuid() != 0:
        tally.skip("running out of ports", "needs root")
        return
    inside = ("ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range='40000 40063' net.ipv4.tcp_tw_reuse=0 && "
              "exec 3<&0 && { %s --port 8080 <&3 & } && sleep 0.3; exec %s -c '%s'" % (harness.build_server(), PYTHON, CROWD))
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", inside], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=harness.environment(True), text=True)
    output = ""
    while "failures" not in output and "]" not in output:
        line = process.stdout.readline()
        if not line:
            break
        output = line
    process.stdin.close()
    process.wait(20)
    tally.expect("200 threads and 64 ports", output.startswith("0 "), output, output.strip())
