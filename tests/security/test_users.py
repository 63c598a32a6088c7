"""Files, sockets, brokers and locks that another user of the machine puts in the way."""
import fcntl
import os
import socket
import subprocess

import harness
from harness import HOLDLINE
from suite import tally
from two_users import AS_VICTIM, ATTACKER, Folder, PLACES, VICTIM, needs_root, remove, remove_places, run_with_broker


def test_log():
    """A log's path where others may write: a link, or a pipe that nobody reads, in its place."""
    with Folder() as folder, harness.Server() as server:
        target, log = folder / "target", folder / "log"
        with open(target, "w") as file:
            file.write("precious")
        for kind in "link", "hanging link", "hard link", "pipe", "pipe with a reader", "folder":
            reader = None
            if kind == "link":
                os.symlink(target, log)
            elif kind == "hanging link":
                os.symlink(folder / "nothing", log)
            elif kind == "hard link":
                os.link(target, log)
            elif kind == "folder":
                os.mkdir(log)
            else:
                os.mkfifo(log, 0o666)
            if kind == "pipe with a reader":
                reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
            outcome = harness.run(["curl", "-sS", "-m", "5", server.url("/bytes/10")], True, 10, HOLDLINE_LOG=log)
            got = b""
            if reader:
                got = os.read(reader, 100)
                os.close(reader)
            intact = open(target).read() == "precious" and not os.path.exists(folder / "nothing") and not got
            tally.expect("log: " + kind, outcome.status == 0 and len(outcome.output) == 10 and intact, "%s, intact %s" % (outcome.text(), intact))
            os.rmdir(log) if kind == "folder" else os.unlink(log)
        os.mkfifo(log)
        outcome = harness.run([HOLDLINE, "run", "--pool=local", "--log=" + log, "true"], False, 10)
        tally.expect("log: run says that it can't", outcome.status == 125 and log.encode() in outcome.errors, outcome.errors)
        os.unlink(log)
        harness.run(["curl", "-sS", "-m", "5", server.url("/bytes/10")], True, 10, HOLDLINE_LOG=log)
        tally.expect("log: the user's alone", os.path.exists(log) and os.stat(log).st_mode & 0o777 == 0o600, "missing, or open to others")


def expect_squatted(folder, server, name, place, inside, kind):
    """The victim's place is somebody else's already: nothing is put there, nothing is taken from there, the program
    works."""
    before = sorted(os.listdir(inside))
    alone = folder.curl(server)
    run = harness.run([*AS_VICTIM, folder.holdline, "run", "--quiet", "--", "sh", "-c", 'echo "broker=$HOLDLINE_BROKER"; curl -sS -m 5 ' +
                       server.url("/bytes/10")], False, 15, HOLDLINE_LIBRARY=folder.shim)
    good = alone.status == run.status == 0 and len(alone.output) == 10 and place.encode() not in run.output
    after = sorted(os.listdir(inside))
    tally.expect("%s: %s" % (name, kind), good and before == after, "%s%s, %s became %s" % (run.text(), run.errors.decode(), before, after))


def test_squatted():
    if not needs_root("squatted places"):
        return
    with Folder() as folder, harness.Server() as server:
        for name, place in PLACES.items():
            for kind in "another user's folder", "a link to another user's", "a link to one of his own", "a file":
                inside = folder / "inside"
                os.mkdir(inside)
                # The folder is open to all: a write into it would be seen.
                os.chmod(inside, 0o777)
                os.chown(inside, VICTIM if kind.endswith("own") else ATTACKER, -1)
                if kind == "another user's folder":
                    os.rmdir(inside)
                    os.mkdir(place)
                    os.chown(place, ATTACKER, -1)
                    os.chmod(place, 0o777)
                    inside = place
                elif kind == "a file":
                    open(place, "w").close()
                    os.chown(place, ATTACKER, -1)
                else:
                    os.symlink(inside, place)
                    os.chown(place, ATTACKER, -1, follow_symlinks=False)
                    # The kernel's own protection is off here: ours has to suffice.
                try:
                    expect_squatted(folder, server, name, place, inside, kind)
                finally:
                    remove_places()
                    remove(folder / "inside")
        harness.run([*AS_VICTIM, "env", "LD_PRELOAD=" + folder.shim, "curl", "-sS", server.url("/bytes/10")], False, 10)
        modes = []
        for directory, _, names in os.walk(PLACES["/dev/shm"]):
            modes += [(os.lstat(path).st_mode & 0o777, os.lstat(path).st_uid) for path in [directory] + [os.path.join(directory, n) for n in names]]
        tally.expect("counts: the user's alone", len(modes) >= 3 and set(modes) <= {(0o700, VICTIM), (0o600, VICTIM)}, modes)


