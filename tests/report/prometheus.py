"""A real Prometheus, alive inside a with block."""
import http.client
import json
import subprocess
import urllib.parse

import harness
import yaml


class Prometheus:
    """`folder`: where its configuration and its data go; `config`: the former, as a value."""

    def __init__(self, folder, config):
        self.folder, self.config = folder, config

    def __enter__(self):
        with open(self.folder + "/prometheus.yml", "w") as file:
            yaml.safe_dump(self.config, file)
        self.port = harness.free_port()
        self.process = subprocess.Popen(
            ["prometheus", "--config.file=%s/prometheus.yml" % self.folder, "--storage.tsdb.path=%s/data" % self.folder,
             "--web.listen-address=127.0.0.1:%d" % self.port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, path):
        """The data of an answer of its API; {} if there is none yet."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/api/v1/" + path)
            return json.load(connection.getresponse())["data"]
        except (OSError, ValueError, LookupError):
            return {}

    def query(self, expression):
        """[(labels, value)] of an expression now."""
        results = self.ask("query?query=" + urllib.parse.quote(expression)).get("result", [])
        return [(result["metric"], float(result["value"][1])) for result in results]
