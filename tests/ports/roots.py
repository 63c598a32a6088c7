"""Roots of other releases of Debian, with what our build and our tests need, and commands in them.

A command sees this tree at its own place, with a build folder of its own, and has a network and processes of its own.
"""
import glob
import os
import re
import shutil
import subprocess

import harness
import suite

FOLDER = os.path.join(harness.ROOT, "build", "ports")
PACKAGES = """gcc libc6-dev libcjson-dev libdw-dev libgnutls28-dev libmicrohttpd-dev libmnl-dev libseccomp-dev libssl-dev make
    systemtap-sdt-dev uthash-dev check libsubunit-dev python3 curl wget iproute2 openssl""".split()
# Debian 13's node-llhttp has no C sources any more, and Debian 11 no such package.
FROM_HERE = "/usr/share/llhttp", "/usr/share/include/llhttp"


def is_asked():
    """Whether what takes minutes is wanted."""
    return harness.HEAVY or bool(suite.wanted())


def mirror():
    """Where this machine has its own release from; None: nowhere."""
    for path in sorted(glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*")):
        with open(path) as file:
            text = re.sub(r"(?m)^#.*\n", "", file.read())
        for stanza in re.split(r"\n\s*\n", text):
            uri = re.search(r"(?m)^URIs:\s*(\S+/debian)/?\s*$", stanza) or re.search(r"(?m)^deb\s+(?:\[.*?\]\s+)?(\S+/debian)/?\s", stanza)
            if uri:
                return uri.group(1)
    return None


def make(name, release, packages, *options):
    """A root; made anew only if it is not there. Returns its path, or raises with what mmdebstrap said."""
    path = os.path.join(FOLDER, name)
    if os.path.exists(path):
        return path
    os.makedirs(FOLDER, exist_ok=True)
    shutil.rmtree(path + ".new", ignore_errors=True)
    done = subprocess.run(["mmdebstrap", "--quiet", "--components=main", "--include=" + ",".join(packages), *options, release, path + ".new", mirror()],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError("no root of %s: %s" % (release, done.stdout[-1500:]))
    for source in FROM_HERE:
        shutil.copytree(source, path + ".new" + source, dirs_exist_ok=True)
    os.rename(path + ".new", path)
    return path


def build_folder(root):
    """What stands in the place of build/ in that root."""
    folder = root + ".build"
    os.makedirs(folder, exist_ok=True)
    return folder


def give_product(root):
    """The library and the command of this machine, as build/here in that root. A command that does not run there stays
    away: programs would execute it."""
    folder = os.path.join(build_folder(root), "here")
    os.makedirs(folder, exist_ok=True)
    for name in "libholdline.so", "holdline":
        shutil.copy(os.path.join(harness.PRODUCT, name), folder)
    if run(root, [os.path.join(harness.ROOT, "build", "here", "holdline"), "version"], 20)[0] != 0:
        os.unlink(os.path.join(folder, "holdline"))
    return os.path.join(harness.ROOT, "build", "here")


def run(root, command, timeout, **variables):
    """Returns the exit status and the output."""
    prefix = ["bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run", "--ro-bind", harness.ROOT,
              harness.ROOT, "--bind", build_folder(root), os.path.join(harness.ROOT, "build"), "--unshare-net", "--unshare-pid",
              "--die-with-parent", "--cap-add", "ALL", "--setenv", "HOME", "/root", "--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--chdir", harness.ROOT]
    for name, value in variables.items():
        prefix += ["--setenv", name, value]
    done = harness.run(prefix + command, False, timeout)
    return done.status, (done.output + done.errors).decode("utf-8", "replace")


def expect_suite(name, outcome, least):
    """A verdict on a suite that ran there: it has passed, and has not left out what it is about."""
    status, text = outcome
    counts = re.findall(r"(?m)^(\d+) passed, (\d+) failed, \d+ skipped$", text)
    fine = status == 0 and counts and int(counts[-1][0]) >= least and int(counts[-1][1]) == 0
    failures = [line for line in text.splitlines() if re.match(r"FAIL|.*:[FE]:|.*error: ", line)]
    suite.tally.expect(name, fine, "status %s\n%s\n%s" % (status, "\n".join(failures[:30]), text[-600:]), note=counts[-1][0] + " passed" if counts else "")
