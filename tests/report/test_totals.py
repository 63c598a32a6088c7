"""A report's counts are those of the servers, whatever happens to the processes."""
import json
import os
import re
import shutil
import subprocess
import sys

import harness
import network
from harness import HOLDLINE, PYTHON, wait_until
from run_world import World, client, get, shell_loop, short
from suite import tally


FETCHES = """
import os, socket, sys
dial = lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for i in range(20):
    s = dial()
    s.send(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    while s.recv(999):
        pass
    s.close()
"""

AT_ONCE = """
import os, socket, sys, threading
start = threading.Barrier(8)
def fetch():
    start.wait()
    for i in range(3):
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
            s.send(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
            while s.recv(999):
                pass
threads = [threading.Thread(target=fetch) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.execvp("true", ["true"])
"""


def counted(name, n, stats, report, good=True):
    """Every connect is in all tables of the report once, and dials are what the server saw."""
    totals = report.get("totals", {})
    last = get(report, "samples", -1, default={})
    agrees = (totals.get("connects") == n == stats["requests"] and totals.get("dialed") == stats["connections"] and
              totals.get("connects") == totals.get("dialed") + totals.get("reused") and
              sum(d["connects"] for d in report["destinations"]) == n and sum(c["connects"] for c in report["callsites"]) == n and
              sum(c["dialed"] for c in report["callsites"]) == totals.get("dialed") and
              all(last.get(key) == totals[key] for key in ("connects", "dialed", "reused", "reusable", "stale", "dial_failures")))
    tally.expect(name, agrees and report["complete"] and good, "server: %s, %s" % (stats, short(report)))


@tally.timed
def test_many_short():
    n = 2000 if harness.HEAVY else 200
    with World() as world, harness.Nginx() as nginx:
        command = shell_loop("curl -s -o /dev/null " + nginx.url("/bytes/10"), n)
        outcome, report = world.report(command, timeout=600)
        samples = report["samples"]
        counted("a loop of %d curls" % n, n, nginx.stats(), report, outcome.status == 0 and report["processes"] == {"ended": n, "running": 0} and
                report["schema_version"] == 1 and report["command"] == command and report["exit_status"] == 0 and
                0 < report["duration_seconds"] <= outcome.seconds)
        # The broker may have been too slow (10 ms) once.
        tally.expect_in_time("one dial for a loop of %d curls" % n, report["totals"]["dialed"] == 1, short(report))
        tally.expect("samples are in order, and not too many", 3 <= len(samples) <= 512 and
                     all(a["seconds"] < b["seconds"] and a["connects"] <= b["connects"] for a, b in zip(samples, samples[1:])),
                     json.dumps(samples)[:500])
        tally.expect("nothing is left of the run", not [name for name in os.listdir(world.stats) if name.startswith("run-")],
                     str(os.listdir(world.stats)))
        nginx.reset()
        outcome, report = world.report(["sh", "-c", "seq %d | xargs -P 8 -I{} curl -s -o /dev/null %s" % (n, nginx.url("/bytes/10"))], timeout=600)
        stats = nginx.stats()
        stats["connections"] -= report["totals"]["borrowed"] - report["totals"]["reused"] + 1  # the first run's connection served first
        counted("%d of them, eight at once" % n, n, stats, report, report["processes"]["ended"] == n)


def test_killed():
    """The counts of killed processes are kept, also those that the next owner of a slot finds in it."""
    n = 400 if harness.HEAVY else 40
    with World() as world, harness.Nginx() as nginx:
        command = shell_loop("%s %d 5 $([ $((i %% 2)) = 0 ] && echo kill || echo exit) >/dev/null" % (client(), nginx.port), n)
        _, report = world.report(command, "--pool=local", timeout=120)
        counted("%d processes, half of them killed" % n, 5 * n, nginx.stats(), report, report["processes"]["ended"] == n and
                report["totals"]["dialed"] == n)


def test_executes():
    """What threads that begin at once have counted is there when their process has become another program."""
    with World() as world, harness.Nginx() as nginx:
        command = ["sh", "-c", 'for i in 1 2 3 4 5; do "$0" -c "$@"; done', PYTHON, AT_ONCE, str(nginx.port)]
        _, report = world.report(command, "--pool=local")
        counted("5 programs of 8 threads that execute another", 120, nginx.stats(), report)


