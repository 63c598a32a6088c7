"""Go's own tests of its network packages, clients and servers in one process: each verdict is as bare. Long tests."""
import functools
import json
import os
import re
import shutil
import subprocess

import harness
from relayed import Relay, go_environment, needs
from suite import tally

# They build programs, and test nothing of a network.
BUILDERS = {"TestCmdGoNoHTTPServer", "TestOmitHTTP2", "TestOmitHTTP2Vet"}

# Packages with HTTP, RPC and mail, whose servers may be another's for the relay.
PACKAGES = "net/http/cgi", "net/http/fcgi", "net/http/httptest", "net/http/httputil", "net/rpc", "net/rpc/jsonrpc", "net/smtp"
# These are run as they are only: net has a listen() of its own, and crypto/tls takes getsockname() for what its server
# sees of it, which is a known limit.
OWN_ONLY = "net", "crypto/tls"

# What differs where the relay reuses the connections of a test to its own server, why, and what it says then. The first
# pass with --rewrite=off: nothing but the server's view of `Connection: close` is in them.
REWRITTEN = {
    "TestHTTP10ConnectionHeader": ("the server is asked to stay and says so, which is shown as close; to HTTP/1.0 Go's server says nothing bare",
                                   r'Got \["close"\] expect \[\]'),
    "TestTransportConnectionCloseOnRequest": ("its handler looks for Connection: close in the request", "X-Saw-Close was false"),
    "TestTransportConnectionCloseOnRequestDisableKeepAlive": ("likewise", "handler didn't see Connection: close"),
    "TestTransportKeepAlives": ("its server compares the ports from which two requests came that asked for close", "unexpected bodiesDiffer=false"),
    "TestRequestBodyCloseDoesntBlock": ("a server that is to stay reads the request's body before it answers; the test sends none", "timeout"),
}
KEPT = {
    "TestCloseIdleConnections_h1": ("its server compares the ports before and after the program has closed its connection", "didn't close connection"),
    "TestServerConnState": ("it waits until its server sees the end of a connection that the program has closed", "Want: .*closed"),
    "TestTransportPersistConnLeak": ("it counts its server's goroutines, of which each connection has one", "too many new goroutines"),
    "TestTransportServerClosingUnexpectedly": ("its server compares the ports before and after the program has closed its connection",
                                               "expected body2 and body3 to be different"),
}
DIFFERENT = {**REWRITTEN, **KEPT}

# In place of listen(): another process calls it, so that the port is not one of the program's own, which a relay leaves
# alone.
LISTEN_ELSEWHERE = """
func listenElsewhere(fd, backlog int) error {
	helper, found := syscall.Getenv("RELAY_LISTEN")
	if !found || helper == "" {
		return syscall.Listen(fd, backlog)
	}
	pid, err := syscall.ForkExec(helper, []string{helper}, &syscall.ProcAttr{Files: []uintptr{uintptr(fd)}})
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err = syscall.Wait4(pid, &status, 0, nil); err == nil && status != 0 {
		err = syscall.EADDRINUSE
	}
	return err
}
"""


@functools.lru_cache(None)
def go_root():
    """Where Go's sources are; None without them."""
    root = subprocess.run(["go", "env", "GOROOT"], check=True, env=go_environment(), capture_output=True, text=True).stdout.strip()
    return root if os.path.exists(os.path.join(root, "src/net/hook_unix.go")) else None


def overlay():
    """A file that tells the go command to take net with listenElsewhere()."""
    path = os.path.join(go_root(), "src/net/hook_unix.go")
    with open(path, encoding="utf-8") as file:
        text, n = re.subn(r"(listenFunc .*=) syscall\.Listen", r"\1 listenElsewhere", file.read())
    assert n == 1, "a version of Go that is not known here"
    copy, plan = (os.path.join(harness.BUILD, name) for name in ("go-hook.go", "go-overlay.json"))
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text + LISTEN_ELSEWHERE)
    with open(plan, "w", encoding="utf-8") as file:
        json.dump({"Replace": {path: copy}}, file)
    return plan


