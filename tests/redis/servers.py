"""Redis servers of a test's own."""
import os
import shutil
import signal
import subprocess
import tempfile

import harness
from resp import Client


class Redis:
    """One, alive inside a with block. `options`: lines of its configuration; `password`: of the default user."""

    def __init__(self, *options, password=None):
        self.options, self.password = options, password

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="holdline-redis-")
        self.path = os.path.join(self.folder, "socket")
        self.port = harness.free_port()
        self.arguments = str(self.port), self.path
        lines = ["port %d" % self.port, "bind 127.0.0.1", "unixsocket " + self.path, "dir " + self.folder, 'save ""',
                 "user tester on >word ~* &* +@all", *self.options]
        if self.password:
            lines.append("requirepass " + self.password)
        settings = os.path.join(self.folder, "redis.conf")
        with open(settings, "w") as file:
            file.write("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["redis-server", settings], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        env=harness.environment(False))
        self.n_own = 0
        if not harness.wait_until(self.answers):
            raise RuntimeError("redis-server does not start")
        return self

    def answers(self):
        try:
            self.ask("PING")
        except OSError:
            return False
        return True

    def ask(self, *words):
        """By a connection of its own, past every library."""
        control = Client.unix(self.path)
        self.n_own += 1
        try:
            if self.password:
                control.ask("AUTH", self.password)
            return control.ask(*words)
        finally:
            control.close()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def info(self, name):
        """A number of INFO."""
        for line in self.ask("INFO", "everything").split("\r\n"):
            if line.startswith(name + ":"):
                return line.split(":", 1)[1]
        return None

    def n_connections(self):
        """How many were ever made, those of the test itself not counted."""
        return int(self.info("total_connections_received")) - self.n_own

    def n_calls(self, command):
        found = self.info("cmdstat_" + command)
        return int(found.split("=")[1].split(",")[0]) if found else 0


def reusing(**settings):
    """The environment of a program whose connections to Redis are reused."""
    return dict({"HOLDLINE_PROTOCOLS": "all"}, **settings)
