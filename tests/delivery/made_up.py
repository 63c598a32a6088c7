"""A folder that looks like the root of a system with systemd, as far as `holdline enable --root` looks at it."""
import os
import shutil
import subprocess
import tempfile

import harness

# What `systemctl cat` would show of a service; %s: its lines in [Service].
UNIT = "[Unit]\nDescription=A service\n\n[Service]\n%s\n\n[Install]\nWantedBy=multi-user.target\n"
ETC = "etc/systemd/system"


class Root:
    """The folder, inside a with block."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="holdline-root-")
        self.write("usr/bin/dynamic", "")
        shutil.copy("/bin/true", self.at("usr/bin/dynamic"))
        # At the paths that they have on this system.
        for path in (harness.SHIM.split(":")[-1], os.path.realpath(harness.HOLDLINE)):
            self.write(path[1:], "")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def at(self, path):
        return os.path.join(self.path, path)

    def write(self, path, text):
        """A file; returns its text."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w") as file:
            file.write(text)
        return text

    def add_unit(self, name, *lines, folder=ETC):
        return self.write("%s/%s" % (folder, name), UNIT % "\n".join(lines))

    def link(self, path, target):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        os.symlink(target, self.at(path))

    def read(self, path):
        """The file's text, None if there is none."""
        try:
            with open(self.at(path)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def dropin(self, unit):
        return self.read("%s/%s.d/zzz-holdline.conf" % (ETC, unit))

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.path) for folder, _, names in os.walk(self.path) for name in names)

    def holdline(self, command, *arguments, program=harness.HOLDLINE, **variables):
        """(exit status, what it said)."""
        done = subprocess.run([program, command, "--root=" + self.path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=harness.environment(False, **{"HOLDLINE_LIBRARY": harness.SHIM.split(":")[-1], **variables}))
        return done.returncode, done.stdout + done.stderr


def in_other_etc(command, **variables):
    """Runs a command, as root, in a mount namespace where /etc has a layer of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        script = ('mount -t tmpfs none "$0" && mkdir "$0/upper" "$0/work" && '
                  'mount -t overlay -o lowerdir=/etc,upperdir="$0/upper",workdir="$0/work" none /etc && exec env "$@"')
        settings = ["%s=%s" % item for item in variables.items()]
        return subprocess.run(["unshare", "--mount", "sh", "-c", script, folder, *settings, *command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=harness.environment(False))


def why_no_other_etc():
    """Why that can't be done here; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    done = in_other_etc(["true"])
    return None if done.returncode == 0 else done.stderr.strip()
