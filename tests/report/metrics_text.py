"""Reads what `holdline metrics` writes, and is strict about its format."""
import http.client
import re
import subprocess

import harness
from harness import HOLDLINE


def parse_metrics(text, is_openmetrics=True):
    """{family: (type, {(name, labels): value})} of a text that keeps to the format; ValueError says where it does
    not."""
    families, name, seen = {}, None, set()
    lines = text.split("\n")
    if lines[-2:] != ["# EOF", ""] or "# EOF" in lines[:-2]:
        raise ValueError("it does not end with # EOF")
    label = r'[a-z]+="(?:[^"\\\n]|\\[\\"n])*"'
    for line in lines[:-2]:
        head = re.fullmatch(r"# (HELP|TYPE) (holdline_[a-z_]+) (.+)", line)
        sample = re.fullmatch(r"(holdline_[a-z_]+)(?:\{(%s(?:,%s)*)\})? (\+Inf|-?[0-9.e+-]+)" % (label, label), line)
        if head and head[1] == "HELP":
            name = head[2]
            if name in families:
                raise ValueError("twice: " + line)
            families[name] = [None, {}]
        elif head and head[2] == name and head[3] in ("counter", "gauge", "histogram") and not families[name][1]:
            families[name][0] = head[3]
        elif sample and name and families[name][0]:
            kind = families[name][0]
            suffixes = {"counter": ["_total"] if is_openmetrics else [""], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}[kind]
            if not any(sample[1] == name + suffix for suffix in suffixes) or (sample[1], sample[2]) in seen:
                raise ValueError("not of %s, or twice: %s" % (name, line))
            seen.add((sample[1], sample[2]))
            families[name][1][sample[1], sample[2] or ""] = float(sample[3])
        else:
            raise ValueError(line)
    return {name: (kind, samples) for name, (kind, samples) in families.items()}


def check_histograms(families):
    kind, samples = families["holdline_connect_duration_seconds"]
    rows = {}
    for (name, labels), value in samples.items():
        destination = re.search('destination="([^"]*)"', labels)[1]
        row = rows.setdefault(destination, {"buckets": []})
        if name.endswith("_bucket"):
            row["buckets"].append((float(re.search('le="([^"]*)"', labels)[1]), value))
        else:
            row[name[-3:]] = value
    for row in rows.values():
        bounds, counts = zip(*row["buckets"])
        if list(bounds) != sorted(set(bounds)) or bounds[-1] != float("inf") or list(counts) != sorted(counts) or counts[-1] != row["unt"]:
            return False
    return kind == "histogram" and rows


def value(families, family, **labels):
    """The one sample with these labels."""
    found = [value for (_, text), value in families[family][1].items()
             if all('%s="%s"' % item in text.split(",") for item in labels.items())]
    return found[0] if len(found) == 1 else None


class Listening:
    """holdline metrics --listen, alive inside a with block."""

    def __init__(self, world, where="127.0.0.1:0"):
        self.world, self.where = world, where

    def __enter__(self):
        self.process = subprocess.Popen([HOLDLINE, "metrics", "--listen", self.where], stderr=subprocess.PIPE, text=True,
                                        env=harness.environment(False, **self.world.environment({"HOLDLINE_STATS": self.world.stats})))
        self.port = int(self.process.stderr.readline().split()[-1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.status = self.process.wait(10)
        self.process.stderr.close()

    def ask(self, path="/metrics", method="GET", host="127.0.0.1", **headers):
        connection = http.client.HTTPConnection(host, self.port, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
