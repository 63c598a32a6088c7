"""Shared by the black-box suites: building the test programs, a server's life, runs bare and preloaded, and the tally.

Every process started here is ended here, by its own id. Nothing leaves the loopback interface.
"""
import functools
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRODUCT = os.environ.get("BUILD") or os.path.join(ROOT, "build")
HOLDLINE = os.path.join(os.path.abspath(PRODUCT), "holdline")
BUILD = os.path.join(ROOT, "build", "tests")
# The libraries to preload: the shim, or a sanitizer's runtime and the shim.
SHIM = os.environ.get("HL_PRELOAD") or os.path.join(os.path.abspath(PRODUCT), "libholdline.so")
# What `make MUSL=1` makes: the library, and the headers that musl-gcc lacks.
MUSL = os.environ.get("HL_MUSL") or os.path.join(ROOT, "build", "musl")
HEAVY = "--heavy" in sys.argv or os.environ.get("TORTURE") == "1"
# How many attempts a verdict gets that may differ on a loaded machine.
ATTEMPTS = 3
CC = os.environ.get("CC", "cc")
# Some promises are about bad pointers and empty sizes: the compiler is right to wonder, and we mean it.
CFLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wvla", "-Wstrict-prototypes",
          "-Wno-nonnull", "-Wno-stringop-overflow", "-Wno-stringop-overread", "-Wno-array-bounds", "-Wno-unknown-warning-option",
          "-I" + ROOT]


def python():
    """A real interpreter: version managers put shell scripts in its place."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


PYTHON = python()


def compile_program(output, sources, flags=(), compiler=CC):
    """Compiles sources (relative to the root) into build/tests/OUTPUT unless it is newer; returns its path."""
    path = os.path.join(BUILD, output)
    sources = [os.path.join(ROOT, source) for source in sources]
    inputs = sources + glob.glob(os.path.join(ROOT, "tests", "lib", "**", "*.[ch]"), recursive=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path) and os.path.getmtime(path) >= max(os.path.getmtime(i) for i in inputs):
        return path
    temporary = "%s.%d" % (path, os.getpid())
    subprocess.run([compiler, *CFLAGS, "-o", temporary, *sources, *flags, "-lpthread", "-ldl", "-lrt"], check=True)
    os.rename(temporary, path)
    return path


def build_server():
    return compile_program("server", ["tests/lib/server/%s.c" % part for part in ("server", "http", "paths", "respond")])


class Server:
    """The test server (lib/server/server.h), alive inside a with block. `prefix`: a command that runs it, e.g. in a
    namespace."""

    host = "127.0.0.1"  # where its control is asked

    def __init__(self, *options, prefix=()):
        self.command = [*prefix, build_server(), *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port, self.control = map(int, self.process.stdout.readline().split())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def ask_control(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open("http://%s:%d%s" % (self.host, self.control, path), timeout=5) as answer:
            return {key: int(value) for key, value in (pair.split("=") for pair in answer.read().decode().split())}

    def stats(self):
        return self.ask_control("/stats")

    def reset(self):
        self.ask_control("/reset")


def environment(preloaded, **extra):
    """The caller's environment without proxies and without any Holdline setting; with the shim, if preloaded."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith("HOLDLINE_") and not key.lower().endswith("_proxy") and key != "LD_PRELOAD"}
    if preloaded:
        env["LD_PRELOAD"] = SHIM
    env.update(extra)
    return env


class Outcome:
    """The result of a process."""

    def __init__(self, status, output, errors, seconds):
        self.status, self.output, self.errors, self.seconds = status, output, errors, seconds

    def text(self):
        ending = "" if self.status == 0 else "status %s\n" % self.status
        return self.output.decode("utf-8", "backslashreplace") + ending