def test_ends():
    """So are those of processes that end without their exit handlers."""
    with World() as world, harness.Nginx() as nginx:
        command = ["sh", "-c", 'for end in quick number execute; do for n in 1 2 3 4; do "$0" "$1" $n $end >/dev/null; done; done',
                   client(), str(nginx.port)]
        _, report = world.report(command, "--pool=local")
        counted("12 programs that end at once", 30, nginx.stats(), report)


def test_file_limit():
    """Where a file may not be as long as a page of counts, nothing is counted, and no program ends for it.
    Nor for a log that may not be longer."""
    with World() as world, harness.Server() as server:
        script = 'ulimit -f 8; for n in 1 6; do for end in exit execute kill; do "$0" "$1" $n $end >/dev/null; echo $?; done; done'
        log = world.path("log")
        with open(log, "w") as file:
            file.write("x" * 4096)
        outcome = world.holdline("run", "--quiet", "--log=" + log, "--", "sh", "-c", script, client(), str(server.port))
        tally.expect("nobody ends for the size of a file", outcome.output.split() == [b"0", b"0", b"137"] * 2 and
                     os.path.getsize(log) <= 4096, outcome.text())


def test_forks():
    """A fork at whatever moment leaves the parent's counts alone."""
    forking = harness.compile_program("report_forking", ["tests/report/forking.c"])
    with World() as world, harness.Nginx() as nginx:
        _, report = world.report(shell_loop("%s %d" % (forking, nginx.port), 200), "--pool=local", timeout=120)
        counted("200 processes that fork while they count", 1200, nginx.stats(), report)


def test_observe():
    with World() as world, harness.Nginx() as nginx:
        command = [client(), str(nginx.port), "30", "exit"]
        _, report = world.report(command, "--mode=observe")
        observed = nginx.stats()
        counted("observe", 30, observed, report, report["mode"] == "observe" and report["totals"]["reusable"] == 30)
        nginx.reset()
        harness.run(command, False)
        tally.expect("connections are as bare", nginx.stats() == observed, "%s, bare %s" % (observed, nginx.stats()))
        _, report = world.report(shell_loop("curl -s -o /dev/null " + nginx.url("/bytes/10"), 10), "--mode=observe")
        replay = get(report, "destinations", 0, "replay", default={})
        tally.expect("what a pool would have made of it", replay.get("uses") == 10 and replay.get("dials") == 1 and
                     replay.get("pool_size") == 1 and report["totals"]["dialed"] == 10, short(report))
        _, report = world.report(command, "--mode=off")
        tally.expect("off: nothing is counted", report["totals"]["connects"] == 0 and report["mode"] == "off", short(report))


def test_refusals():
    with World() as world, harness.Server() as server:
        _, report = world.report(["curl", "-s", "-o", "/dev/null", server.url("/length/10?close"), server.url("/length/10?close")], "--mode=observe")
        n = sum(report["refusals"].values()) + report["totals"]["reusable"]
        tally.expect("each connection was kept or has a reason", n == report["totals"]["connects"] > 0, short(report))
        _, report = world.report(shell_loop("curl -s -o /dev/null http://127.0.0.1:1/", 3))
        tally.expect("errors by name", report["errors"] == {"ECONNREFUSED": 3} and report["totals"]["dial_failures"] == 3 and
                     report["totals"]["dialed"] == 0, short(report))


def test_no_ports():
    """In a namespace of 20 ports: the errors, and the ports in use."""
    def exhaust():
        network.set_ports(40000, 40019, tcp_tw_reuse=0)
        with World() as world, harness.Server() as server:
            command = [PYTHON, "-c", "import socket\nfor i in range(30):\n try:\n  s = socket.create_connection(('127.0.0.1', %d))\n"
                       "  s.send(b'x'); s.shutdown(1); s.recv(99); s.close()\n except OSError: pass" % server.port]
            _, report = world.report(command, "--dial-timeout=50ms", "--port-scan=kernel")
            return report, world.holdline("report", world.path("run.json")).output.decode()
    try:
        report, text = network.Inside(exhaust).result()
    except RuntimeError as error:
        tally.skip("no ports", str(error).splitlines()[-1])
        return
    # The server listens on two of them.
    tally.expect("no ports", get(report, "errors") == {"EADDRNOTAVAIL": 12} and get(report, "ports", "usable") == 18 and
                 get(report, "ports", "peak_used") == 18 and get(report, "ports", "peak_ratio") == 1 and
                 report["totals"]["dialed"] == 18, short(report))
    tally.expect("no ports, in words", "None of 30 connects was served by a kept connection; 18 had to be dialed, 12 failed.\n" in text and
                 text.count("18 of 18 usable ports (100 %)") == text.count("At the peak") == text.count("by all programs together") == 1, text)


