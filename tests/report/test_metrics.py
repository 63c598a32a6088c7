"""`holdline metrics`: as text, in a file, and over HTTP."""
import os
import subprocess
import time

import harness
from metrics_text import Listening, check_histograms, parse_metrics, value
from run_world import World, client
from suite import tally


def test_metrics():
    with World() as world, harness.Nginx() as nginx:
        empty = parse_metrics(world.holdline("metrics").output.decode())
        tally.expect("metrics of nothing", value(empty, "holdline_connect_attempts", destination="other") == 0 and
                     value(empty, "holdline_build_info") == 1, str(empty)[:500])
        here = "127.0.0.1:%d" % nginx.port
        process = world.start([client(), str(nginx.port), "5", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        world.holdline("run", "--quiet", "--", client(), str(nginx.port), "5", "exit")
        world.holdline("run", "--quiet", "--", "curl", "-s", "http://127.0.0.1:1/")
        text = world.holdline("metrics").output.decode()
        families = parse_metrics(text)
        dialed = value(families, "holdline_connection_dials", destination=here)
        tally.expect("counts", value(families, "holdline_connect_attempts", destination=here) == 10 and
                     dialed + value(families, "holdline_connection_reuses", destination=here) == 10 and
                     dialed == nginx.stats()["connections"] and
                     value(families, "holdline_connect_failures", destination="127.0.0.1:1", errno="ECONNREFUSED") == 1 and
                     value(families, "holdline_connect_failures", destination=here, errno="EADDRNOTAVAIL") == 0 and
                     value(families, "holdline_processes") == 1 and value(families, "holdline_reuse_refusals", reason="server_close") == 0, text[:1500])
        tally.expect("histograms", check_histograms(families) and
                     families["holdline_connect_duration_seconds"][1]["holdline_connect_duration_seconds_count", 'destination="%s"' % here] == dialed, text[:1500])
        tally.expect("ports", value(families, "holdline_ephemeral_ports_usable") > 0 and
                     0 <= value(families, "holdline_ephemeral_ports_max_usage_ratio") <= 1 and
                     value(families, "holdline_time_wait_connections") is not None, text[:1500])
        few = parse_metrics(world.holdline("metrics", "--destinations", "1").output.decode())
        tally.expect("others are other", value(few, "holdline_connect_attempts", destination=here) == 10 and
                     value(few, "holdline_connect_attempts", destination="other") == 1 and
                     len(few["holdline_connect_attempts"][1]) == 2, str(few)[:500])
        process.communicate()

        path = world.path("holdline.prom")
        for _ in range(2):
            outcome = world.holdline("metrics", "--textfile", path)
        with open(path) as file:
            tally.expect("a textfile", outcome.status == 0 and not outcome.output and parse_metrics(file.read()) and
                         [name for name in os.listdir(world.folder) if "prom" in name] == ["holdline.prom"] and
                         os.stat(path).st_mode & 0o777 == 0o644, str(os.listdir(world.folder)))
        outcome = world.holdline("metrics", "--textfile", "/nonexistent/holdline.prom")
        tally.expect("that can't be written", outcome.status == 1 and b"No such file" in outcome.errors, str(outcome.errors))
        for arguments in ["more"], ["--destinations", "x"], ["--destinations", "-1"], ["--destinations", "1001"], \
                ["--textfile", path, "--listen", ":0"], ["--frobnicate"]:
            outcome = world.holdline("metrics", *arguments)
            tally.expect("metrics %s" % arguments, outcome.status == 2 and b"usage" in outcome.errors, "%s %s" % (outcome.status, outcome.errors))
        for where in "9464", "127.0.0.1", "127.0.0.1:x", "localhost:9464", "127.0.0.1:65536", "[::1:9464", "", "127.0.0.1:9464x":
            outcome = world.holdline("metrics", "--listen", where)
            tally.expect("--listen %s" % where, outcome.status == 1 and b"expected an address" in outcome.errors, "%s %s" % (outcome.status, outcome.errors))


def test_many():
    """As many processes and destinations as there is room for: none is lost, and destinations with a name are exact."""
    many = harness.compile_program("report_many", ["tests/report/many.c"])
    with World() as world:
        # Nobody listens there: each connect is a counted failure.
        programs = world.start([many, "1", "1000", "500", "20", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        tally.expect("1,000 processes have connected", programs.stdout.readline() == b"20000 failed\n", "")
        for _ in range(2):
            families = parse_metrics(world.holdline("metrics", "--destinations", "500").output.decode())
            attempts = families["holdline_connect_attempts"][1]
            tally.expect("1,000 processes with 500 destinations", value(families, "holdline_processes") == 1000 and len(attempts) == 501 and
                         sorted(set(attempts.values())) == [0, 40] and value(families, "holdline_connect_attempts", destination="127.1.1.244:1") == 40,
                         (value(families, "holdline_processes"), len(attempts), sorted(set(attempts.values()))))
        few = parse_metrics(world.holdline("metrics").output.decode())["holdline_connect_attempts"][1]
        tally.expect("50 with names, and others", sorted(few.values()) == [40] * 50 + [450 * 40], sorted(few.values())[-5:])
        programs.communicate()
        families = parse_metrics(world.holdline("metrics", "--destinations", "500").output.decode())
        tally.expect("and when they have ended", value(families, "holdline_processes") == 0 and
                     sum(families["holdline_connect_attempts"][1].values()) == 20000, value(families, "holdline_processes"))


def test_listen():
    with World() as world, harness.Nginx() as nginx:
        world.holdline("run", "--quiet", "--", client(), str(nginx.port), "5", "exit")
        with Listening(world) as listening:
            status, kind, text = listening.ask(Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
            families = parse_metrics(text)
            tally.expect("OpenMetrics", status == 200 and kind == "application/openmetrics-text; version=1.0.0; charset=utf-8" and
                         value(families, "holdline_connect_attempts", destination="127.0.0.1:%d" % nginx.port) == 5, "%s %s" % (status, kind))
            status, kind, text = listening.ask()
            plain = parse_metrics(text, False)
            tally.expect("the older format", status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8" and
                         value(plain, "holdline_connect_attempts_total", destination="127.0.0.1:%d" % nginx.port) == 5, "%s %s" % (status, kind))
            tally.expect("nothing else", listening.ask("/nothing")[0] == 404 and listening.ask(method="POST")[0] == 405 and
                         listening.ask(method="HEAD") [0] == 200 and listening.ask("/")[0] == 200, "")
            # It goes on, and shows what came after.
            world.holdline("run", "--quiet", "--", client(), str(nginx.port), "2", "exit")
            time.sleep(1.1)
            tally.expect("what comes later", value(parse_metrics(listening.ask()[2], False), "holdline_connect_attempts_total",
                                                   destination="127.0.0.1:%d" % nginx.port) == 7, "")
            outcome = world.holdline("metrics", "--listen", "127.0.0.1:%d" % listening.port)
            tally.expect("a port that is taken", outcome.status == 1 and b"in use" in outcome.errors, str(outcome.errors))
        tally.expect("SIGTERM ends it in order", listening.status == 0, str(listening.status))
        if os.path.exists("/proc/net/if_inet6"):
            with Listening(world, "[::1]:0") as listening:
                tally.expect("IPv6", listening.ask(host="::1")[0] == 200, "")
