"""The ways in which programs execute a program `small`, or a script for it, which prints its environment; and a look at what it got."""
import os

import harness
from suite import tally

OTHER = "/usr/lib/other.so"
SPAWN = "import os, sys; os.waitpid(os.posix_spawn%s(sys.argv[1], sys.argv[1:], os.environ), 0)"
BY_FD = "import os; fd = os.open('small', os.O_RDONLY); os.set_inheritable(fd, True); os.execve(fd, ['small'], os.environ)"
CALLS = {
    "execve by a shell": ["sh", "-c", "exec ./small"],
    "fork and execve": ["sh", "-c", "./small; true"],
    "a script": ["sh", "-c", "./script; true"],
    "found in PATH": ["sh", "-c", "exec small"],
    "execvp": [harness.PYTHON, "-c", "import os; os.execvp('small', ['small'])"],
    "fexecve": [harness.PYTHON, "-c", BY_FD],
    "posix_spawn": [harness.PYTHON, "-c", SPAWN % "", "./small"],
    "posix_spawnp": [harness.PYTHON, "-c", SPAWN % "p", "small"],
    "vfork": [harness.PYTHON, "-c", "import subprocess; subprocess.run(['small'], close_fds=False)"],
    "system": ["perl", "-e", "system('small')"],
}


def place_script(folder):
    """The script beside `small`."""
    path = os.path.join(folder, "script")
    with open(path, "w") as file:
        file.write("#!%s\n" % os.path.join(folder, "small"))
    os.chmod(path, 0o755)


def variables(output):
    return dict(line.split("=", 1) for line in output.decode().splitlines() if "=" in line)


def run(command, folder, **more):
    """A command that executes `small` in its folder."""
    return harness.run(command, False, cwd=folder, PATH=folder + ":/usr/bin:/bin", UNRELATED="x", **more)


def expect_without_us(title, outcome, preload=""):
    """It ran, with all variables but our library in LD_PRELOAD, and no loader had anything to say."""
    seen = variables(outcome.output)
    tally.expect(title, outcome.status == 0 and not outcome.errors and seen.get("UNRELATED") == "x" and seen.get("LD_PRELOAD", "") == preload,
                 (outcome.status, seen.get("LD_PRELOAD"), seen.get("UNRELATED"), outcome.errors[-500:]))