def test_without_outcome():
    """A connect that is in no column, since a kill or the program's silence ended it, is in the sentence and in its whole."""
    with World() as world, harness.Nginx() as nginx:
        for name, end, flag in ("killed", "s = dial(); os.kill(os.getpid(), 9)", "--pool=local"), ("silent", "dial().close()", "--relay=always"):
            if name == "silent" and b"(the relay): yes" not in world.holdline("version", "--verbose").output:
                tally.skip(name, "no relay can be had here")
                continue
            _, report = world.report([PYTHON, "-c", FETCHES + end, str(nginx.port)], flag)
            text = world.holdline("report", world.path("run.json")).output.decode()
            served, dialed = report["totals"]["reused"], report["totals"]["dialed"]
            ratio = report["totals"]["reuse_ratio"]
            tally.expect(name, served + dialed == 20 and abs(ratio - served / 21) < 1e-9 and
                         "%d of 21 connects were served by a kept connection (%.0f %%); %d had to be dialed, 1 without an outcome on record.\n" % (
                             served, 100 * ratio, dialed) in text, text + short(report))
            tally.expect(name + ": the table's share is the same", re.search(r"\n127.0.0.1:\d+ .* %.0f %% " % (100 * ratio), text), text)


def test_same_fields():
    """The manual's lists are what the JSON has: of totals, of each destination, and of both."""
    with World() as world, harness.Nginx() as nginx:
        _, report = world.report([client(), str(nginx.port), "2", "exit"])
        with open(os.path.join(harness.ROOT, "tools/man/holdline-report.1")) as file:
            manual = file.read()
        both = manual[manual.index(".It Va totals No and"):manual.index(".It Va refusals , errors , dial_seconds")]
        listed = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"(?m)^\.It Va (.*)", both)).replace("No and each of Va", "")))
        listed -= {"totals", "destinations"}
        each = {"refusals", "errors", "dial_seconds"}
        tally.expect("totals", set(report["totals"]) == listed, "%s, the manual: %s" % (sorted(report["totals"]), sorted(listed)))
        tally.expect("destinations", set(report["destinations"][0]) - {"replay"} == listed | each | {"destination", "active", "idle"},
                     str(sorted(report["destinations"][0])))
        tally.expect("the whole run", each <= set(report) and set(report["destinations"][0]["dial_seconds"]) == set(report["dial_seconds"]), short(report))


