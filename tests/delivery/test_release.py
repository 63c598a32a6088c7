"""The files of a release: what is committed, the same bytes each time; built, tested and installed in a new system."""
import contextlib
import glob
import os
import shutil
import subprocess
import tarfile
import tempfile

import harness
from suite import tally


def call(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "GIT_"))})
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def committed():
    """A clone, where nothing is changed, whatever is going on here; None in a tarball."""
    with tempfile.TemporaryDirectory(prefix="holdline-release-") as folder:
        path = os.path.join(folder, "clone")
        status, _ = call("git", "clone", "--quiet", "--shared", harness.ROOT, path)
        yield path if status == 0 else None


def release(clone, folder):
    status, said = call(os.path.join(clone, "tools/packaging/release"), folder)
    found = glob.glob(os.path.join(folder, "*.tar.gz")) or [None]
    return status, said, found[0]


def change(path, old, new):
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace(old, new, 1))


def test_release():
    with committed() as clone:
        if not clone:
            tally.skip("release", "needs the repository")
            return
        first, second = (release(clone, os.path.join(clone, "build", name)) for name in "ab")
        same = [open(path, "rb").read() for _, _, path in (first, second) if path]
        tally.expect("two releases are equal", first[0] == second[0] == 0 and len(same) == 2 and same[0] == same[1], (first, second))
        checked = call("sha256sum", "--check", os.path.basename(first[2]) + ".sha256", cwd=os.path.dirname(first[2]))
        tally.expect("the checksum", checked[0] == 0, checked)
        name = os.path.basename(first[2])[:-len(".tar.gz")]
        with tarfile.open(first[2]) as tar:
            names = set(tar.getnames())
        tracked = set(call("git", "ls-files", cwd=clone)[1].split("\n")) - {""}
        tally.expect("it has what is committed", {"%s/%s" % (name, path) for path in tracked} <= names and
                     all(path.startswith(name) for path in names), sorted(names)[:5])
        change(os.path.join(clone, "README.md"), "Holdline", "Hold")
        changed = release(clone, os.path.join(clone, "build/c"))
        tally.expect("not with changes", changed[0] == 1 and "not committed" in changed[1] and not changed[2], changed)
        change(os.path.join(clone, "README.md"), "Hold", "Holdline")
        change(os.path.join(clone, "tools/base/version.h"), 'HOLDLINE_VERSION "', 'HOLDLINE_VERSION "9')
        changed = release(clone, os.path.join(clone, "build/c"))
        tally.expect("not with two versions", changed[0] == 1 and "CHANGELOG.md begins with" in changed[1], changed)


def test_distcheck():
    """The long form: takes minutes, and gets packages from where apt gets them."""
    if not harness.HEAVY:
        return
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        tally.skip("distcheck", "needs root and mmdebstrap")
        return
    with committed() as clone:
        if not clone:
            tally.skip("distcheck", "needs the repository")
            return
        folder = os.path.join(clone, "build/release")
        release(clone, folder)
        status, said = call("timeout", "-k", "10", "900", os.path.join(clone, "tools/packaging/distcheck"), folder)
        tally.expect("distcheck", status == 0 and said.endswith(": passed\n") and "a new system" in said, said[-3000:])
