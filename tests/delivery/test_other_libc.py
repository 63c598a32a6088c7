"""Programs of another C library or another machine that a program with the library starts, where no relay serves them: they run as bare, without the
library, which their loader could not load."""
import os
import shutil
import subprocess
import tempfile
import time

import executed
import harness
from suite import tally

LIBRARY = harness.SHIM.split(":")[-1]
RUN = [harness.HOLDLINE, "run", "--quiet", "--pool=local"]
EMULATOR = "/usr/bin/qemu-aarch64-static"
# The kernel executes files of that machine by the emulator (binfmt_misc), in a user namespace of their own.
KNOWN = r"""mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
    echo ':arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:%s:F' \
    >/proc/sys/fs/binfmt_misc/register && exec "$@" """ % EMULATOR
# A filter that lets all calls pass, by prctl(2): PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP; BPF_RET of SECCOMP_RET_ALLOW.
FILTERED = """import ctypes, os
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
program = Program(1, (6).to_bytes(4, "little") + (0x7fff0000).to_bytes(4, "little"))
assert libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execv("./small", ["small"])
"""

# A large environment has a mapping of its own, which the parent of a vfork child must not keep.
MANY = """import os, subprocess
def n_mappings():
    with open("/proc/self/maps") as file:
        return len(file.readlines())
many = dict(os.environ, **{"MANY_%d" % i: "x" for i in range(20000)})
subprocess.run(["./small"], env=many, close_fds=False, stdout=subprocess.DEVNULL)
before = n_mappings()
for _ in range(30):
    subprocess.run(["./small"], env=many, close_fds=False, stdout=subprocess.DEVNULL)
assert n_mappings() < before + 15
os.execve("./small", ["small"], many)
"""

# With no descriptor left, and none that the program inherits.
FULL = """import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
except OSError:
    pass
if sys.argv[1] == "spawn":
    os.waitpid(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)
else:
    os.execv(sys.argv[2], sys.argv[2:])
"""


def build(folder, compiler, *flags):
    """Why not, or None."""
    if not shutil.which(compiler):
        return "no " + compiler
    small = os.path.join(folder, "small")
    source = os.path.join(harness.ROOT, "tests/delivery/variables.c")
    built = subprocess.run([compiler, "-O1", *flags, "-o", small, source], capture_output=True, text=True)
    executed.place_script(folder)
    return built.stderr or None


def small_program(title):
    """A folder with the small program of musl, once; where it can't be built a verdict says why, and there is none."""
    with tempfile.TemporaryDirectory(prefix="holdline-musl-") as folder:
        reason = build(folder, "musl-gcc")
        if reason:
            tally.skip(title, reason)
        else:
            yield folder


