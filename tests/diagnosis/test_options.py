"""Another process's namespace, and bad arguments."""
import os

import network
from doctor import UNKNOWN, WARNING, check, doctor, doctor_text, narrow
from suite import tally


def test_pid():
    """--pid looks into the network namespace of a process outside."""
    ready, begun = os.pipe()
    ending, end = os.pipe()

    def held():
        narrow()
        connections = network.hold(network.Sink().address, 160)
        os.write(begun, b".")
        os.close(end)
        os.read(ending, 1)
        return len(connections)
    inside = network.Inside(held)
    os.read(ready, 1)
    status, report = doctor("--pid", str(inside.pid))
    check("--pid", status == WARNING and report["budget"]["usable_ports"] == 180 and report["tuples"][0]["established"] == 160 and
          report["tuples"][0]["owners"][0]["pid"] == inside.pid, status, report)
    os.close(end)
    inside.result()
    for descriptor in ready, begun, ending:
        os.close(descriptor)


def test_arguments():
    for flags in ["--pid=0"], ["--pid=x"], ["--pid=%d" % (1 << 22)], ["--window=2"], ["--frobnicate"], ["more"]:
        status, text = doctor_text(*flags)
        tally.expect("bad arguments: %s" % flags, status == UNKNOWN and text, "%s\n%s" % (status, text))
    status, text = doctor_text("--help")
    tally.expect("--help", status == 0 and "Exit status" in text, text)
