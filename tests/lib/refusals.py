"""Each system call of a program that uses a server of a protocol with a session fails once, with each of several errors
(strace): the program sees that failure at most, and no command is done twice. Long form only."""
import collections
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import harness
from suite import tally

N = 9
ERRORS = ["EINTR", "ENOMEM", "EMFILE", "EPERM", "EAGAIN", "ECONNRESET"]
# As in tests/hostile/syscalls.
DEADLY = {"execve", "exit_group", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "futex", "rt_sigaction", "rt_sigprocmask", "mprotect"}


def strace(command, *options):
    return harness.run(["strace", "-f", "-qq", *options, "env", "LD_PRELOAD=" + harness.SHIM, *command], False, 30)


def census(command):
    """How often each call is made, and how often before the first socket."""
    with tempfile.NamedTemporaryFile("r") as log:
        strace(command, "-o", log.name)
        calls, before = collections.Counter(), None
        for line in log:
            match = re.match(r"\d+ +(\w+)\(", line)
            if match and match.group(1) == "socket" and before is None:
                before = collections.Counter(calls)
            if match:
                calls[match.group(1)] += 1
    return calls, before or collections.Counter()


def check(protocol, server, begin, read_counter):
    """With a server that is alive. begin() makes the counter zero, read_counter() reads it."""
    if not harness.HEAVY:
        return
    if not shutil.which("strace"):
        tally.skip("refused calls", "there is no strace")
        return
    command = [harness.compile_program("counter", ["tests/lib/counter.c"]), protocol, str(server.port), str(N)]
    n_cases = 0
    begin()
    calls, before = census(command)
    for call in sorted(set(calls) - DEADLY):
        cases = [(error, when) for error in ERRORS for when in range(before[call] + 1, min(calls[call], before[call] + 40) + 1)]
        wrong = []

        def one(case):
            return case, strace(command, "-e", "trace=none", "-e", "inject=%s:error=%s:when=%d" % (call, *case), "-o", "/dev/null")

        begin()
        done = failed = 0
        with ThreadPoolExecutor(2) as threads:
            for case, outcome in threads.map(one, cases):
                match = re.search(rb"done (\d+) failed (\d+)", outcome.output)
                if match:
                    done, failed = done + int(match.group(1)), failed + int(match.group(2))
                if (not match or int(match.group(2)) > 1) and call != "write":
                    wrong.append("%s: %s %s" % (case, outcome.text(), outcome.errors[-200:]))
        n_cases += len(cases)
        # Whatever failed may have been done or not.
        counted = read_counter()
        tally.expect("refused: " + call, not wrong, "%d of %d\n    %s" % (len(wrong), len(cases), "\n    ".join(wrong[:6])))
        tally.expect("refused: %s: nothing is done twice" % call, call == "write" or done <= counted <= done + failed,
                     "%d counted, %d done, %d failed" % (counted, done, failed))
    tally.pass_("refused calls", "%d failures" % n_cases)
