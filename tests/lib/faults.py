"""The server that hangs up, splits and pauses at each byte (hostile/faults.h), its client, and the comparison of two runs
of that client."""
import subprocess
import tempfile

import harness


def build_server():
    return harness.compile_program("fault_server", ["tests/hostile/fault_server.c", "tests/hostile/faults.c"])


def build_client(name="fault_client", flags=()):
    """The client; the server, too, so that runs side by side don't both build it."""
    build_server()
    return harness.compile_program(name, ["tests/hostile/fault_client.c", "tests/hostile/faults.c"], flags)


class Server:
    """The fault server and its plan."""

    def __enter__(self):
        self.plan = tempfile.NamedTemporaryFile()
        self.plan.write(bytes(4096))
        self.plan.flush()
        self.process = subprocess.Popen([build_server(), self.plan.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()
        self.plan.close()


def is_better(bare, subject):
    """A reset right behind a whole answer: an end of file instead is a failure less."""
    return subject == bare.replace("ECONNRESET", "EOF")


def compare(tally, mode, bare, subject):
    """A verdict for each framing; returns the number of faults."""
    groups = {}
    before, after = bare.text().splitlines(), subject.text().splitlines()
    tally.expect(mode + ": ran to the end", bare.status == subject.status == 0 and len(before) == len(after),
                 "%s %s %d %d\n%s" % (bare.status, subject.status, len(before), len(after), subject.errors.decode()[-500:]))
    for one, other in zip(before, after):
        name = one.split(" ")[0]
        different = groups.setdefault(name, [0, []])
        different[0] += 1
        if one != other and not is_better(one, other):
            different[1].append("bare: %s\n    subject: %s" % (one, other))
    for name, (n, different) in groups.items():
        tally.expect("%s %s" % (mode, name), not different, "%d of %d differ\n    %s" % (len(different), n, "\n    ".join(different[:4])))
    return len(before)