def test_nested_and_background():
    with World() as world, harness.Nginx() as nginx:
        fetch = "%s %d 3 " % (client(), nginx.port)
        inner = world.path("inner.json")
        _, report = world.report(["sh", "-c", "%s exit; %s run --quiet --report=%s -- %s exit; %s exit" % (fetch, HOLDLINE, inner, fetch, fetch)])
        with open(inner) as file:
            nested = json.load(file)
        tally.expect("a run within a run", get(report, "totals", "connects") == 9 and nested["totals"]["connects"] == 3, short(report))

        # One that goes on when the program has ended, and connects once more after that.
        go_on = world.path("go-on")
        os.mkfifo(go_on)
        late = "%s %d 3 exit; cat %s; exec %s %d 4 wait" % (client(), nginx.port, go_on, client(), nginx.port)
        process = world.start(["sh", "-c", "%s wait <%s >/dev/null & exec %s exit" % (fetch, go_on, fetch)], "--report=" + world.path("run.json"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        writer = open(go_on, "w")
        process.wait(20)
        with open(world.path("run.json")) as file:
            report = json.load(file)
        left = [name for name in os.listdir(world.stats) if name.startswith("run-")]
        tally.expect("a process in the background is counted as far as it is", 3 <= report["totals"]["connects"] <= 6 and
                     report["processes"]["running"] <= 1, short(report))
        writer.close()
        del late

        def total():
            text = world.holdline("metrics").output.decode()
            return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("holdline_connect_attempts_total{"))
        tally.expect("all of it is in the outer folder at last", wait_until(lambda: total() == 15 and
                     not [name for name in os.listdir(world.stats) if name.startswith("run-")]), "%s, %s %s" % (total(), left, os.listdir(world.stats)))


def test_other_user():
    """A server is started by root, and its workers become somebody else before they connect."""
    if os.geteuid():
        tally.skip("counts of another user", "only root can become one")
        return
    script = """
import encodings.idna, os, socket, sys, urllib.request
socket.getaddrinfo("127.0.0.1", 1)
def get(n):
    for _ in range(n):
        urllib.request.urlopen(sys.argv[1]).read()
if sys.argv[2] == "before":
    get(1)
children = []
for n in 1, 2, 6:
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        get(n)
        os.kill(os.getpid(), 9) if n == 2 else os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""
    with World() as world, harness.Nginx() as nginx:
        for when, n in ("before", 10), ("never", 9):
            log = world.path("log-" + when)
            _, report = world.report([sys.executable, "-c", script, nginx.url("/bytes/10"), when], "--log=" + log)
            with open(log) as file:
                logged = sum(" dial " in line or " lease " in line for line in file)
            tally.expect("counts of another user, root's own first: " + when, report["totals"]["connects"] == n and logged == n, "%s, %s" % (
                logged, short(report)))


def test_left_by_a_killed_run():
    with World() as world, harness.Nginx() as nginx:
        process = world.start([client(), str(nginx.port), "5", "wait"], "--report", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        children = [int(pid) for pid in open("/proc/%d/task/%d/children" % (process.pid, process.pid)).read().split()]
        process.kill()
        # Its end of file would have the program end by itself, and be killed while it adds up its counts.
        tally.expect("what `holdline run` was waiting for dies with it", wait_until(lambda: not any(is_alive(pid) for pid in children)), str(children))
        process.communicate()
        _, report = world.report([client(), str(nginx.port), "2", "exit"])
        left = os.listdir(world.stats)
        text = world.holdline("metrics").output.decode()
        tally.expect("the next one adds up what it left", report["totals"]["connects"] == 2 and
                     re.search(r'^holdline_connect_attempts_total\{[^}]*\} 7$', text, re.M) and
                     not [name for name in os.listdir(world.stats) if name.startswith("run-")], "%s %s" % (left, text[:1500]))


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_callsites():
    with open(os.path.join(harness.ROOT, "tests", "report", "client.c")) as file:
        line = [number for number, text in enumerate(file, 1) if "this line is looked for" in text][0]
    with World() as world, harness.Nginx() as nginx:
        arguments = [str(nginx.port), "3", "exit"]
        _, report = world.report([client(), *arguments])
        callsite = get(report, "callsites", 0, default={})
        tally.expect("function and line", len(report["callsites"]) == 1 and callsite["location"] == "client.c:%d" % line and
                     callsite["function"] == "fetch_one" and callsite["line"] == line and callsite["file"].endswith("tests/report/client.c") and
                     callsite["module"] == client() and callsite["offset"].startswith("0x") and callsite["connects"] == 3 and
                     callsite["dialed"] == 1 and callsite["destination"] == "127.0.0.1:%d" % nginx.port, short(report))
        _, report = world.report([client(), *arguments], "--callsites=stack")
        callers = get(report, "callsites", 0, "callers", default=[])
        tally.expect("and its callers", [caller.get("function") for caller in callers][:2] == ["fetch_many", "main"], short(report))
        _, report = world.report([client(), str(nginx.port), "1", "fast"])
        tally.expect("of a call that connects and sends", get(report, "callsites", 0, "function") == "fetch_fast", short(report))
        _, report = world.report([client(), *arguments], "--callsites=off")
        tally.expect("none", report["callsites"] == [] and report["totals"]["connects"] == 3, short(report))

        stripped, debug = world.path("stripped"), world.path("stripped.debug")
        shutil.copy(client(), stripped)
        subprocess.run(["strip", stripped], check=True)
        _, report = world.report([stripped, *arguments])
        callsite = report["callsites"][0]
        tally.expect("stripped: file and address", re.fullmatch(r"stripped\+0x[0-9a-f]+", callsite["location"]) and "function" not in callsite and
                     "line" not in callsite, short(report))
        subprocess.run(["objcopy", "--only-keep-debug", client(), debug], check=True)
        subprocess.run(["objcopy", "--add-gnu-debuglink=" + debug, stripped], check=True)
        _, report = world.report([stripped, *arguments])
        tally.expect("with its debugging information beside it", report["callsites"][0]["location"] == "client.c:%d" % line, short(report))
