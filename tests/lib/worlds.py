"""The worlds in which contract programs run: with a pool of their own, with a shared one, inside another preloaded
library or allocator, with a sanitizer in them.

A world says how programs are built, and what their environment is bare and preloaded. In each the bare run has
everything but the shim, so that a difference is the shim's.
"""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

import harness
import musl_root


def find_library(pattern):
    found = sorted(glob.glob("/usr/lib/*/" + pattern) + glob.glob("/usr/lib/" + pattern))
    return found[0] if found else None


def compiler_library(name):
    path = subprocess.run([harness.CC, "-print-file-name=" + name], stdout=subprocess.PIPE, text=True).stdout.strip()
    return os.path.realpath(path) if os.path.isabs(path) and os.path.exists(path) else None


class World:
    """The basic world: the shim alone, with a pool of the process's own."""
    name, suffix, flags, compiler = "local", "", (), harness.CC
    skipped = ()
    is_allocator = False
    is_fetched = False  # needs a source package: not every day
    command = harness.HOLDLINE if os.path.exists(harness.HOLDLINE) else None  # which serves the static programs that are executed

    def missing(self):
        """Why this world can't be used here, or None."""
        return None

    @contextlib.contextmanager
    def place(self):
        """A resource that all runs of one worker share, alive inside the with block."""
        yield None

    def preloads(self, preloaded):
        return [harness.SHIM] if preloaded else []

    def settings(self, preloaded, place):
        return {}

    def environment(self, preloaded, place):
        libraries = self.preloads(preloaded)
        environment = dict(self.settings(preloaded, place))
        if libraries:
            environment["LD_PRELOAD"] = ":".join(libraries)
        if preloaded and self.command:
            environment["HOLDLINE_COMMAND"] = self.command
        return environment

    def start(self, command, environment):
        """The command and the variables by which a program is started."""
        return command, environment

    def skips(self, program, case):
        return program in self.skipped or "%s/%s" % (program, case) in self.skipped


class Shared(World):
    """One broker per worker: connections that one run has parked are leased by the next one."""
    name = "shared"

    @contextlib.contextmanager
    def place(self):
        folder = tempfile.mkdtemp(prefix="holdline-contract-")
        path = os.path.join(folder, "holdline", "broker")
        os.makedirs(os.path.dirname(path), 0o700)
        broker = subprocess.Popen([os.path.join(os.path.abspath(harness.PRODUCT), "holdline"), "broker"],
                                  env=harness.environment(False, XDG_RUNTIME_DIR=folder), stdin=subprocess.DEVNULL)
        for _ in range(250):
            if os.path.exists(path):
                break
            time.sleep(0.02)
        try:
            yield path
        finally:
            broker.send_signal(signal.SIGTERM)
            broker.wait(10)
            shutil.rmtree(folder, ignore_errors=True)

    def settings(self, preloaded, place):
        return {"HOLDLINE_BROKER": place} if preloaded else {}


class Relayed(World):
    """Told that a relay is around it, the library marks what the relay is to let pass. The kernel must not mind."""
    name = "relayed"

    def settings(self, preloaded, place):
        return {"HOLDLINE_RELAYED": "1"} if preloaded else {}


class Beside(World):
    """Another library is preloaded, too, bare and under the shim."""
    pattern = None
    is_first = True

    def missing(self):
        return None if find_library(self.pattern) else self.pattern + " is not installed"

    def preloads(self, preloaded):
        other, ours = [find_library(self.pattern)], super().preloads(preloaded)
        return other + ours if self.is_first else ours + other


class Eatmydata(Beside):
    """Behind a library that wraps file calls: its names are bound first, ours next."""
    name = "eatmydata"
    pattern = "libeatmydata.so"


class InsideEatmydata(Eatmydata):
    """The same the other way round: our calls of the next function reach that library."""
    name = "inside-eatmydata"
    is_first = False


class Jemalloc(Beside):
    """An allocator that sets itself up at the first malloc() of the process, under a lock, and calls wrapped functions
    meanwhile."""
    name, is_allocator = "jemalloc", True
    pattern = "libjemalloc.so.2"


class InsideJemalloc(Jemalloc):
    """Ours comes first in LD_PRELOAD, so that its constructor runs last."""
    name = "inside-jemalloc"
    is_first = False


class Tcmalloc(Beside):
    """With its profilers, whose constructors read settings and files."""
    name, is_allocator = "tcmalloc", True
    pattern = "libtcmalloc.so.4"


class Mimalloc(Beside):
    name, is_allocator = "mimalloc", True
    pattern = "libmimalloc.so*"


class Faketime(Beside):
    """A library that lies about the clock, and wraps the calls that wait by it."""
    name = "faketime"
    pattern = "faketime/libfaketimeMT.so.1"

    def settings(self, preloaded, place):
        return {"FAKETIME": "+400d", "FAKETIME_NO_CACHE": "1"}


class Asan(World):
    """Programs with AddressSanitizer, its runtime a library that has to come before all others."""
    name, suffix = "asan", "-asan"
    flags = ("-fsanitize=address", "-fno-omit-frame-pointer")
    # Bad pointers are reported there instead of being passed on, memory is not flat, and stacks are not small.
    # The allocator is the sanitizer's.
    skipped = ("allocator", "errors", "leak", "poll/errors", "vectors/vector-errors", "vectors/messages", "handlers/small-thread",
               "handlers/alternate-stack", "children/sandbox", "children/forkers", "peeks/wait-for-one")
    library = "libasan.so"

    def missing(self):
        return None if compiler_library(self.library) else "no " + self.library

    def preloads(self, preloaded):
        return [compiler_library(self.library)] + super().preloads(preloaded) if preloaded else []

    def settings(self, preloaded, place):
        return {"ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:allow_user_segv_handler=1"}


class AsanStatic(Asan):
    """The runtime is linked into the program, as clang does: its place among the libraries does not matter."""
    name, suffix = "asan-static", "-asan-static"
    flags = Asan.flags + ("-static-libasan",)
    library = "libasan.a"

    def preloads(self, preloaded):
        return World.preloads(self, preloaded)


class Musl(World):
    """Programs of another C library, with the library that is built for it, among programs of that C library."""
    name, suffix, compiler = "musl", "-musl", musl_root.COMPILER
    flags = ("-isystem", musl_root.INCLUDE, "-Wno-stringop-overread")
    command = None  # it is none of musl's
    is_fetched = True
    # musl has no swapcontext(), and its smallest stack has 2 KiB.
    skipped = ("coroutines", "handlers/small-thread")

    def missing(self):
        return musl_root.missing()

    def preloads(self, preloaded):
        return [musl_root.LIBRARY] if preloaded else []

    def start(self, command, environment):
        return musl_root.prefix(environment) + command, {}


WORLDS = [World(), Shared(), Relayed(), Eatmydata(), InsideEatmydata(), Jemalloc(), InsideJemalloc(), Tcmalloc(), Mimalloc(), Faketime(), Asan(),
          AsanStatic(), Musl()]
