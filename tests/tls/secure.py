"""Runs of a program over HTTPS, bare and with connections reused, and what must be the same."""
import difflib
import os
import re
import tempfile

import harness
import servers
from broker_world import World
from suite import tally

# Where this machine has its own authorities, the tests' own are still the ones that count.
for variable in [name for name in os.environ if re.search("SSL_CERT|_CA_|CAINFO|CA_BUNDLE|PIP_CERT|OPENSSL_CONF", name)]:
    del os.environ[variable]

AUDIT = os.path.join(tempfile.mkdtemp(prefix="holdline-tls-"), "audit")
# A relay passes a ClientHello on, which the sniffer would take for a second one.
SETTINGS = {"HOLDLINE_TLS": "reuse", "HOLDLINE_TLS_AUDIT": AUDIT, "HOLDLINE_RELAY": "off"}
# --bare: without the library where it should be. Comparisons must then agree, and counts fail.
SUBJECT = "--bare" not in os.sys.argv


def start_subject(world, command, timeout, stdin=None, **extra):
    if not SUBJECT:
        return harness.run(command, False, timeout, stdin, **extra)
    # With a sanitizer's runtime before it, which the command can't preload: without a broker.
    if ":" in harness.SHIM:
        return harness.run(command, True, timeout, stdin, **{**SETTINGS, **extra})
    return harness.run([harness.HOLDLINE, "run", "--quiet", "--", *command], False, timeout, stdin, **world.environment({**SETTINGS, **extra}))


def plain(text):
    """Without what differs from run to run, addresses of memory and times of day, and without what a program must not
    mind: a server that is not asked to close does not say that it does."""
    text = re.sub(rb"Connection: close *(\\r\\n|\r?\n)", b"", text)
    text = re.sub(rb"0x[0-9a-f]{6,}", b"0x-", text)
    return re.sub(rb"Date: [^\r\n]*", b"Date: -", text)


class Pair:
    """A program's run bare, and its run with connections reused, with what the server counted in each."""

    def __init__(self, bare, subject, bare_stats, stats):
        self.bare, self.subject, self.bare_stats, self.stats = bare, subject, bare_stats, stats

    def is_same(self, with_errors=True):
        one, two = self.bare, self.subject
        return one.status != "timeout" and one.status == two.status and plain(one.output) == plain(two.output) and (
            not with_errors or plain(one.errors) == plain(two.errors))

    def text(self):
        before, after = (plain(outcome.output + outcome.errors).decode("utf-8", "backslashreplace").splitlines() + ["status %s" % outcome.status]
                         for outcome in (self.bare, self.subject))
        lines = list(difflib.unified_diff(before, after, "bare, %s" % counted(self.bare_stats), "subject, %s" % counted(self.stats), lineterm="", n=1))
        return "\n    ".join(line[:400] for line in lines[:40]) or "bare %s, subject %s" % (counted(self.bare_stats), counted(self.stats))


def counted(stats):
    return " ".join("%s %d" % (key, stats[key]) for key in ("connections", "handshakes", "resumed", "failed", "requests") if key in stats)


class NoServer:
    """For a program that needs none."""

    def reset(self):
        pass

    def stats(self):
        return {}


def run_pair(server, command, timeout=30, stdin=None, world=None, between=lambda: None, **extra):
    """Bare first. `between` is called before each of both."""
    outcomes = []
    for run in (lambda _: harness.run(command, False, timeout, stdin, **extra),
                lambda inside: start_subject(inside, command, timeout, stdin, **extra)):
        between()
        server.reset()
        if world:
            outcome = run(world)
        else:
            with World() as inside:
                outcome = run(inside)
        outcomes.append((outcome, server.stats()))
    (bare, bare_stats), (subject, stats) = outcomes
    return Pair(bare, subject, bare_stats, stats)


def compare(name, server, command, most=None, works=True, native=False, reuses=False, **options):
    """A verdict: the program sees what it sees bare, and the server the same requests. A second one: there are at most
    `most` connections, or (`native`) as many as bare, or (`reuses`) fewer. `works`: all requests succeed bare."""
    # A broker on a busy machine may not answer in time.
    for _ in range(harness.ATTEMPTS):
        pair = run_pair(server, command, **options)
        enough = (most is None or pair.stats["connections"] <= most) and (not reuses or pair.stats["connections"] < pair.bare_stats["connections"])
        if enough or not pair.is_same():
            break
    if works and (pair.bare.status != 0 or not pair.bare.output or pair.bare_stats["requests"] == 0):
        tally.fail(name, "does not work bare: status %s, %s\n%s" % (pair.bare.status, counted(pair.bare_stats), pair.bare.errors.decode()[-1500:]))
        return pair
    tally.expect(name, pair.is_same() and pair.stats["requests"] == pair.bare_stats["requests"], pair.text())
    if native:
        tally.expect(name + ": native", pair.stats["connections"] == pair.bare_stats["connections"], pair.text())
    if reuses:
        tally.expect(name + ": reuses", pair.stats["connections"] < pair.bare_stats["connections"], pair.text())
    if most is not None:
        tally.expect(name + ": connections", 0 < pair.stats["connections"] <= most,
                     "%d connections and %d handshakes for %d requests, at most %d expected" % (
                         pair.stats["connections"], pair.stats["handshakes"], pair.stats["requests"], most))
    return pair


CA = "ca.pem"


def ca():
    return servers.certificate(CA)
