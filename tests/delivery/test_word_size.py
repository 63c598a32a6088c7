"""32-bit programs that a program with the library starts: they run as bare, and their loader has nothing to complain of."""
import glob
import os
import platform
import shutil
import subprocess
import tempfile

import executed
import harness
import systems
from suite import tally


def test_environment_of_32_bit():
    """Without our library in LD_PRELOAD; with all others, and all other variables."""
    if platform.machine() != "x86_64":
        tally.skip("32 bit", "only for x86_64")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-small-") as folder:
        small = os.path.join(folder, "small")
        built = subprocess.run([harness.CC, "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector", "-fcf-protection=none",
                                "-O1", "-o", small, os.path.join(harness.ROOT, "tests/delivery/small.c")], capture_output=True, text=True)
        if not tally.expect("32 bit: it is built", built.returncode == 0, built.stderr):
            return
        executed.place_script(folder)
        run = [harness.HOLDLINE, "run", "--quiet", "--pool=local", "--"]
        library = harness.SHIM.split(":")[-1]
        for title, command in {**executed.CALLS, "holdline run": ["small"]}.items():
            for preload in "", executed.OTHER:
                # The loader of what starts it complains of the other library, which is not there.
                outcome = executed.run([*run, *command], folder, LD_PRELOAD=preload, HOLDLINE_LIBRARY=library)
                outcome.errors = b"" if preload else outcome.errors
                executed.expect_without_us("32 bit: %s%s" % (title, ", with another library" if preload else ""), outcome, preload)
        outcome = executed.run([*run, "sh", "-c", "exec env"], folder, HOLDLINE_LIBRARY=library)
        tally.expect("64 bit: the library stays", "libholdline.so" in executed.variables(outcome.output).get("LD_PRELOAD", ""), outcome.output)


def test_32_bit():
    """The long form, with a 32-bit libc, in a system of its own."""
    if not harness.HEAVY:
        return
    if os.geteuid() != 0 or not shutil.which("mmdebstrap") or platform.machine() != "x86_64":
        tally.skip("32-bit libc", "needs root, mmdebstrap and x86_64")
        return
    with tempfile.TemporaryDirectory(prefix="holdline-both-") as folder:
        root = os.path.join(folder, "root")
        why_not = systems.make_root(root, ["hello:i386", "libcjson1", "libmnl0", "libseccomp2"], "--architectures=amd64,i386")
        if why_not:
            tally.skip("32-bit libc", why_not)
            return
        for path in (harness.HOLDLINE, harness.SHIM.split(":")[-1]):
            shutil.copy(path, os.path.join(root, "opt"))
        loaders = glob.glob(root + "/lib/ld-linux.so.2")
        for command in (["hello"], ["sh", "-c", "hello; hello"], ["perl", "-e", "system('hello'); exec('hello')"]):
            done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', root,
                                   "/opt/holdline", "run", "--quiet", "--pool=local", "--", *command], capture_output=True, text=True)
            tally.expect("32-bit libc: %s" % command, loaders and done.returncode == 0 and set(done.stdout.splitlines()) == {"Hello, world!"} and not done.stderr, done)
        done = subprocess.run(["chroot", root, "env", "LD_PRELOAD=/opt/libholdline.so", "hello"], capture_output=True, text=True)
        tally.expect("32-bit libc: without us the loader complains", "wrong ELF class" in done.stderr, done)
