"""A user's folders of a test's own, and what is read from a report."""
import json
import os
import shutil
import subprocess
import tempfile

import harness
from harness import HOLDLINE


class World:
    """A user's folders, and so a broker and counters of its own, alive inside a with block."""

    def __enter__(self):
        # In memory, as XDG_RUNTIME_DIR is.
        self.folder = tempfile.mkdtemp(prefix="holdline-report-", dir="/dev/shm")
        self.stats = os.path.join(self.folder, "holdline", "stats.4")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def environment(self, extra):
        return dict(XDG_RUNTIME_DIR=self.folder, HOLDLINE_LIBRARY=harness.SHIM, LC_ALL="C.UTF-8", **extra)

    def holdline(self, *arguments, timeout=60, stdin=None, **extra):
        # For root, metrics are those of all users.
        if arguments[0] == "metrics":
            extra["HOLDLINE_STATS"] = self.stats
        return harness.run([HOLDLINE, *arguments], False, timeout, stdin, **self.environment(extra))

    def report(self, command, *flags, timeout=60, **extra):
        """Outcome and parsed JSON of a run."""
        path = self.path("run.json")
        if os.path.exists(path):
            os.unlink(path)
        outcome = self.holdline("run", "--quiet", "--report=" + path, *flags, "--", *command, timeout=timeout, **extra)
        try:
            with open(path) as file:
                return outcome, json.load(file)
        except (OSError, ValueError) as error:
            return outcome, {"error": str(error), "stderr": outcome.errors.decode()}

    def start(self, command, *flags, **options):
        return subprocess.Popen([HOLDLINE, "run", "--quiet", *flags, "--", *command], env=harness.environment(False, **self.environment({})),
                                start_new_session=True, **options)


def client():
    return harness.compile_program("report_client", ["tests/report/client.c"])


def shell_loop(command, n):
    return ["sh", "-c", "for i in $(seq %d); do %s; done" % (n, command)]


def short(report):
    return json.dumps({key: value for key, value in report.items() if key != "samples"})[:1500]


def get(report, *path, default=None):
    for key in path:
        try:
            report = report[key]
        except (LookupError, TypeError):
            return default
    return report
