"""Go's own tests of net/http, clients and servers in one process: each verdict is as bare. A long test."""
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

# In place of net.Listen(): another process calls listen(), so that the port is not one of the program's own, which a
# relay leaves alone.
LISTEN_ELSEWHERE = """
func listenElsewhere(helper string) (net.Listener, error) {
	if helper == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	command := exec.Command(helper)
	command.Stdin = file
	if err := command.Run(); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}
"""


def go_root():
    return subprocess.run(["go", "env", "GOROOT"], check=True, env=go_environment(), capture_output=True, text=True).stdout.strip()


def overlay(root):
    """A file that tells the go command to take net/http/httptest with listenElsewhere(); None where it does not fit."""
    path = os.path.join(root, "src/net/http/httptest/server.go")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed = text.replace('net.Listen("tcp", "127.0.0.1:0")', 'listenElsewhere(os.Getenv("RELAY_LISTEN"))').replace('\t"os"\n', '\t"os"\n\t"os/exec"\n\t"syscall"\n')
    if changed.count("listenElsewhere") != 1 or "os/exec" not in changed:
        return None
    copy, plan = (os.path.join(harness.BUILD, name) for name in ("go-httptest.go", "go-overlay.json"))
    with open(copy, "w", encoding="utf-8") as file:
        file.write(changed + LISTEN_ELSEWHERE)
    with open(plan, "w", encoding="utf-8") as file:
        json.dump({"Replace": {path: copy}}, file)
    return plan


class Tests:
    """The test program. `world`: with a relay; `helper`: what listens in the program's place."""

    def __init__(self, root, plan):
        self.folder = os.path.join(root, "src/net/http")
        self.program = os.path.join(harness.BUILD, "go-net-http.test")
        subprocess.run(["go", "test", "-c", "-overlay", plan, "-o", self.program, "net/http"], check=True, env=go_environment(), stdout=subprocess.DEVNULL)
        listed = subprocess.run([self.program, "-test.list", "^Test"], check=True, capture_output=True, text=True).stdout.split()
        self.names = {name for name in listed if name.startswith("Test")} - BUILDERS

    def run(self, names, world=None, helper="", seconds=280, **settings):
        """The outcome, its output as text, and {name: verdict}, subtests too."""
        command = [self.program, "-test.v", "-test.run", "^(%s)$" % "|".join(sorted(names)), "-test.timeout=%ds" % seconds]
        environment = dict(settings, RELAY_LISTEN=helper)
        if world:
            command, environment = world.command(command), world.environment(environment)
        text = harness.run(command, False, seconds + 20, cwd=self.folder, **environment).output.decode("utf-8", "replace")
        return text, {name: verdict for verdict, name in re.findall(r"^ *--- (PASS|FAIL): (\S+)", text, re.M)}

    def differences(self, bare, names, world, helper=""):
        """Those that differ from a bare run, and do so again alone."""
        _, subject = self.run(names, world, helper)
        first = {name for name in bare if subject.get(name) != bare[name]}
        alone = {name.partition("/")[0] for name in first}
        return len(subject), sorted(name for name in alone if all(
            self.run([name], world, helper)[1].get(name) != self.run([name], helper=helper)[1].get(name) for _ in range(3)))


def test_go_tests():
    if not harness.HEAVY or not needs("go's own tests", shutil.which("go")):
        return
    root = go_root()
    plan = overlay(root) if os.path.isdir(os.path.join(root, "src/net/http/httptest")) else None
    if not plan:
        tally.skip("go's own tests", "the sources of Go are not installed, or of a version that is not known here")
        return
    tests = Tests(root, plan)
    helper = harness.compile_program("relay-listen", ["tests/relay/listen.c"], ["-static"])
    runs = [tests.run(tests.names)[1] for _ in range(2)]
    bare = {name: verdict for name, verdict in runs[0].items() if runs[1].get(name) == verdict}

    with Relay() as world:
        n, different = tests.differences(bare, tests.names, world)
        tally.expect("go's own tests", n > 600 and not different, str(different), "%d verdicts" % n)
        # Again, and their servers are as good as anybody's.
        others = {name: verdict for name, verdict in bare.items() if name.partition("/")[0] not in DIFFERENT}
        n, different = tests.differences(others, tests.names - DIFFERENT.keys(), world, helper)
        tally.expect("go's own tests, reusing", n > 600 and not different, str(different), "%d verdicts" % n)

        for name in sorted(DIFFERENT.keys() & bare.keys()):
            reason, words = DIFFERENT[name]
            text, verdicts = tests.run([name], world, helper, seconds=8)
            tally.expect("go's own tests: %s: %s" % (name, reason), bare[name] == "PASS" and verdicts.get(name) == "FAIL" and re.search(words, text), text[-1500:])
        for name in sorted(REWRITTEN.keys() & bare.keys()):
            text, verdicts = tests.run([name], world, helper, seconds=8, HOLDLINE_REWRITE="off")
            tally.expect("go's own tests: %s: the rewrite alone" % name, verdicts.get(name) == "PASS", text[-1500:])
