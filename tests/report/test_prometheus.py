"""Prometheus takes the metrics, and the shipped alerts and dashboard name what there is."""
import http.client
import json
import os
import re
import shutil
import subprocess

import harness
from harness import wait_until
from metrics_text import Listening
from run_world import World, client
from suite import tally


def test_shipped():
    """The alerts and the dashboard name what there is."""
    folder = os.path.join(harness.ROOT, "tools", "prometheus")
    with World() as world, harness.Nginx() as nginx:
        world.holdline("run", "--quiet", "--", client(), str(nginx.port), "5", "exit")
        text = world.holdline("metrics").output.decode()
        names = set(re.findall(r"^(holdline_[a-z_]+)", text, re.M))
        with open(os.path.join(folder, "holdline-dashboard.json")) as file:
            dashboard = json.load(file)
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        with open(os.path.join(folder, "holdline.rules.yml")) as file:
            rules = file.read()
        used = set(re.findall(r"holdline_[a-z_]+", " ".join(expressions) + re.sub(r"(?m)^ *(summary|description):.*(\n {12}.*)*", "", rules)))
        tally.expect("metrics that there are", used <= names and len(used) > 10, str(used - names))
        spots = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
        tally.expect("panels in places of their own", len(set(spots)) == len(spots) == len(set(panel["id"] for panel in dashboard["panels"])), str(spots))
        with open(os.path.join(harness.ROOT, "tools", "man", "holdline-metrics.1")) as file:
            manual = file.read().replace("\\", "")
        families = {re.sub("_(bucket|count|sum)$", "", name) for name in names}
        tally.expect("metrics in the manual", all(name in manual for name in families), str([name for name in families if name not in manual]))
        if not shutil.which("promtool"):
            tally.skip("promtool", "Prometheus is only installed for `make torture`")
            return
        promtool(world, text, expressions)


def promtool(world, text, expressions):
    outcome = harness.run(["promtool", "test", "rules", os.path.join(harness.ROOT, "tests", "report", "alerts.yml")], False, 60)
    tally.expect("the alerts fire when they should", outcome.status == 0, (outcome.output + outcome.errors).decode()[-1500:])
    outcome = harness.run(["promtool", "check", "metrics"], False, 60, text.encode())
    complaints = [line for line in outcome.errors.decode().splitlines() if not line.endswith("no help text")]
    tally.expect("the metrics, read as the older format", outcome.status in (0, 3) and not complaints, "%s %s" % (outcome.status, complaints))
    # Panels' expressions as rules, their variables replaced by what Grafana would.
    with open(world.path("panels.yml"), "w") as file:
        file.write("groups: [{name: panels, rules: [%s]}]" % ", ".join(
            "{record: 'panel:%d', expr: '%s'}" % (i, expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$destination", ".*"))
            for i, expression in enumerate(expressions)))
    outcome = harness.run(["promtool", "check", "rules", world.path("panels.yml")], False, 60)
    tally.expect("the dashboard's expressions", outcome.status == 0, (outcome.output + outcome.errors).decode()[-1500:])


def test_prometheus():
    """A real Prometheus takes what is served."""
    if not harness.HEAVY and not shutil.which("prometheus"):
        tally.skip("Prometheus", "it is only installed for `make torture`")
        return
    with World() as world, harness.Nginx() as nginx, Listening(world) as listening:
        world.holdline("run", "--quiet", "--", client(), str(nginx.port), "5", "exit")
        with open(world.path("prometheus.yml"), "w") as file:
            file.write("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: holdline, static_configs: [{targets: ['127.0.0.1:%d']}]}]\n"
                       "rule_files: ['%s']\n" % (listening.port, os.path.join(harness.ROOT, "tools", "prometheus", "holdline.rules.yml")))
        port = harness.free_port()
        process = subprocess.Popen(["prometheus", "--config.file=" + world.path("prometheus.yml"), "--storage.tsdb.path=" + world.path("data"),
                                    "--web.listen-address=127.0.0.1:%d" % port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def query(path):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/api/v1/" + path)
                return json.load(connection.getresponse())["data"]
            except (OSError, ValueError, LookupError):
                return {}

        def has_counts():
            results = query("query?query=holdline_connect_attempts_total").get("result", [])
            return any(result["metric"]["destination"].endswith(":%d" % nginx.port) and result["value"][1] == "5" for result in results)
        tally.expect("it has the counts", wait_until(has_counts, 30), str(query("targets"))[:800])
        metadata = query("metadata")
        kinds = {name: metadata[name][0]["type"] for name in metadata}
        tally.expect("and knows what they are", kinds.get("holdline_connect_attempts") == "counter" and
                     kinds.get("holdline_connect_duration_seconds") == "histogram" and kinds.get("holdline_idle_connections") == "gauge", str(kinds))
        process.terminate()
        process.wait()
