"""Prometheus takes the metrics, and the shipped alerts and dashboard name what there is."""
import contextlib
import json
import os
import re
import shutil
import subprocess

import yaml

import dashboard_schema
import harness
import network
from harness import wait_until
from metrics_text import Listening
from prometheus import Prometheus
from run_world import World, client
from suite import tally


SHIPPED = os.path.join(harness.ROOT, "tools", "prometheus")


def load(name):
    with open(os.path.join(SHIPPED, name)) as file:
        return yaml.safe_load(file)


def read_manual():
    with open(os.path.join(harness.ROOT, "tools", "man", "holdline-metrics.1")) as file:
        return file.read().replace("\\", "")


def all_rules(rules):
    return [rule for group in rules["groups"] for rule in group["rules"]]


def test_dashboard_schema():
    """It finds what Grafana would not understand."""
    for what, change in {
            "a field that is misspelt": lambda panel: panel.update(tittle="x"),
            "a unit": lambda panel: panel["fieldConfig"]["defaults"].update(unit="second"),
            "a width": lambda panel: panel["gridPos"].update(w=25),
            "another's place": lambda panel: panel["gridPos"].update(x=1),
            "another's id": lambda panel: panel.update(id=2),
            "a query without a letter": lambda panel: panel["targets"][0].pop("refId"),
            "a mode": lambda panel: panel["fieldConfig"]["defaults"]["color"].update(mode="threshold"),
            "steps out of order": lambda panel: panel["fieldConfig"]["defaults"]["thresholds"]["steps"].reverse()}.items():
        dashboard = load("holdline-dashboard.json")
        before = dashboard_schema.faults(dashboard)
        change(dashboard["panels"][0])
        tally.expect("the schema finds " + what, not before and dashboard_schema.faults(dashboard), before)


