"""Memcached servers of a test's own."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from wire import Client


def two_free_ports(first=None):
    first = first or harness.free_port()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", first))
        holder.listen()
        return first, harness.free_port()


class Memcached:
    """One, alive inside a with block. It listens on a second port, too, for what is not to be counted. `options`: more of its
    command line; `password`: it wants text logins as usr with that one."""

    def __init__(self, *options, password=None):
        self.options, self.password, self.fixed_port = options, password, None

    def at(self, port):
        """Where another one was before."""
        self.fixed_port = port
        return self

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="holdline-memcached-")
        os.chmod(self.folder, 0o755)
        self.port, self.control_port = two_free_ports(self.fixed_port)
        self.arguments = str(self.port), str(self.control_port)
        options = list(self.options)
        if self.password:
            path = os.path.join(self.folder, "users")
            with open(path, "w") as file:
                file.write("usr:%s\n" % self.password)
            options += ["-Y", path]
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        listen = "127.0.0.1:%d,127.0.0.1:%d" % (self.port, self.control_port)
        self.process = subprocess.Popen(["memcached", *as_user, "-U", "0", "-t", "2", "-l", listen, *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.environment(False))
        self.n_own = 0
        if not harness.wait_until(self.answers):
            raise RuntimeError("memcached does not start")
        self.base = self.n_counted()
        return self

    def answers(self):
        try:
            self.control().close()
        except OSError:
            return False
        return True

    def control(self):
        client = Client(self.control_port)
        self.n_own += 1
        if self.password:
            login = "usr " + self.password
            client.ask("set login 0 0 %d" % len(login), login)
        return client

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def statistic(self, name):
        client = self.control()
        lines = client.until_end("stats")
        client.close()
        return int(dict(line.split()[1:] for line in lines if line.startswith("STAT "))[name])

    def n_counted(self):
        return self.statistic("total_connections") - self.n_own

    def n_connections(self):
        """How many were ever made, those of the test itself not counted."""
        return self.n_counted() - self.base