def run(command, preloaded, timeout=20, stdin=None, cwd=None, **extra):
    """Runs a command to its end, or kills its process group after the timeout (status "timeout")."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(preloaded, **extra), cwd=cwd,
                               start_new_session=True)
    try:
        output, errors = process.communicate(stdin, timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        output, errors = process.communicate()
        status = "timeout"
    return Outcome(status, output, errors, time.monotonic() - begin)


def wait_until(condition, seconds=5.0):
    """Whether a condition becomes true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Tally:
    """Counts and prints verdicts; the last line of a suite comes from finish()."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.Lock()
        self.verbose = "-v" in sys.argv
        self.withheld = None

    def timed(self, test):
        """Decorator of a test with verdicts that depend on timing (expect_in_time): on a loaded machine those may pass
        at a later attempt. Any other failure is final."""
        @functools.wraps(test)
        def attempts():
            for attempt in range(ATTEMPTS):
                self.withheld = []
                try:
                    test()
                except Exception:
                    self.fail(test.__name__, traceback.format_exc())
                withheld, self.withheld = self.withheld, None
                failed = [name for report, name, _, _ in withheld if report == self.fail]
                if not failed or attempt == ATTEMPTS - 1 or any(report == self.fail and not in_time for report, _, _, in_time in withheld):
                    break
                print("again: %s" % failed, flush=True)
            for report, name, text, _ in withheld:
                report(name, text)
        return attempts

    def withholds(self, report, name, text, in_time=False):
        with self.lock:
            if self.withheld is not None:
                self.withheld.append((report, name, text, in_time))
            return self.withheld is not None

    def pass_(self, name, note=""):
        if self.withholds(self.pass_, name, note):
            return
        with self.lock:
            self.passed += 1
            if self.verbose or note:
                print("ok   %s%s" % (name, note and ": " + note), flush=True)

    def fail(self, name, why, in_time=False):
        if self.withholds(self.fail, name, why, in_time):
            return
        with self.lock:
            self.failed += 1
            print("FAIL %s: %s" % (name, why), flush=True)

    def skip(self, name, why):
        if self.withholds(self.skip, name, why):
            return
        with self.lock:
            self.skipped += 1
            print("skip %s: %s" % (name, why), flush=True)

    def expect(self, name, condition, why, note="", in_time=False):
        if condition:
            self.pass_(name, note)
        else:
            self.fail(name, why, in_time)
        return condition

    def expect_in_time(self, name, condition, why, note=""):
        """A verdict that depends on timing, in a test that is `timed`."""
        return self.expect(name, condition, why, note, in_time=True)

    def finish(self):
        print("%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped))
        return 1 if self.failed else 0


def refuse_unknown(asked, known):
    """Ends the run where a name that was asked for is none of those: nothing must pass because it was misspelt."""
    unknown = set(asked) - set(known)
    if unknown:
        sys.exit("no such test: %s\ntests: %s" % (" ".join(sorted(unknown)), " ".join(sorted(known))))


def need_shim():
    if not all(os.path.exists(library) for library in SHIM.split(":")):
        sys.exit("no shim to test at %s: run `make` first" % SHIM)


NGINX_CONFIGURATION = """
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_processes 1;
{user}
events {{ worker_connections 4096; }}
http {{
    log_format connections '$connection';
    access_log {log};
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    keepalive_requests 1000000;
    tcp_nodelay on;
    sendfile on;
    {more}
    server {{ listen 127.0.0.1:{port}; root {home}; }}
}}
"""


SIZES = 10, 1024, 100000


class FileServer:
    """A private server that serves files of known sizes from its home: /bytes/10, /bytes/1024, /bytes/100000. A
    subclass writes what configures it into that folder, and says by which command it runs, in the foreground."""

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="holdline-server-")
        os.chmod(self.home, 0o755)
        os.mkdir(os.path.join(self.home, "bytes"))
        for size in SIZES:
            self.write("bytes/%d" % size, "x" * size)
        self.port = free_port()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        cwd=self.home, env=environment(False))
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.__exit__()
        raise RuntimeError("%s does not start" % type(self).__name__)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def write(self, name, text):
        """A file in its home; returns the path."""
        path = os.path.join(self.home, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)


class Nginx(FileServer):
    """Its log tells connections apart. `more`: further directives."""

    def __init__(self, log_connections=True, more=""):
        self.log_connections = log_connections
        self.more = more

    def command(self):
        self.log = os.path.join(self.home, "connections.log")
        configuration = self.write("nginx.conf", NGINX_CONFIGURATION.format(
            home=self.home, port=self.port, more=self.more, user="user root;" if os.geteuid() == 0 else "",
            log=self.log + " connections" if self.log_connections else "off"))
        return [find_nginx(), "-p", self.home, "-c", configuration]

    def reset(self):
        open(self.log, "w").close()

    def stats(self):
        time.sleep(0.05)
        with open(self.log) as file:
            lines = file.read().split()
        return {"connections": len(set(lines)), "requests": len(lines)}


def find_nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port():
    """A port that nobody listens on, below the range that outgoing connections draw from. Suites that run side by side
    begin apart."""
    for port in range(18000 + os.getpid() * 61 % 1900, 20000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")
