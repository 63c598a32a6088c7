"""`holdline top`: in batches, and on a terminal."""
import os
import re
import signal
import socket
import subprocess
import time

import harness
import network
from doctor import in_network, narrow
from harness import HOLDLINE


def top_batch():
    narrow()
    sinks = [network.Sink(port=8081), network.Sink(port=8082)]
    held = network.hold(sinks[0].address, 180)
    network.waste(sinks[1].address, 20)

    def top(*flags, **environment):
        return harness.run([HOLDLINE, "top", "-b", "-d", "0.2", *flags], False, **environment).output.decode()
    text = top("-n", "2")
    lines = text.splitlines()
    results = [["two looks", len(lines) == 9 and lines[4] == "" and lines[0].startswith("ports 40000-40199, usable 180; estab 180, t-wait 20"), text],
               ["the fullest first", re.match(r"10.77.0.2:8081 +10.77.0.1 +100.0%% .* 0 +180 +now +%d python3? " % os.getpid(), lines[2]) is not None and
                re.match(r"10.77.0.2:8082 +10.77.0.1 +11.1% .* - +20 +0 +- - ", lines[3]) is not None, text],
               ["no escapes in text", "\033" not in text, text]]
    text = top("-n", "1", "--order=time-wait")
    results.append(["another order", text.splitlines()[2].startswith("10.77.0.2:8082"), text])
    text = top("-n", "1", "--filter=:8082")
    results.append(["a filter", len(text.splitlines()) == 3 and "8081" not in text, text])
    outcome = harness.run(["sh", "-c", "%s top -b -d 0.1 | head -n 1" % HOLDLINE], False)
    results.append(["a reader that goes", outcome.status == 0, str(outcome.status)])
    for flags in ["-n0"], ["-d0"], ["--order=age"], ["more"]:
        outcome = harness.run([HOLDLINE, "top", "-b", *flags], False)
        results.append(["bad arguments: %s" % flags, outcome.status == 2 and outcome.errors != b"", outcome.text()])
    del held
    return results


def top_many():
    """More destinations than any screen has lines: totals, filter and orders are of all of them."""
    network.set_ports(30000, 59999)
    listener = socket.socket()
    listener.bind(("10.77.0.2", 8080))
    listener.listen(16)
    kept = [network.dial(("10.77.0.2", 8080)), listener.accept()[0]]
    for i in range(1000):
        sink = socket.create_server(("10.77.0.2", 10000 + i))
        client, served = network.dial(sink.getsockname()), sink.accept()[0]
        client.close()
        served.recv(1)
        served.close()
        sink.close()
    results = []
    for flags, wanted in ([[], "and 981 more"], [["--filter=zzz"], None], [["--filter=:10999"], None]):
        text = harness.run([HOLDLINE, "top", "-b", "-n", "1", "-d", "0.2", *flags], False).output.decode()
        lines = text.splitlines()
        results += [["totals %s" % flags, "; estab 1, t-wait 1000; " in lines[0], text],
                    ["rows %s" % flags, lines[-1] == wanted if wanted else len(lines) == 2 + (flags == ["--filter=:10999"]), text]]
    del kept
    return results


