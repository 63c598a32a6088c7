"""A broker of a test's own, and the programs that share connections through it."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import harness
from harness import HOLDLINE, wait_until


class World:
    """A user's folder with a broker in it, alive inside a with block."""

    def __init__(self, **settings):
        self.settings = {key: value for key, value in settings.items() if value is not None}

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="holdline-broker-")
        self.path = os.path.join(self.folder, "holdline", "broker")
        return self

    def __exit__(self, *_):
        pid = self.broker_pid()
        if pid:
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not os.path.exists(self.path))
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, extra):
        # Programs preload harness.SHIM, which may be another build than the broker's (a sanitized one).
        return dict(self.settings, XDG_RUNTIME_DIR=self.folder, HOLDLINE_LIBRARY=harness.SHIM, **extra)

    def run(self, command, timeout=30, **extra):
        return harness.run([HOLDLINE, "run", "--quiet", "--", *command], False, timeout, **self.environment(extra))

    def start(self, command, **extra):
        return subprocess.Popen([HOLDLINE, "run", "--quiet", "--", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                env=harness.environment(False, **self.environment(extra)), text=True)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self.path)
        return connection

    def broker_pid(self):
        """The process that listens there, as the kernel says."""
        try:
            with self.connect() as connection:
                return struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            return None

    def status(self):
        outcome = harness.run([HOLDLINE, "status", "--json"], False, 10, HOLDLINE_BROKER=self.path)
        return json.loads(outcome.output)["connections"]

    def n_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.broker_pid()))
