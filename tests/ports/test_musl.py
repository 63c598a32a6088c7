"""The library for musl: what it exports, the contract, curl, and busybox's programs."""
import os
import re
import shutil
import subprocess
import tempfile

import clients
import harness
import musl_root
import roots
import worlds
from suite import tally

N_REQUESTS = 10


def build():
    """Why the library can't be built here, or None."""
    if not shutil.which(musl_root.COMPILER):
        return "no " + musl_root.COMPILER
    done = subprocess.run(["make", "--no-print-directory", "-j2", "MUSL=1", "BUILD=build/musl", "LTO=", "CFLAGS=-O1 -g"], cwd=harness.ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    warnings = "\n".join(line for line in done.stdout.splitlines() if re.search(r": (error|warning): |undefined reference", line))
    tally.expect("make MUSL=1", done.returncode == 0 and not warnings, "status %d\n%s" % (done.returncode, warnings[:2000]))
    return musl_root.missing()


def names(path, which):
    listed = subprocess.run(["nm", "-D", which, path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in listed.splitlines()}


def test_musl_names():
    """It exports no name that musl has not, and needs none."""
    reason = build()
    if reason:
        tally.skip("names", reason)
        return
    loader = os.path.realpath("/lib/ld-musl-%s.so.1" % os.uname().machine)
    musl = names(loader, "--defined-only")
    exported = {name for name in names(musl_root.LIBRARY, "--defined-only") if not name.startswith("io_uring_")}
    tally.expect("it exports the calls", {"connect", "read", "write", "close", "sendfile", "vfork"} <= exported, exported)
    tally.expect("it exports musl's names only", exported <= musl, exported - musl)
    needed = {name for name in names(musl_root.LIBRARY, "--undefined-only") if not name.startswith("_ITM_")}
    tally.expect("it needs musl's names only", needed <= musl, needed - musl)


def test_musl_install():
    """The library alone, beside that of glibc."""
    reason = build()
    if reason:
        tally.skip("install", reason)
        return
    with tempfile.TemporaryDirectory() as folder:
        make = ["make", "--no-print-directory", "MUSL=1", "BUILD=build/musl", "LTO=", "CFLAGS=-O1 -g", "DESTDIR=" + folder, "PREFIX=/usr"]
        for target, expected in ("install", ["/usr/lib/%s-linux-musl/libholdline.so" % os.uname().machine]), ("uninstall", []):
            done = subprocess.run([*make, target], cwd=harness.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            found = [os.path.join(place, name)[len(folder):] for place, _, names in os.walk(folder) for name in names]
            tally.expect("make MUSL=1 " + target, done.returncode == 0 and found == expected, (found, done.stderr[-500:]))


def test_musl_contract():
    if not roots.is_asked():
        return
    reason = build()
    if reason:
        tally.skip("contract", reason)
        return
    done = harness.run([os.path.join(harness.ROOT, "tests", "contract", "run"), "--heavy", "--world=musl"], False, 1500)
    roots.expect_suite("contract", (done.status, (done.output + done.errors).decode("utf-8", "replace")), 1300)


def in_root(command, **variables):
    return harness.run(musl_root.prefix(variables) + command, False, 30)


def compare(name, server, command, variables, most):
    """Bare and preloaded print the same, and preloaded by this many connections."""
    outcomes, connections = [], []
    for preloaded in False, True:
        server.reset()
        outcomes.append(in_root(command, **(dict(variables, LD_PRELOAD=musl_root.LIBRARY) if preloaded else {})))
        connections.append(server.stats()["connections"])
    bare, subject = outcomes
    tally.expect(name + ": the same", bare.status == 0 and (bare.status, bare.output, bare.errors) == (subject.status, subject.output, subject.errors),
                 "bare %s %r %r, preloaded %s %r %r" % (bare.status, bare.output[-200:], bare.errors[-200:], subject.status, subject.output[-200:],
                                                        subject.errors[-200:]))
    tally.expect(name + ": connections", connections == [N_REQUESTS, most], connections)


# As those of tests/integration/run, which has them for glibc.
PATHS = ["/bytes/10", "/chunked/5000", "/slow-two-pieces/5", "/bytes/300000", "/204", "/bytes/0", "/bytes/10"]


def test_musl_curl():
    """curl of musl, in the ways in which the integration suite runs it."""
    if not roots.is_asked():
        return
    reason = build()
    if reason:
        tally.skip("curl", reason)
        return
    with harness.Server() as server:
        for client in [client for client in clients.LIST if client.needs == "curl"]:
            outcomes, stats = [], []
            for preloaded in False, True:
                server.reset()
                outcomes.append(in_root(client.command(server, PATHS), **({"LD_PRELOAD": musl_root.LIBRARY} if preloaded else {})))
                stats.append(server.stats())
            bare, subject = outcomes
            most = stats[0]["connections"] if client.most is None else client.most
            tally.expect("%s of musl: the same" % client.name, bare.status == 0 and (bare.status, bare.output, bare.errors) ==
                         (subject.status, subject.output, subject.errors), "bare %s %r, preloaded %s %r" % (
                             bare.status, bare.errors[-300:], subject.status, subject.errors[-300:]))
            tally.expect("%s of musl: connections" % client.name, stats[1]["requests"] == stats[0]["requests"] >= len(PATHS) and
                         stats[1]["connections"] <= most, stats, "%d bare, %d" % (stats[0]["connections"], stats[1]["connections"]))


def test_musl_programs():
    """A client with many requests, many of them, which share by a broker of glibc's, and busybox wget, whose streams the
    library leaves alone."""
    if not roots.is_asked():
        return
    reason = build()
    if reason:
        tally.skip("programs", reason)
        return
    with harness.Server() as server, worlds.Shared().place() as broker:
        client = harness.compile_program("ports-client-musl", ["tests/ports/client.c"], compiler=musl_root.COMPILER)
        compare("client", server, [client, str(server.port), str(N_REQUESTS)], {}, 1)
        loop = "for i in $(seq %d); do %s %d 1 | md5sum; done" % (N_REQUESTS, client, server.port)
        compare("a loop of clients with a broker", server, ["sh", "-c", loop], {"HOLDLINE_BROKER": broker}, 1)
        compare("busybox wget", server, ["wget", "-q", "-O", "-", *[server.url("/bytes/1000")] * N_REQUESTS], {}, N_REQUESTS)
