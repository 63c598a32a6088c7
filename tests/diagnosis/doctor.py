"""Runs `holdline doctor`, and tests of it in a network namespace."""
import json

import harness
import network
from harness import HOLDLINE
from suite import tally

OK, WARNING, CRITICAL, UNKNOWN = range(4)


def doctor(*flags, window="0"):
    """Exit status and parsed JSON."""
    outcome = harness.run([HOLDLINE, "doctor", "--json", "--window", window, *flags], False)
    return outcome.status, json.loads(outcome.output or b"{}")


def doctor_text(*flags):
    outcome = harness.run([HOLDLINE, "doctor", "--window=0", *flags], False, LC_ALL="C.UTF-8")
    return outcome.status, outcome.output.decode() + outcome.errors.decode()


def summary(status, report):
    """The text of a failure."""
    return "status %s, %s\n%s" % (status, report.get("cause"), json.dumps(report.get("findings"), indent=1))


def check(name, good, status, report):
    tally.expect(name, good, summary(status, report))


def narrow(reserved="40000-40019"):
    network.set_ports(40000, 40199, reserved)


def in_network(function, in_time=False):
    """A test whose function runs in a namespace and returns [[name, whether it is good, why not], ...]. `in_time`: see
    harness.py."""
    def test():
        for name, good, why in network.Inside(function).result():
            if good is None:
                tally.skip("%s: %s" % (function.__name__, name), why)
            else:
                tally.expect("%s: %s" % (function.__name__, name), good, why, in_time=in_time)
    return test


def verdict(name, expected_status, expected_cause, status, report, good=True):
    return [name, bool(status == expected_status and report["exit_status"] == status and report["cause"] == expected_cause and good),
            summary(status, report)]