class Pane:
    """A terminal (tmux) with a shell in it."""

    def __init__(self, **environment):
        self.name = "holdline-%d" % os.getpid()
        self.environment = harness.environment(False, ENV="", TERM="screen", **environment)
        self.tmux("-f/dev/null", "new-session", "-d", "-x100", "-y12", "sh")
        self.keys("PS1='ready''> '", "Enter")
        self.until(lambda: "ready>" in self.text())

    def tmux(self, *command):
        return subprocess.run(["tmux", "-L", self.name, *command], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def text(self, *flags):
        return self.tmux("capture-pane", "-p", *flags)

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def until(self, condition):
        for _ in range(200):
            if condition():
                return True
            time.sleep(0.05)
        return False

    def is_alternate(self):
        return self.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "10"

    def is_plain(self):
        return self.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "01"

    def is_at_prompt(self):
        """Keys that are typed before the prompt are echoed in another place."""
        return self.is_plain() and self.text().rstrip().endswith("ready>")

    def begin(self, command):
        self.keys("clear; " + command, "Enter")
        return self.until(lambda: self.is_alternate() and "DESTINATION" in self.text())

    def child(self):
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        with open("/proc/%s/task/%s/children" % (shell, shell)) as file:
            return int(file.read().split()[0])

    def end(self):
        self.tmux("kill-server")


def top_screen():
    narrow()
    sinks = [network.Sink(port=8081), network.Sink(port=8082)]
    held = network.hold(sinks[0].address, 180)
    network.waste(sinks[1].address, 20)
    pane, results = Pane(), []

    def expect(name, condition):
        results.append([name, pane.until(condition), pane.text()])
    try:
        results.append(["the alternate screen", pane.begin(HOLDLINE + " top -d 0.2"), pane.text()])
        lines = pane.text().splitlines()
        results.append(["the fullest first", lines[2].startswith("10.77.0.2:8081") and lines[3].startswith("10.77.0.2:8082"), pane.text()])
        results.append(["colours", "\033[31m" in pane.text("-e"), pane.text("-e")])
        pane.keys("t")
        expect("t: another order", lambda: "by time-wait" in pane.text() and pane.text().splitlines()[2].startswith("10.77.0.2:8082"))
        pane.keys("/", "8081x", "BSpace")
        expect("/: a filter while it is typed", lambda: "show only: 8081_" in pane.text() and "10.77.0.2:8082" not in pane.text())
        pane.keys("Enter")
        expect("and after", lambda: "only 8081" in pane.text() and "show only" not in pane.text())
        pane.keys("Escape")
        expect("Escape: all", lambda: "10.77.0.2:8082" in pane.text())
        pane.keys(" ")
        expect("space: frozen", lambda: "FROZEN" in pane.text())
        network.waste(sinks[1].address, 5)
        time.sleep(0.5)
        results.append(["nothing moves", "t-wait 20" in pane.text(), pane.text()])
        pane.keys(" ")
        expect("and again", lambda: "t-wait 25" in pane.text())
        pane.keys("h", "Up")
        expect("h: help; a key that means nothing", lambda: "q quit" in pane.text() and "u use" in pane.text())
        pane.tmux("resize-window", "-x", "60", "-y", "8")
        expect("a smaller screen", lambda: len(pane.text().rstrip("\n").splitlines()) == 8 and max(map(len, pane.text().splitlines())) <= 60 and
               pane.text().splitlines()[1].startswith("DESTINATION") and pane.text().splitlines()[7].startswith("order: u use"))
        pane.tmux("resize-window", "-x", "140", "-y", "20")
        expect("a larger one", lambda: "DIALED AT" in pane.text())
        pane.keys("C-z")
        expect("stopped: the shell's screen", pane.is_at_prompt)
        pane.keys("fg", "Enter")
        expect("continued: ours", lambda: pane.is_alternate() and "DESTINATION" in pane.text())
        pane.keys("q")
        expect("q: left", lambda: pane.is_at_prompt() and "DESTINATION" not in pane.text())
        for name in "INT", "TERM", "HUP", "QUIT", "SEGV":
            begun = pane.begin(HOLDLINE + " top")
            os.kill(pane.child(), getattr(signal, "SIG" + name))
            expect("SIG%s: left" % name, lambda: begun and pane.is_at_prompt() and "DESTINATION" not in pane.text())
        pane.keys("stty -a | grep -c ' icanon.* echo '", "Enter")
        expect("the terminal is as it was", lambda: "\n1\nready>" in pane.text())
        results.append(["NO_COLOR", pane.begin("NO_COLOR=1 %s top -d 0.2" % HOLDLINE) and "\033[" not in pane.text("-e"), pane.text("-e")])
        pane.keys("q")
        pane.until(pane.is_at_prompt)
        results.append(["-n ends by itself", pane.begin(HOLDLINE + " top -d 0.3 -n 2") and pane.until(pane.is_plain), pane.text()])
    finally:
        pane.end()
    del held
    return results


test_top_batch = in_network(top_batch)
test_top_many = in_network(top_many)
test_top_screen = in_network(top_screen)
