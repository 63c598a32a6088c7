"""Completion, by shells on a terminal: a line is typed, completed, and printed instead of run."""
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time

import harness
from suite import tally

SCRIPTS = os.path.join(harness.ROOT, "tools", "packaging", "completion")
END = "<END>"

# What is typed, what the line is after a tab.
CASES = [
    ("holdline ver", "holdline version "),
    ("holdline doctor --js", "holdline doctor --json "),
    ("holdline run --uns", "holdline run --unsafe-methods="),
    ("holdline run --mode=ob", "holdline run --mode=observe "),
    ("holdline enable x --mode=ob", "holdline enable x --mode=observe "),
    ("holdline check unique-pro", "holdline check unique-program "),
    ("holdline run unique-pro", "holdline run unique-program "),
    ("holdline run --mode=off -- unique-pro", "holdline run --mode=off -- unique-program "),
    ("holdline report unique-fi", "holdline report unique-file "),
    ("holdline status --html", "holdline status --html"),
]

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source %s/holdline.bash" % SCRIPTS),
    "zsh": (["zsh", "-f", "-i"], "fpath=(%s $fpath); autoload -U compinit; compinit -u -d $HOME/dump; bindkey -e; unsetopt BEEP LIST_AMBIGUOUS" % SCRIPTS),
    "fish": (["fish", "--no-config", "-i"], "source %s/holdline.fish" % SCRIPTS),
}


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command, folder):
        environment = harness.environment(False, PATH="%s:/usr/bin:/bin" % os.path.join(folder, "bin"), HOME=folder, TERM="dumb", LC_ALL="C.UTF-8",
                                          XDG_CONFIG_HOME=folder, XDG_DATA_HOME=folder)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, pattern, seconds=15):
        """The text up to the pattern, or what came until time was up."""
        text, end = "", time.monotonic() + seconds
        while time.monotonic() < end and not re.search(pattern, text):
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    text += os.read(self.fd, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        return text

    def end(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def make_folder(folder):
    os.makedirs(os.path.join(folder, "bin"))
    os.symlink(harness.HOLDLINE, os.path.join(folder, "bin", "holdline"))
    for name in ("bin/unique-program", "unique-file"):
        with open(os.path.join(folder, name), "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(os.path.join(folder, name), 0o755)


def complete(shell, typed):
    """The line after a tab: by Ctrl-A a command is put before it that writes it to a file."""
    command, setup = SHELLS[shell]
    with tempfile.TemporaryDirectory() as folder:
        make_folder(folder)
        terminal = Terminal(command, folder)
        try:
            terminal.type(setup + "; echo READ''Y\r")
            terminal.read_until("READY")
            time.sleep(0.3)
            terminal.type(typed + "\t")
            terminal.read_until(re.escape("never"), 0.7)
            terminal.type("%s'\x01echo '\r" % END)
            text = terminal.read_until(r"(?m)^holdline.*%s" % END, 5)
        finally:
            terminal.end()
    found = re.findall(r"(?m)^(holdline[^\r\n]*)%s" % END, text)
    return found[-1] if found else repr(text[-300:])


def test_shells():
    """bash; zsh and fish where they are."""
    for shell in SHELLS:
        if not shutil.which(shell):
            if shell == "bash":
                tally.skip(shell, "not installed")
            continue
        for typed, expected in CASES if shell == "bash" or harness.HEAVY else CASES[1:5:3]:
            for attempt in range(harness.ATTEMPTS):
                got = complete(shell, typed)
                if got == expected:
                    break
            tally.expect("%s: %s" % (shell, typed), got == expected, "expected %r, got %r" % (expected, got))


def candidates(*words):
    done = subprocess.run([harness.HOLDLINE, "complete", *words], capture_output=True, text=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_flags_of_help():
    """Every long flag in a command's help is completed, and no other."""
    commands = candidates("")
    tally.expect("all commands", {"run", "enable", "version"} < set(commands), commands)
    for command in commands:
        said = subprocess.run([harness.HOLDLINE, command, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        flags = {flag for flag in re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]*)", said)}
        completed = {flag.rstrip("=") for flag in candidates(command, "--")} - {"--help"}
        if command not in ("run", "enable", "env"):
            flags -= {"--report", "--pool"}  # of `run`, which the text names
        if command in ("enable", "env"):
            flags |= {flag.rstrip("=") for flag in candidates("run", "--")} - {"--report", "--quiet", "--help"}
        tally.expect("flags of %s" % command, completed == flags - {"--help"}, sorted(completed ^ (flags - {"--help"})))


def test_answers():
    """What is said to the shells."""
    for words, expected in ((["run", "--mode="], ["--mode=off", "--mode=observe", "--mode=full"]), (["run", "--", "-"], [":command 2"]),
                            (["run", "curl", "--"], [":command 1"]), (["report", ""], [":files"]), (["run", "--log="], [":files"]),
                            (["nothing", ""], []), (["demo", ""], []), (["check", "a", ""], []), (["frob"], [])):
        tally.expect("complete %s" % words, candidates(*words) == expected, candidates(*words))