def test_musl_child_without_relay():
    for folder in small_program("musl"):
        for title, command in executed.CALLS.items():
            for mode in "--mode=observe", "--relay=off":
                executed.expect_without_us("musl, %s: %s" % (mode, title), executed.run([*RUN, mode, "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY))
            # As the drop-in of `holdline enable` does.
            executed.expect_without_us("musl, preloaded alone: " + title, executed.run(["env", "LD_PRELOAD=" + LIBRARY, *command], folder))
        cases = {"little memory": ["sh", "-c", "ulimit -v 4000000; exec ./small"], "a filter of its own": [harness.PYTHON, "-c", FILTERED], "many variables": [harness.PYTHON, "-c", MANY],
                 "where the library is off": ["sh", "-c", "HOLDLINE_MODE=off; export HOLDLINE_MODE; exec sh -c 'exec ./small'"]}
        if shutil.which("strace"):
            cases["traced"] = ["strace", "-f", "-o", "trace", "sh", "-c", "exec ./small"]
        for title, command in cases.items():
            executed.expect_without_us("musl: " + title, executed.run([*RUN, "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY))
        outcome = executed.run(["env", "LD_PRELOAD=" + LIBRARY, "./small"], folder)
        tally.expect("musl: with the library it does not run", outcome.status != 0, outcome.output)


def place(folder, name, *lines):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write("\n".join(lines))
    os.chmod(path, 0o755)


def test_scripts_of_musl():
    """The kernel ends a script's first line with the file, takes a relative interpreter from the working directory, and follows scripts of scripts."""
    for folder in small_program("scripts of musl"):
        small = os.path.join(folder, "small")
        place(folder, "unended", "#!" + small)
        place(folder, "spaced", "#! \t" + small + " \t")
        place(folder, "relative", "#!small", "")
        place(folder, "longest", "#!" + "/" * (253 - len(small)) + small, "")
        place(folder, "level1", "#!" + small, "")
        for level in range(2, 7):
            place(folder, "level%d" % level, "#!%s/level%d" % (folder, level - 1), "")
        for name in "unended", "spaced", "relative", "longest", "level2", "level5":
            for title, command in {"execve": ["sh", "-c", "exec ./" + name], "posix_spawn": [harness.PYTHON, "-c", executed.SPAWN % "", "./" + name]}.items():
                executed.expect_without_us("scripts of musl, %s: %s" % (name, title), executed.run([*RUN, "--relay=off", "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY))
            executed.expect_without_us("scripts of musl, %s: with a relay" % name, executed.run([*RUN, "--", "sh", "-c", "exec ./" + name], folder, HOLDLINE_LIBRARY=LIBRARY))
        place(folder, "itself", "#!%s/itself" % folder, "")
        place(folder, "longer", "#!" + "/" * (254 - len(small)) + small, "")
        place(folder, "endless", "#!" + "/" * 3000)
        for name in "level6", "itself", "longer", "endless":
            command = [harness.PYTHON, "-c", "import os\ntry: os.execv('%s', ['x'])\nexcept OSError as error: print(error.errno)" % name]
            bare, ours = executed.run(command, folder), executed.run([*RUN, "--relay=off", "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY)
            tally.expect("scripts of musl, %s: refused as bare" % name, bare.output.strip().isdigit() and (bare.status, bare.output, bare.errors) == (ours.status, ours.output, ours.errors), (bare, ours))


def test_loader_of_musl():
    """The loader itself is executed, by whatever name; ours takes the library into what it runs."""
    with tempfile.TemporaryDirectory(prefix="holdline-loader-") as folder:
        reason = build(folder, "musl-gcc")
        loader = "/lib/ld-musl-%s.so.1" % os.uname().machine
        if reason or not os.path.exists(loader):
            tally.skip("loader of musl", reason or "no " + loader)
            return
        shutil.copy(loader, os.path.join(folder, "renamed"))
        place(folder, "script", "#!%s %s/small" % (loader, folder), "")
        by_fd = "import os; fd = os.open('renamed', os.O_RDONLY); os.set_inheritable(fd, True); os.execve(fd, ['ld', './small'], os.environ)"
        calls = {"by its name": ["sh", "-c", loader + " ./small; true"], "its file": ["sh", "-c", "%s ./small; true" % os.path.realpath(loader)],
                 "a copy": ["sh", "-c", "./renamed ./small; true"], "a script": ["sh", "-c", "./script; true"], "fexecve": [harness.PYTHON, "-c", by_fd],
                 "posix_spawn": [harness.PYTHON, "-c", executed.SPAWN % "", loader, "./small"]}
        for title, command in calls.items():
            for relay in ["--relay=off"], []:
                outcome = executed.run([*RUN, *relay, "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY)
                executed.expect_without_us("loader of musl, %s%s" % (title, "" if relay else ", with a relay"), outcome)
        for relay in ["--relay=off"], []:
            outcome = executed.run([*RUN, *relay, "--", "./renamed", "./small"], folder, HOLDLINE_LIBRARY=LIBRARY)
            executed.expect_without_us("loader of musl: by the command%s" % ("" if relay else ", with a relay"), outcome)
        own = subprocess.run(["readelf", "-p", ".interp", "/usr/bin/env"], capture_output=True, text=True).stdout.split()[-1]
        shutil.copy(own, os.path.join(folder, "own"))
        outcome = executed.run([*RUN, "--", "sh", "-c", "./own /usr/bin/env; true"], folder, HOLDLINE_LIBRARY=LIBRARY)
        tally.expect("our loader: the library stays", "libholdline.so" in executed.variables(outcome.output).get("LD_PRELOAD", ""), outcome.output)


def test_musl_without_descriptor():
    """What cannot be looked at, as no descriptor is left, runs without the library: one of our libc as well."""
    for folder in small_program("musl without a descriptor"):
        for way in "execve", "spawn":
            for program in "./small", "./script", "/usr/bin/env":
                outcome = executed.run([*RUN, "--", harness.PYTHON, "-c", FULL, way, program], folder, HOLDLINE_LIBRARY=LIBRARY)
                executed.expect_without_us("no descriptor left, %s: %s" % (way, program), outcome)


def test_musl_later_in_path():
    """execvp(3) goes on behind what it cannot execute."""
    for folder in small_program("musl later in PATH"):
        os.makedirs(os.path.join(folder, "folders", "small"))
        os.mkdir(os.path.join(folder, "data"))
        shutil.copyfile("/usr/bin/env", os.path.join(folder, "data", "small"))
        for first in "folders", "data", "small", "nonexistent":
            for title, command in {"execvp": ["env", "small"], "posix_spawnp": [harness.PYTHON, "-c", executed.SPAWN % "p", "small"]}.items():
                path = "PATH=%s/%s:%s:/usr/bin:/bin" % (folder, first, folder)
                outcome = executed.run([*RUN, "--relay=off", "--", "env", path, *command], folder, HOLDLINE_LIBRARY=LIBRARY)
                executed.expect_without_us("musl later in PATH, behind %s: %s" % (first, title), outcome)


def test_musl_without_path():
    """Without a PATH, execvp(3) and posix_spawnp(3) look into folders of the system, where the program is one of musl for this test."""
    with tempfile.TemporaryDirectory(prefix="holdline-path-") as folder:
        reason = build(folder, "musl-gcc")
        system = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$PWD/small" /usr/bin/cksum && exec "$@"', "sh"]
        if reason or executed.run([*system, "true"], folder).status:
            tally.skip("musl without PATH", reason or "needs a user namespace")
            return
        calls = {"execvp": ["env", "-u", "PATH", "cksum"], "posix_spawnp": [harness.PYTHON, "-c", "import os; os.unsetenv('PATH'); " + executed.SPAWN % "p", "cksum"]}
        for title, command in calls.items():
            for relay in ["--relay=off"], []:
                outcome = executed.run([*system, *RUN, *relay, "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY)
                executed.expect_without_us("musl without PATH, %s%s" % (title, "" if relay else ", with a relay"), outcome)


def test_child_of_another_machine():
    if os.uname().machine != "x86_64" or not os.path.exists(EMULATOR) or not shutil.which("aarch64-linux-gnu-gcc"):
        if harness.HEAVY:
            tally.skip("another machine", "needs x86_64, qemu-user-static and gcc-aarch64-linux-gnu")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-arm64-") as folder:
        known = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", KNOWN, "sh"]
        reason = build(folder, "aarch64-linux-gnu-gcc", "-static")
        if reason or executed.run([*known, "./small"], folder).status:
            tally.skip("another machine", reason or "the kernel has no binfmt_misc for a user namespace")
            return
        for title, command in executed.CALLS.items():
            executed.expect_without_us("another machine: " + title, executed.run([*known, *RUN, "--", *command], folder, HOLDLINE_LIBRARY=LIBRARY))


def test_looks_are_remembered():
    """A shell executes the same file twice, and looks into it once; not where it has become another one."""
    for folder in small_program("looks"):
        shutil.copy("/usr/bin/env", os.path.join(folder, "changing"))
        time.sleep(3)  # What was changed lately is not noted.
        outcome = executed.run(["env", "LD_PRELOAD=" + LIBRARY, "sh", "-c", "./changing true; ./changing true && cat small >changing && ./changing"], folder)
        executed.expect_without_us("looks: the file has changed", outcome)
        if not shutil.which("strace") or executed.run(["strace", "true"], folder).status:
            tally.skip("looks: how many", "needs strace")
            return
        trace = ["strace", "-f", "-e", "trace=openat", "-E", "LD_PRELOAD=" + LIBRARY, "sh", "-c", "%s; %s; %s"]
        outcome = executed.run([word.replace("%s", "/usr/bin/env true >/dev/null") for word in trace], folder)
        looks = [line for line in outcome.errors.decode().splitlines() if '"/usr/bin/env"' in line]
        tally.expect("looks: how many", len(looks) == 1, looks)
