"""Output for people: names without control characters, and a document whose tests exist."""
import glob
import os
import re
import shutil

import harness
from harness import HOLDLINE
from suite import tally
from two_users import Folder


def test_document():
    """Every test that tests/SECURITY.md names is there."""
    with open(os.path.join(harness.ROOT, "tests", "SECURITY.md")) as file:
        text = file.read()
    missing = []
    for line in re.findall(r"`(tests/[^`]*)`", text):
        path, *names = line.split()
        folder = os.path.dirname(os.path.join(harness.ROOT, path))
        files = [os.path.join(harness.ROOT, path), *glob.glob(os.path.join(folder, "test_*.py"))]
        source = "".join(open(file).read() for file in files) if os.path.exists(files[0]) else None
        known = lambda name: "def test_%s(" % name in source or os.path.exists(os.path.join(folder, name + ".c"))
        missing += [line] if source is None else ["%s %s" % (path, name) for name in names if name != "-v" and not known(name)]
    tally.expect("tests/SECURITY.md", not missing and len(text) > 5000, missing)


def test_shown_names():
    """A program's name can do nothing to the terminal that shows it."""
    with Folder() as folder, harness.Server() as server:
        evil = folder / "\033]0;x\007curl"
        os.symlink(os.path.realpath(shutil.which("curl")), evil)
        environment = {"XDG_RUNTIME_DIR": folder / "run", "HOLDLINE_LIBRARY": harness.SHIM}
        os.mkdir(folder / "run", 0o700)
        line = [HOLDLINE, "run", "--quiet", "--", "sh", "-c", '"$0" -sS "$1"; "$2" status; "$2" status --json', evil, server.url("/bytes/10"), HOLDLINE]
        outcome = harness.run(line, False, 15, **environment)
        tally.expect("status: a name full of escapes", outcome.status == 0 and b"curl (" in outcome.output and
                     not re.search(rb"[\x00-\x08\x0b-\x1f\x7f-\xff]|u00(1b|07)", outcome.output), repr(outcome.output) + outcome.errors.decode())