def test_shipped():
    """The rules and the dashboard name what there is."""
    with World() as world, harness.Nginx() as nginx:
        world.holdline("run", "--quiet", "--", client(), str(nginx.port), "5", "exit")
        text = world.holdline("metrics").output.decode()
        names = set(re.findall(r"^(holdline_[a-z_]+)", text, re.M))
        dashboard, rules = load("holdline-dashboard.json"), load("holdline.rules.yml")
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        queries = [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
        # A recording's name has a colon on both sides of ours.
        used = set(re.findall(r"(?<![a-z_:])holdline_[a-z_]+", "\n".join(expressions + queries + [rule["expr"] for rule in all_rules(rules)])))
        tally.expect("metrics that there are", used <= names and len(used) > 10, str(used - names))
        tally.expect("the dashboard is as Grafana has it", not dashboard_schema.faults(dashboard), dashboard_schema.faults(dashboard)[:5])
        variables = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval", "__all"}
        tally.expect("its variables", set(re.findall(r"\$\{?([a-z_]+)", json.dumps(dashboard))) == variables, variables)
        manual = read_manual()
        families = {re.sub("_(bucket|count|sum)$", "", name) for name in names}
        tally.expect("metrics in the manual", all(name in manual for name in families), str([name for name in families if name not in manual]))
        if not shutil.which("promtool"):
            tally.skip("promtool", "Prometheus is only installed for `make torture`")
            return
        promtool(world, text, expressions)
        examples = [yaml.safe_load(block) for block in re.findall(r"\.Bd -literal\n([a-z_]+:\n.*?)\.Ed", manual, re.S)]
        # The Collector's receiver takes what Prometheus takes.
        for i, example in enumerate(examples):
            with open(world.path("example.yml"), "w") as file:
                yaml.safe_dump(example.get("receivers", {}).get("prometheus", {}).get("config", {**example, "rule_files": [os.path.join(SHIPPED, "holdline.rules.yml")]}), file)
            outcome = harness.run(["promtool", "check", "config", world.path("example.yml")], False, 60)
            tally.expect("the manual's configuration %d" % i, outcome.status == 0 and len(examples) == 2, (outcome.output + outcome.errors).decode()[-1500:])


def promtool(world, text, expressions):
    outcome = harness.run(["promtool", "test", "rules", os.path.join(harness.ROOT, "tests", "report", "alerts.yml")], False, 60)
    tally.expect("the alerts fire when they should, and sums are recorded", outcome.status == 0, (outcome.output + outcome.errors).decode()[-1500:])
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
        config = {"global": {"scrape_interval": "1s"}, "rule_files": [os.path.join(SHIPPED, "holdline.rules.yml")],
                  "scrape_configs": [{"job_name": "holdline", "static_configs": [{"targets": ["127.0.0.1:%d" % listening.port]}]}]}
        with Prometheus(world.folder, config) as prometheus:
            def has_counts():
                return any(labels["destination"].endswith(":%d" % nginx.port) and value == 5
                           for labels, value in prometheus.query("holdline_connect_attempts_total"))
            tally.expect("it has the counts", wait_until(has_counts, 30), str(prometheus.ask("targets"))[:800])
            metadata = prometheus.ask("metadata")
            kinds = {name: metadata[name][0]["type"] for name in metadata}
            tally.expect("and knows what they are", kinds.get("holdline_connect_attempts") == "counter" and
                         kinds.get("holdline_connect_duration_seconds") == "histogram" and kinds.get("holdline_idle_connections") == "gauge", str(kinds))


class Machine:
    """A network namespace with an exporter and a server, counters of its own in a folder, inside a with block."""

    def __init__(self, stack, world, number):
        self.there = stack.enter_context(network.Neighbour(number))
        self.stats = world.path("stats.%d" % number)
        os.mkdir(self.stats, 0o700)
        self.address = "10.78.%d.2:9464" % number
        self.server = stack.enter_context(harness.Server(prefix=self.there))
        exporter = self.start([harness.HOLDLINE, "metrics", "--listen", self.address], False)
        stack.callback(exporter.wait)
        stack.callback(exporter.terminate)

    def start(self, command, preloaded):
        return subprocess.Popen([*self.there, *command], env=harness.environment(preloaded, HOLDLINE_STATS=self.stats), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connect(self, n):
        return self.start([client(), str(self.server.port), str(n), "exit"], True).wait()


def scrape_fleet():
    """Three machines; the third comes while Prometheus runs. Returns what it knew: of two, of three, and the sums."""
    with World() as world, contextlib.ExitStack() as stack:
        machines = [Machine(stack, world, number) for number in (1, 2, 3)]

        def write_targets(n):
            # At once, as the documentation of file_sd advises.
            with open(world.path("new.json"), "w") as file:
                json.dump([{"targets": [machine.address], "labels": {"site": "site-%d" % (i % 2)}} for i, machine in enumerate(machines[:n])], file)
            os.rename(world.path("new.json"), world.path("fleet.json"))
        for n, machine in zip((3, 5, 7), machines):
            machine.connect(n)
        write_targets(2)
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [os.path.join(SHIPPED, "holdline.rules.yml")],
                  "scrape_configs": [{"job_name": "holdline", "file_sd_configs": [{"files": [world.path("fleet.json")]}]}]}
        prometheus = stack.enter_context(Prometheus(world.folder, config))

        def attempts():
            return sorted([labels["instance"], labels["site"], value] for labels, value in
                          prometheus.query('holdline_connect_attempts_total{destination!="other"}'))
        wait_until(lambda: len(attempts()) == 2, 30)
        two = attempts()
        write_targets(3)
        wait_until(lambda: len(attempts()) == 3, 30)
        wait_until(lambda: len(prometheus.query("job_instance:holdline_connect_attempts:rate5m")) == 3, 30)
        recorded = sorted(labels["instance"] for labels, _ in prometheus.query("job_instance:holdline_connect_attempts:rate5m"))
        return {"two": two, "three": attempts(), "recorded": recorded, "up": prometheus.query("sum(up)"),
                "jobs": prometheus.query("count(holdline_build_info)"), "targets": str(prometheus.ask("targets"))[:1500]}


def test_fleet():
    """A real Prometheus scrapes several machines, which it finds by a file; each has series of its own."""
    if not harness.HEAVY and not shutil.which("prometheus"):
        tally.skip("fleet", "Prometheus is only installed for `make torture`")
        return
    if os.geteuid() != 0:
        tally.skip("fleet", "needs root")
        return
    known = network.Inside(scrape_fleet).result()
    series = [["10.78.1.2:9464", "site-0", 3], ["10.78.2.2:9464", "site-1", 5], ["10.78.3.2:9464", "site-0", 7]]
    tally.expect("fleet: two machines", known["two"] == series[:2], known)
    tally.expect("fleet: a third one comes", known["three"] == series and known["up"] == known["jobs"] == [[{}, 3]], known)
    tally.expect("fleet: sums are recorded for each", known["recorded"] == [row[0] for row in series], known)
