"""HOLDLINE_LOG is reopened when its file was moved."""
import os
import subprocess
import tempfile

import harness
from harness import PYTHON
from suite import tally

# For each line of its input: a request; or what it says, in Python. Answers with a line.
PROGRAM = """
import os, socket, sys, threading
def get():
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
        s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        while s.recv(65536):
            pass
def many():
    threads = [threading.Thread(target=lambda: [get() for _ in range(30)]) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
def descriptors():
    return len(os.listdir("/proc/self/fd"))
for line in sys.stdin:
    print(eval(line), flush=True)
"""

TICK = 1.2  # longer than the interval in which the library looks


# An allowed filter whose presence is enough: the library makes no new kind of system call behind it.
FILTER = """__import__("ctypes").CDLL(None).prctl(38, 1, 0, 0, 0), (lambda c: c.CDLL(None).prctl(22, 2, c.byref(type("P", (c.Structure,),
    {"_fields_": [("n", c.c_ushort), ("f", c.c_char_p)]})(1, bytes([6, 0, 0, 0, 0, 0, 255, 127]))), 0, 0))(__import__("ctypes"))""".replace("\n", "")


class Program:
    def __init__(self, server, log, folder=None):
        self.process = subprocess.Popen([PYTHON, "-c", PROGRAM, str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=harness.environment(True, HOLDLINE_LOG=log), cwd=folder)

    def do(self, code):
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(10)


def lines(path):
    with open(path) as file:
        return file.read().count("\n")


def wait_a_tick():
    import time
    time.sleep(TICK)


def test_moved():
    """The new file gets what comes, the old one keeps what it has, and no descriptor is lost."""
    with tempfile.TemporaryDirectory() as folder, harness.Server() as server:
        log, old = os.path.join(folder, "log"), os.path.join(folder, "log.1")
        program = Program(server, log)
        program.do("get()")
        n = lines(log)
        counts = []
        for _ in range(3):
            os.rename(log, old)
            wait_a_tick()
            program.do("get()")
            counts.append(program.do("descriptors()"))
            tally.expect("log: a new file", n > 0 and os.path.exists(log) and lines(log) > 0, os.listdir(folder))
            n_old = lines(old)
            program.do("get()")
            tally.expect("log: the old one rests", lines(old) == n_old, (lines(old), n_old))
        tally.expect("log: no descriptor more", len(set(counts)) == 1, counts)
        os.rename(log, old)
        with open(log, "w"):
            pass
        wait_a_tick()
        program.do("get()")
        tally.expect("log: one that is there already", lines(log) > 0, lines(log))
        os.unlink(log)
        os.symlink(old, log)
        wait_a_tick()
        n_old = lines(old)
        program.do("get()")
        tally.expect("log: no link is followed", os.path.islink(log) and lines(old) == n_old, lines(old))
        tally.expect("log: it ends well", program.end() == 0, "")


def test_many_threads():
    """Rotated in the midst of many lines: none is lost."""
    with tempfile.TemporaryDirectory() as folder, harness.Server() as server:
        log, old = os.path.join(folder, "log"), os.path.join(folder, "log.1")
        program = Program(server, log)
        program.do("get()")
        os.rename(log, old)
        wait_a_tick()
        program.do("many()")
        program.end()
        with open(log) as first, open(old) as second:
            dials = sum(" dial " in line or " lease " in line for file in (first, second) for line in file)
        tally.expect("log: every connect has its line", dials == 241, dials)


def test_another_user():
    """A program that has changed its user makes no file at the path, but takes one that it may write."""
    if os.geteuid() != 0:
        tally.skip("log: another user", "needs root")
        return
    with tempfile.TemporaryDirectory() as folder, harness.Server() as server:
        os.chmod(folder, 0o777)
        log, old = os.path.join(folder, "log"), os.path.join(folder, "log.1")
        program = Program(server, log)
        program.do("get()")
        program.do("os.setuid(65534)")
        os.rename(log, old)
        n_old = lines(old)
        wait_a_tick()
        program.do("get()")
        tally.expect("log: no new file of another user", not os.path.exists(log) and lines(old) > n_old, os.listdir(folder))
        with open(log, "w"):
            os.chmod(log, 0o666)
        wait_a_tick()
        program.do("get()")
        tally.expect("log: but one that is there", lines(log) > 0, lines(log))
        program.end()


def test_left_alone():
    """No file is made at a path that has become another folder's, and none by a program that has forbidden itself system calls."""
    for title, log, code in (("a relative path", "log", "os.chdir('other')"), ("seccomp", None, FILTER)):
        with tempfile.TemporaryDirectory() as folder, harness.Server() as server:
            os.mkdir(os.path.join(folder, "other"))
            path = os.path.join(folder, "log")
            program = Program(server, log or path, folder)
            program.do("get()")
            did = program.do(code)
            os.rename(path, path + ".1")
            n_old = lines(path + ".1")
            wait_a_tick()
            program.do("get()")
            tally.expect("log: %s: no new file" % title, not os.path.exists(path) and not os.listdir(os.path.join(folder, "other")) and
                         lines(path + ".1") > 0 and did in ("None", "(0, 0)"), (did, os.listdir(folder), n_old))
            tally.expect("log: %s: it ends well" % title, program.end() == 0, "")