def test_foreign_broker():
    """HOLDLINE_BROKER, as sudo -E might pass it on, is another user's: not one byte is said to it."""
    if not needs_root("another user's broker"):
        return
    with Folder() as folder, harness.Server() as server:
        path = folder / "broker"
        listener = ("import os, socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777)\n"
                    "s.listen(); print('ready', flush=True)\nwhile True:\n    c = s.accept()[0]; c.settimeout(3); print('heard', len(c.recv(4096)), flush=True)")
        attacker = subprocess.Popen(["setpriv", "--reuid", str(ATTACKER), "--clear-groups", harness.python(), "-c", listener.replace("\\\n", "\n"), path],
                                    stdout=subprocess.PIPE, text=True)
        try:
            attacker.stdout.readline()
            outcome = folder.curl(server, HOLDLINE_BROKER=path)
            heard = attacker.stdout.readline()
        finally:
            attacker.kill()
            attacker.communicate()
        tally.expect("another user's broker hears nothing", outcome.status == 0 and heard == "heard 0\n", "%r %s" % (heard, outcome.text()))


def test_foreign_runtime():
    """sudo -E: root with another user's $XDG_RUNTIME_DIR, who could put anything in the place of what root makes
    there."""
    if not needs_root("another user's runtime folder"):
        return
    with Folder() as folder, harness.Server() as server:
        os.mkdir(folder / "run", 0o700)
        os.chown(folder / "run", ATTACKER, -1)
        # A folder that was root's when it was made, somewhere else now.
        os.mkdir(folder / "run/holdline", 0o700)
        before = os.path.exists("/dev/shm/holdline-0")
        outcome = harness.run([HOLDLINE, "run", "--quiet", "--", "sh", "-c", 'echo "$HOLDLINE_BROKER"; curl -sS -m 5 ' + server.url("/bytes/10")],
                              False, 15, XDG_RUNTIME_DIR=folder / "run", HOLDLINE_LIBRARY=harness.SHIM)
        tally.expect("another user's runtime folder", outcome.status == 0 and folder.path.encode() not in outcome.output and
                     not os.listdir(folder / "run/holdline"), "%s%s" % (outcome.text(), os.listdir(folder / "run/holdline")))
        if not before:
            remove("/dev/shm/holdline-0")


def test_stale_sockets():
    """Something else lies in the broker's place: a dead broker's socket, a file, a pipe that nobody reads."""
    with Folder() as folder, harness.Server() as server:
        os.mkdir(folder / "run", 0o700)
        os.mkdir(folder / "run/holdline", 0o700)
        path = folder / "run/holdline/broker"
        for kind in "a dead broker's socket", "a file", "a pipe", "a hanging link":
            if kind == "a dead broker's socket":
                dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                dead.bind(path)
                dead.close()
            elif kind == "a file":
                open(path, "w").close()
            elif kind == "a pipe":
                os.mkfifo(path)
            else:
                os.symlink(folder / "nothing", path)
            direct = harness.run(["curl", "-sS", "-m", "5", server.url("/bytes/10")], True, 5, HOLDLINE_BROKER=path)
            command = 'curl -sS -m 5 %s; "%s" status --json' % (server.url("/bytes/10"), HOLDLINE)
            outcome = run_with_broker(folder, command)
            good = direct.status == outcome.status == 0 and len(direct.output) == 10
            tally.expect("in a broker's place: " + kind, good and b'"running":\ttrue' in outcome.output and not os.path.exists(folder / "nothing"),
                         "%s%s%s" % (direct.text(), outcome.text(), outcome.errors.decode()))
            if os.path.lexists(path):
                os.unlink(path)


def test_held_locks():
    """Another process of the user holds every lock that there is: programs run on, and none waits for long."""
    with Folder() as folder, harness.Server() as server:
        os.mkdir(folder / "run", 0o700)
        os.mkdir(folder / "run/holdline", 0o700)
        os.mkdir(folder / "stats", 0o700)
        names = ["run/holdline/broker.lock", "stats/total"] + ["stats/%04d" % i for i in range(1024)]
        locks = [open(folder / name, "w") for name in names]
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = harness.run([HOLDLINE, "run", "--quiet", "--", "curl", "-sS", "-m", "5", server.url("/bytes/10")], False, 15,
                              XDG_RUNTIME_DIR=folder / "run", HOLDLINE_STATS=folder / "stats", HOLDLINE_LIBRARY=harness.SHIM)
        tally.expect("all locks are held", outcome.status == 0 and len(outcome.output) == 10, outcome.text() + outcome.errors.decode())
        for lock in locks:
            lock.close()