class Tests:
    """The test program of a package. `world`: with a relay; `helper`: what listens in the program's place."""

    def __init__(self, package, *flags):
        self.folder, self.flags = os.path.join(go_root(), "src", package), flags
        self.program = os.path.join(harness.BUILD, "go-%s.test" % package.replace("/", "-"))
        subprocess.run(["go", "test", "-c", "-overlay", overlay(), "-o", self.program, package], check=True, env=go_environment(), stdout=subprocess.DEVNULL)
        listed = subprocess.run([self.program, "-test.list", "^Test"], check=True, capture_output=True, text=True).stdout.split()
        self.names = {name for name in listed if name.startswith("Test")} - BUILDERS

    def run(self, names, world=None, helper="", seconds=280, **settings):
        """The output as text, and {name: verdict}, subtests too."""
        command = [self.program, "-test.v", "-test.run", "^(%s)$" % "|".join(sorted(names)), "-test.timeout=%ds" % seconds, *self.flags]
        environment = dict(settings, RELAY_LISTEN=helper)
        if world:
            command, environment = world.command(command), world.environment(environment)
        text = harness.run(command, False, seconds + 20, cwd=self.folder, **environment).output.decode("utf-8", "replace")
        return text, {name: verdict for verdict, name in re.findall(r"^ *--- (PASS|FAIL): (\S+)", text, re.M)}

    def steady(self):
        """The verdicts that two bare runs agree on."""
        runs = [self.run(self.names)[1] for _ in range(2)]
        return {name: verdict for name, verdict in runs[0].items() if runs[1].get(name) == verdict}

    def compare(self, name, bare, world, helper="", but=()):
        """A verdict: none differs from a bare run, and does so again alone."""
        bare = {test: verdict for test, verdict in bare.items() if test.partition("/")[0] not in but}
        _, subject = self.run(self.names - set(but), world, helper)
        tops = {test.partition("/")[0] for test in bare if subject.get(test) != bare[test]}
        different = sorted(test for test in tops if all(
            self.run([test], world, helper)[1].get(test) != self.run([test], helper=helper)[1].get(test) for _ in range(3)))
        tally.expect(name, len(bare) >= 8 and not different, str(different), "%d verdicts" % len(bare))


def listener():
    return harness.compile_program("relay-listen", ["tests/relay/listen.c"], ["-static"])


def has_go():
    return harness.HEAVY and needs("go's own tests", shutil.which("go") and go_root())


def test_go_http():
    """net/http, which has most to say about connections."""
    if not has_go():
        return
    tests = Tests("net/http")
    bare, helper = tests.steady(), listener()
    with Relay() as world:
        tests.compare("go's net/http", bare, world)
        # Again, and their servers are as good as anybody's.
        tests.compare("go's net/http, reusing", bare, world, helper, DIFFERENT)
        for name in sorted(DIFFERENT.keys() & bare.keys()):
            reason, words = DIFFERENT[name]
            text, verdicts = tests.run([name], world, helper, seconds=8)
            tally.expect("go's net/http: %s: %s" % (name, reason), bare[name] == "PASS" and verdicts.get(name) == "FAIL" and re.search(words, text), text[-1500:])
        for name in sorted(REWRITTEN.keys() & bare.keys()):
            text, verdicts = tests.run([name], world, helper, seconds=8, HOLDLINE_REWRITE="off")
            tally.expect("go's net/http: %s: the rewrite alone" % name, verdicts.get(name) == "PASS", text[-1500:])


def test_go_network():
    """Other packages."""
    if not has_go():
        return
    for package in PACKAGES + OWN_ONLY:
        tests = Tests(package, "-test.short")
        bare = tests.steady()
        with Relay() as world:
            tests.compare("go's " + package, bare, world)
            if package in PACKAGES:
                tests.compare("go's %s, reusing" % package, bare, world, listener())
