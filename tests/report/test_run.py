"""`holdline run --report` is transparent: statuses, signals, descriptors and the terminal are the program's."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import harness
from harness import HOLDLINE, PYTHON, wait_until
from run_world import World, client, get, short
from suite import tally

TALKER = """
import os, signal, sys, time
for number in map(int, sys.argv[2].split(",")):
    signal.signal(number, lambda number, frame: os.write(1, b"got %d\\n" % number))
os.write(1, b"ready\\n")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    time.sleep(0.02)
"""


def test_statuses():
    with World() as world:
        for script, status in ("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15), ("kill -KILL $$", -9), ("kill -ABRT $$", -6):
            outcome = world.holdline("run", "--report", "--", "sh", "-c", script)
            tally.expect(script, outcome.status == status and b"No TCP connection" in outcome.errors, "%s %s" % (outcome.status, outcome.errors))
        outcome, report = world.report(["sh", "-c", "kill -TERM $$"])
        tally.expect("in the report", report.get("signal") == "SIGTERM" and "exit_status" not in report, short(report))
        for command, status in (["/nonexistent"], 127), (["/etc/passwd"], 126):
            outcome = world.holdline("run", "--report", "--", *command)
            tally.expect("%s" % command, outcome.status == status and not os.listdir(world.stats), "%s %s" % (outcome.status, outcome.errors))
        marker = world.path("marker")
        outcome = world.holdline("run", "--report=/nonexistent/run.json", "--", "touch", marker)
        tally.expect("a file that can't be written: not run", outcome.status == 125 and b"/nonexistent/run.json: No such" in outcome.errors and
                     not os.path.exists(marker), "%s %s" % (outcome.status, outcome.errors))
        outcome = world.holdline("run", "--report", "--", "sh", "-c", "echo out; echo err >&2; cat", stdin=b"in")
        tally.expect("the program's streams are its own", outcome.output == b"out\nin" and outcome.errors.startswith(b"err\nholdline: sh -c"),
                     "%s %s" % (outcome.output, outcome.errors))
        outcome = world.holdline("run", "--report=" + world.path("run.txt"), "--", "true")
        with open(world.path("run.txt")) as file:
            text = file.read()
        tally.expect("in a text file", text.startswith("holdline: true: ") and not outcome.errors, text)
        outcome = world.holdline("run", "--report=/dev/stderr", "--", "true")
        tally.expect("in a file that is none", b"holdline: true: " in outcome.errors, str(outcome.errors))
        ignoring = "import signal, sys; print([signal.getsignal(n) == signal.SIG_IGN for n in (1, 17)], signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        for command in ["sh", "-c", "trap '' HUP; exec \"$@\"", "-"], ["env", "--block-signal=USR1"]:
            bare = harness.run([*command, PYTHON, "-c", ignoring], False)
            under = harness.run([*command, HOLDLINE, "run", "--quiet", "--report", "--", PYTHON, "-c", ignoring], False, **world.environment({}))
            tally.expect("signals are as they were: %s" % command[1], bare.output == under.output, "%s %s" % (bare.output, under.output))


def test_signals():
    wanted = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGRTMIN + 3
    with World() as world:
        for name, send in ("to it alone", os.kill), ("to its group", os.killpg):
            process = world.start([PYTHON, "-c", TALKER, "2", ",".join(str(int(number)) for number in wanted)], "--report",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.readline()
            for number in wanted:
                send(process.pid, number)
                time.sleep(0.1)
            output, errors = process.communicate()
            got = [int(line.split()[1]) for line in output.splitlines()]
            tally.expect("signals sent %s arrive once" % name, got == [int(number) for number in wanted] and process.returncode == 0,
                         "%s %s %s" % (got, process.returncode, errors))


def test_descriptors():
    """A reader that waits for the program's end of file does not wait for that of `holdline run`."""
    with World() as world:
        source, sink = os.pipe()
        process = world.start(["sh", "-c", "echo done; exec >&- 3>&- %d>&-; cat" % sink], "--report", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, pass_fds=[sink])
        os.close(sink)
        output = process.stdout.read()
        rest = os.read(source, 10)
        tally.expect("end of file while it runs", output == b"done\n" and rest == b"" and process.poll() is None, "%s %s" % (output, rest))
        process.communicate()
        os.close(source)


def test_terminal():
    """A shell's job control: ^C arrives once, ^Z stops both, fg goes on."""
    with World() as world:
        talker = world.path("talker.py")
        with open(talker, "w") as file:
            file.write(TALKER)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve("/bin/bash", ["bash", "--norc", "--noediting", "-i"], harness.environment(False, **world.environment({"PS1": "$ "})))
        seen = [b""]

        def see(pattern):
            def look():
                if select.select([terminal], [], [], 0.05)[0]:
                    try:
                        seen[0] += os.read(terminal, 4096)
                    except OSError:
                        return True
                return re.search(pattern, seen[0])
            found = wait_until(look, 10)
            text, seen[0] = seen[0], b""
            tally.expect("terminal: %s" % pattern.decode(), found, repr(text))
            return text
        see(rb"\$ ")
        os.write(terminal, b"%s run --quiet --report -- %s %s 60 2\n" % (HOLDLINE.encode(), PYTHON.encode(), talker.encode()))
        see(rb"ready\r\n")
        os.write(terminal, b"\x03")
        text = see(rb"got 2\r\n")
        os.write(terminal, b"\x1a")
        text += see(rb"(?s)Stopped.*\$ ")
        os.write(terminal, b"fg\n")
        see(rb"run --quiet")
        time.sleep(0.2)
        os.write(terminal, b"\x03")
        text += see(rb"got 2\r\n")
        tally.expect("terminal: once each", text.count(b"got 2") == 2, repr(text))
        os.write(terminal, b"\x1a")
        see(rb"(?s)Stopped.*\$ ")
        os.write(terminal, b"kill -KILL %1; fg\n")
        see(rb"Killed")
        os.write(terminal, b"%s run --quiet --report -- sleep 60\n" % HOLDLINE.encode())
        time.sleep(0.3)
        os.write(terminal, b"\x03")
        see(rb"(?s)No TCP connection.*\$ ")
        os.write(terminal, b"echo status $?; exit\n")
        see(rb"status 130\r\n")
        os.close(terminal)
        os.waitpid(pid, 0)


def test_hostile_names():
    """Names chosen by others break neither the JSON nor the terminal."""
    with World() as world, harness.Nginx() as nginx:
        evil = b"\x1b[2Jevil\xff\xc2\x9b\"\\<script>\n"
        path = os.path.join(world.folder.encode(), evil)
        shutil.copy(client(), path)
        outcome, report = world.report([path, str(nginx.port).encode(), b"2", b"exit", evil])
        tally.expect("JSON", get(report, "totals", "connects") == 2 and report["command"][4] == "\x1b[2Jevil\ufffd\x9b\"\\<script>\n", short(report))
        outcome = world.holdline("run", "--quiet", "--report", "--callsites=stack", "--", path, str(nginx.port).encode(), b"2", b"exit", evil)
        text = outcome.errors.decode()
        tally.expect("text", not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) and "evil" in text, repr(text))
