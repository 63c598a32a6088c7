"""A root of musl programs alone: busybox and curl, built from Debian's source packages with musl-gcc, and musl's loader. What is to
run there lies in the build folder, which it shows at its own place."""
import fcntl
import glob
import os
import shutil
import subprocess
import sys

import harness

sys.path.append(os.path.join(harness.ROOT, "tests", "foreign"))
import sources

ROOT = os.path.join(harness.ROOT, "build", "tests", "musl-root")
COMPILER = "musl-gcc"
LIBRARY = os.path.join(harness.MUSL, "libholdline.so")
INCLUDE = os.path.join(harness.MUSL, "include")
APPLETS = """ASH ASH_ECHO ASH_TEST ASH_PRINTF ASH_GETOPTS ASH_CMDCMD SH_IS_ASH FEATURE_SH_MATH BASENAME CAT CHMOD CP CUT DD ECHO ENV EXPR FALSE
    FEATURE_FANCY_SLEEP FLOAT_DURATION
    GREP HEAD ID KILL LFS LONG_OPTS LS MD5SUM MKDIR MV NC NC_EXTRA NC_110_COMPAT OD PRINTF PS PWD READLINK RM SED SEQ SHELL_ASH SLEEP SORT STAT TAIL
    TEE TEST TEST1 TIMEOUT TOUCH TR TRUE WC WGET FEATURE_WGET_LONG_OPTIONS FEATURE_WGET_TIMEOUT WHOAMI XARGS""".split()


def missing():
    """Why there can be none, or None."""
    for program in COMPILER, "bwrap", "dpkg-source":
        if not shutil.which(program):
            return "no " + program
    return None if os.path.exists(LIBRARY) else "no library for musl: make MUSL=1"


def configure(tree):
    path = os.path.join(tree, ".config")
    sources.build(tree, "make allnoconfig", {})
    with open(path) as file:
        text = file.read()
    for applet in ["BUSYBOX", *APPLETS]:
        text = text.replace("# CONFIG_%s is not set\n" % applet, "CONFIG_%s=y\n" % applet)
    with open(path, "w") as file:
        file.write(text)
    sources.build(tree, "yes '' | make oldconfig", {})


def build_busybox():
    tree = sources.unpack("busybox")
    configure(tree)
    sources.build(tree, "make -j2 CC='%s -isystem %s' busybox" % (COMPILER, INCLUDE), {})
    return os.path.join(tree, "busybox")


def build_curl():
    """Without what would need other libraries for musl."""
    tree = sources.unpack("curl")
    without = "--without-ssl --without-zlib --without-brotli --without-zstd --without-libpsl --without-nghttp2 --without-libidn2 --without-librtmp"
    sources.build(tree, "./configure -q CC='%s -isystem %s' --disable-shared --disable-ldap --disable-manual --disable-threaded-resolver %s && "
                  "make -s -j2 -C lib && make -s -j2 -C src curl" % (COMPILER, INCLUDE, without), {})
    return os.path.join(tree, "src", "curl")


def fill(folder):
    for name in "bin", "dev", "etc", "lib", "proc", "run", "sys", "tmp":
        os.makedirs(os.path.join(folder, name))
    shutil.copy(build_busybox(), os.path.join(folder, "bin", "busybox"))
    shutil.copy(build_curl(), os.path.join(folder, "bin", "curl"))
    for applet in subprocess.run([os.path.join(folder, "bin", "busybox"), "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split():
        os.symlink("busybox", os.path.join(folder, "bin", applet))
    for loader in glob.glob("/lib/ld-musl-*.so.1"):
        shutil.copy(os.path.realpath(loader), os.path.join(folder, "lib", os.path.basename(loader)))
    for name, text in ("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("hosts", "127.0.0.1 localhost\n"):
        with open(os.path.join(folder, "etc", name), "w") as file:
            file.write(text)


def make():
    """Builds it, unless it is there. Returns its path."""
    os.makedirs(os.path.dirname(ROOT), exist_ok=True)
    with open(ROOT + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(ROOT):
            shutil.rmtree(ROOT + ".new", ignore_errors=True)
            fill(ROOT + ".new")
            os.rename(ROOT + ".new", ROOT)
    return ROOT


def prefix(environment):
    """The beginning of a command that runs in it, with these variables. The loader of this machine must not see them."""
    command = ["bwrap", "--bind", make(), "/", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc", "--bind", "/tmp", "/tmp",
               "--bind", os.path.join(harness.ROOT, "build"), os.path.join(harness.ROOT, "build"), "--cap-add", "ALL", "--setenv", "PATH", "/bin"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return command + ["--"]
