"""A machine of arm64, emulated by qemu: Debian's kernel, and a root in its memory with this tree and what was cross-built.
Its own processes and system calls are real, which qemu's emulation of single programs does not give: that has no
TCP_INFO, so that nothing would be reused there, no ptrace(2) and no notifications of seccomp(2)."""
import glob
import os
import shutil
import subprocess

import harness
import roots

PREFIX = "aarch64-linux-gnu-"
PACKAGES = """busybox check coreutils curl dash grep iproute2 libc6-dev libcjson-dev libdw-dev libgcc-12-dev libgnutls28-dev libmicrohttpd-dev
    libmnl-dev libseccomp-dev libssl-dev libsubunit-dev linux-image-cloud-arm64 mawk python3 sed systemtap-sdt-dev util-linux uthash-dev
    wget""".split()
NEEDS = "mmdebstrap", PREFIX + "gcc", "qemu-system-aarch64", "cpio", "bwrap"
TREE = os.path.join(roots.FOLDER, "arm64.tree")
PRODUCT = os.path.join(harness.ROOT, "build", "arm64")


def missing():
    """Why there can be none, or None."""
    absent = [program for program in NEEDS if not shutil.which(program)]
    return "no " + absent[0] if absent else None if roots.mirror() else "no mirror of Debian"


def root():
    return roots.make("arm64", "bookworm", PACKAGES, "--variant=extract", "--architectures=arm64")


def compiler(sysroot, name):
    """A compiler that is one word."""
    path = os.path.join(roots.FOLDER, name)
    with open(path, "w") as file:
        file.write('#!/bin/sh\nexec %sgcc --sysroot=%s "$@"\n' % (PREFIX, sysroot))
    os.chmod(path, 0o755)
    return path


def build():
    """Cross-builds the library, the command and the unit tests. Returns the status and the output."""
    settings = ["CC=" + compiler(root(), "arm64-cc"), "AR=%sar" % PREFIX, "BUILD=" + PRODUCT, "LTO=", "CFLAGS=-O1 -g"]
    done = harness.run(["make", "--no-print-directory", "-j2", *settings, "all", PRODUCT + "/unit-tests"], False, 900, cwd=harness.ROOT)
    return done.status, (done.output + done.errors).decode("utf-8", "replace")


def stage():
    """The tree as the machine will see it, at this tree's own place; the test programs are cross-built there."""
    inside = TREE + harness.ROOT
    shutil.rmtree(TREE, ignore_errors=True)
    for folder in "tests", "pool":
        shutil.copytree(os.path.join(harness.ROOT, folder), os.path.join(inside, folder), ignore=shutil.ignore_patterns("__pycache__", "fuzz"))
    os.makedirs(inside + "/build/arm64")
    for name in "libholdline.so", "holdline", "unit-tests":
        shutil.copy(os.path.join(PRODUCT, name), inside + "/build/arm64")
    shutil.copy(os.path.join(harness.ROOT, "tests", "ports", "guest_init"), TREE + "/init")
    compiler("/mnt/arm64", "arm64-cc-inside")
    subprocess.run(["bwrap", "--dev-bind", "/", "/", "--bind", roots.FOLDER, "/mnt", "--bind", inside, harness.ROOT, "--setenv", "CC", "/mnt/arm64-cc-inside",
                    "--setenv", "PYTHONDONTWRITEBYTECODE", "1", harness.PYTHON, harness.ROOT + "/tests/ports/compile_contract.py"],
                   check=True, stderr=subprocess.DEVNULL, timeout=300)


def archive(folder, output, *unwanted):
    prune = [word for path in unwanted for word in ("-path", path, "-prune", "-o")]
    found = subprocess.run(["find", ".", *prune, "-print"], cwd=folder, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=folder, check=True, input=found, stdout=output)


def boot(job, timeout, kernel=None):
    """Runs shell lines in the tree. Returns the status and what was printed; the machine ends with them."""
    with open(TREE + "/job", "w") as file:
        file.write("cd %s\nexport BUILD=%s CK_TIMEOUT_MULTIPLIER=20 HL_PATIENCE=5\n%s\n" % (harness.ROOT, PRODUCT, job))
    memory = os.path.join(roots.FOLDER, "arm64.memory")
    with open(memory, "wb") as output:
        archive(root(), output, "./boot", "./usr/share/doc", "./usr/share/man")
        archive(TREE, output)
    kernel = kernel or glob.glob(root() + "/boot/vmlinuz-*")[0]
    done = harness.run(["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a76", "-smp", "2", "-m", "4096", "-nographic", "-no-reboot", "-nic", "none",
                        "-kernel", kernel, "-initrd", memory, "-append", "console=ttyAMA0 quiet panic=-1"], False, timeout)
    text = done.output.decode("utf-8", "replace").replace("\r", "")
    return 0 if "\nstatus 0\n" in text else 1, text
