"""A real systemd, in a container by systemd-nspawn that has this system's /usr and nothing else of it. The first service that it starts
is a script of the tests, with the sources, what was built and tests/lib; what that prints, a JSON value a line, is the result."""
import json
import os
import shutil
import subprocess
import tempfile

import harness

# Where the container has them.
SOURCE, PRODUCT = "/opt/source", "/opt/holdline"

TARGET = """[Unit]
AllowIsolate=yes
Requires=basic.target
After=basic.target
Wants=driver.service
"""

DRIVER = """[Service]
Type=oneshot
TimeoutStopSec=2
StandardOutput=file:/srv/output
StandardError=file:/srv/errors
Environment=BUILD=%s HOLDLINE_LIBRARY=%s/libholdline.so PYTHONDONTWRITEBYTECODE=1 TORTURE=%s PYTHONPATH=%s/tests/lib:%s/tests/delivery
ExecStart=/usr/bin/python3 %s
ExecStopPost=/usr/bin/systemctl poweroff -ff
"""

USERS = "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
GROUPS = "root:x:0:\nmessagebus:x:100:\nnogroup:x:65534:\n"


def source():
    """The tree, folder by folder: other users are to read it, also where a clone lies in a folder that is its user's alone."""
    folders = [name for name in os.listdir(harness.ROOT) if os.path.isdir(os.path.join(harness.ROOT, name)) and not name.startswith(".")]
    return ["--bind-ro=%s:%s" % (os.path.join(harness.ROOT, name), os.path.join(SOURCE, name)) for name in folders]


def why_not():
    """Why no container can be started here; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("systemd-nspawn"):
        return "needs systemd-nspawn (Debian's systemd-container)"
    if not os.path.exists("/usr/lib/systemd/systemd"):
        return "needs systemd"
    return None


def make_root(path):
    os.chmod(path, 0o755)
    for folder in ("etc/systemd/system", "usr", "var", "root", "srv", "tmp", "run", "opt/source", "opt/holdline"):
        os.makedirs(os.path.join(path, folder))
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink("usr/" + name, os.path.join(path, name))
    files = {"passwd": USERS, "group": GROUPS, "machine-id": "", "os-release": "ID=test\n", "systemd/system/test.target": TARGET}
    for name, text in files.items():
        with open(os.path.join(path, "etc", name), "w") as file:
            file.write(text)
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"):
        if os.path.isdir("/etc/" + name):
            shutil.copytree("/etc/" + name, os.path.join(path, "etc", name), symlinks=True)
        elif os.path.exists("/etc/" + name):
            shutil.copy("/etc/" + name, os.path.join(path, "etc", name))


def run(script, timeout=120):
    """Runs tests/delivery/SCRIPT as a service of systemd. Returns (values that it printed, all else that is known)."""
    harness.build_server()
    root = tempfile.mkdtemp(prefix="holdline-container-")
    try:
        make_root(root)
        with open(os.path.join(root, "etc/systemd/system/driver.service"), "w") as file:
            file.write(DRIVER % (PRODUCT, PRODUCT, int(harness.HEAVY), SOURCE, SOURCE, os.path.join(SOURCE, "tests/delivery", script)))
        command = ["systemd-nspawn", "--quiet", "--directory", root, "--bind-ro=/usr", *source(),
                   "--bind-ro=%s:%s" % (os.path.abspath(harness.PRODUCT), PRODUCT), "--private-network", "--register=no", "--keep-unit",
                   "--boot", "--", "systemd.unit=test.target", "systemd.log_color=0"]
        done = subprocess.run(["timeout", "-k", "5", str(timeout), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        texts = []
        for name in ("output", "errors"):
            try:
                with open(os.path.join(root, "srv", name)) as file:
                    texts.append(file.read())
            except FileNotFoundError:
                texts.append("")
        values = [json.loads(line) for line in texts[0].splitlines() if line.startswith(("[", "{"))]
        return values, "%s\n%s\n%s" % (texts[0][-2000:], texts[1][-2000:], done.stdout.decode("utf-8", "replace")[-2000:])
    finally:
        shutil.rmtree(root, ignore_errors=True)
