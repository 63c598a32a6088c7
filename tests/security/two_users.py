"""Two users of one machine, and where the victim's files lie."""
import os
import shutil
import signal
import socket
import struct
import tempfile

import harness
from harness import HOLDLINE, wait_until
from suite import tally

VICTIM, ATTACKER = 64771, 64772  # nobody's
# The default folders of the victim's files.
PLACES = {"/tmp": "/tmp/holdline-%d" % VICTIM, "/dev/shm": "/dev/shm/holdline-%d" % VICTIM}
AS_VICTIM = ["setpriv", "--reuid", str(VICTIM), "--regid", str(VICTIM), "--clear-groups"]


class Folder:
    """A folder that every user may enter, with copies of the product that they can read."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="holdline-security-")
        os.chmod(self.path, 0o1777)
        self.holdline = shutil.copy(HOLDLINE, self.path)
        self.shim = shutil.copy(harness.SHIM.split(":")[-1], self.path)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def curl(self, server, **extra):
        """The victim's, with the library alone."""
        return harness.run([*AS_VICTIM, "env", "LD_PRELOAD=" + self.shim, "curl", "-sS", "-m", "5", server.url("/bytes/10")], False, 10, **extra)


def remove_places():
    for place in PLACES.values():
        remove(place)


def needs_root(name):
    if os.geteuid() != 0:
        tally.skip(name, "needs root, to be two users")
    return os.geteuid() == 0


def run_with_broker(folder, command, **extra):
    """A shell command under `holdline run`, with a broker in the folder that is ended afterwards."""
    path = folder / "run/holdline/broker"
    outcome = harness.run([HOLDLINE, "run", "--quiet", "--", "bash", "-c", command], False, 30, XDG_RUNTIME_DIR=folder / "run",
                          HOLDLINE_LIBRARY=harness.SHIM, **extra)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
            pid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(path))
    except OSError:
        pass  # there is none
    return outcome


def remove(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
