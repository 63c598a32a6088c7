"""When a broker starts and ends, its paths, the output of `holdline status`, and service managers."""
import os
import socket
import subprocess
import threading

import harness
from broker_world import World
from harness import HOLDLINE, PYTHON, wait_until
from programs import Sleeper, n_open
from suite import tally


@tally.timed
def test_sleepers():
    for pool in "shared", "local":
        with World(HOLDLINE_POOL=pool, HOLDLINE_IDLE_CONN_TIMEOUT="1s") as world, harness.Server() as server:
            with Sleeper(world, server):
                kept = wait_until(lambda: n_open(server) == 1, 0.5)
                gone = wait_until(lambda: n_open(server) == 0, 2.0)
                tally.expect_in_time("idle timeout while all sleep, " + pool, kept and gone and not world.status(),
                             "kept %s, gone %s, %s" % (kept, gone, world.status()))
    with World() as world, harness.Server("--idle-timeout", "300") as server, Sleeper(world, server, server.url("/bytes/10")) as sleeper:
        held = len(world.status())
        gone = wait_until(lambda: not world.status(), 1.3)
        woken = sleeper.wake()
        tally.expect_in_time("a FIN is noticed while all sleep", held == 1 and gone and woken == (0, ["10"]), "%s %s %s" % (held, gone, woken))


def test_places():
    with World() as world, harness.Server() as server:
        folder = os.path.dirname(world.path)
        os.mkdir(folder, 0o755)
        outcome = world.run(["sh", "-c", "echo $HOLDLINE_BROKER"])
        tally.expect("a folder that others may enter", folder not in outcome.output.decode(), outcome.output)
        os.rmdir(folder)
        os.mkdir(folder + "-elsewhere", 0o700)
        os.symlink(folder + "-elsewhere", folder)
        outcome = world.run(["sh", "-c", "echo $HOLDLINE_BROKER"])
        tally.expect("a folder that is a link", folder not in outcome.output.decode(), outcome.output)
        os.unlink(folder)
        # As cron leaves it, in a namespace of mounts.
        script = "mount -t tmpfs none /run && mkdir -m 755 /run/user && mkdir -m 700 /run/user/%d && exec $0 run --quiet -- sh -c 'echo $HOLDLINE_BROKER'"
        outcome = harness.run(["unshare", "-m", "env", "-u", "XDG_RUNTIME_DIR", "sh", "-c", script % os.geteuid(), HOLDLINE], False, 10)
        if b"Operation not permitted" in outcome.errors:
            tally.skip("the folder of who is logged in", "namespaces are not allowed here")
        else:
            tally.expect("the folder of who is logged in", outcome.output == b"/run/user/%d/holdline/broker\n" % os.geteuid(), "%s%s" % (
                outcome.output, outcome.errors))
        outcome = harness.run([PYTHON, "-c", "import os, subprocess, sys; subprocess.run(sys.argv[1:]);\n"
                               "try: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError: print('no children')",
                               HOLDLINE, "run", "--", "true"], False, 10, **world.environment({}))
        tally.expect("the broker is nobody's child", outcome.output.split() == [b"no", b"children"], outcome.output)
        own = os.listdir("/proc/%d/fd" % world.broker_pid())
        tally.expect("and has none of our descriptors", len(own) <= 12 and world.broker_pid(), own)
        tally.expect("it ends by itself", wait_until(lambda: not os.path.exists(world.path), 8), "it is still there")


@tally.timed
def test_patience():
    """A broker stays for as long as the run that started it, even if no process of that run has spoken to it, and for
    processes that the run left behind."""
    late = "sleep 6.5; for i in 1 2 3; do curl -sS %s; done"  # longer than it stays without any process
    run = [HOLDLINE, "run", "--quiet", "--", "sh", "-c"]

    def script(world, server):
        return [*run, late % server.url("/who")]

    def left_behind(world, server):
        return ["setsid", "--wait", *run, "(%s) &" % late % server.url("/who")]

    def joined(world, server):
        """The broker was started by another run, which is over."""
        world.run(["true"])
        return ["env", "HOLDLINE_BROKER=" + world.path, *script(world, server)]

    def try_one(name, make_command):
        with World(HOLDLINE_IDLE_CONN_TIMEOUT="1s") as world, harness.Server() as server:
            outcome = harness.run(make_command(world, server), False, 30, **world.environment({}))
            numbers = [line.split()[1] for line in outcome.output.splitlines()]
            ends = wait_until(lambda: not os.path.exists(world.path), 12)
            tally.expect_in_time(name, numbers == [b"001"] * 3 and ends, "%s, then %s" % (outcome.output, ends))

    threads = [threading.Thread(target=try_one, args=arguments) for arguments in (
        ("a script that begins late", script), ("what a script left behind", left_behind), ("a run that joins", joined))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@tally.timed
def test_status():
    with World() as world, harness.Server() as server:
        world.run(["curl", "-sS", server.url("/bytes/10")])
        world.run(["curl", "-sS", server.url("/bytes/10")])
        rows = world.status()
        tally.expect_in_time("status --json", len(rows) == 1 and rows[0]["destination"] == "127.0.0.1:%d" % server.port and rows[0]["uses"] == 2
                     and rows[0]["state"] == "idle" and rows[0]["program"] == "curl" and "pid" not in rows[0], rows)
        text = harness.run([HOLDLINE, "status"], False, 10, XDG_RUNTIME_DIR=world.folder).output.decode()
        tally.expect_in_time("status", "1 connection, 1 idle, by" in text and "curl (ended)" in text, text)
    with World() as world:
        text = harness.run([HOLDLINE, "status"], False, 10, XDG_RUNTIME_DIR=world.folder)
        tally.expect("status without a broker", text.status == 0 and b"No broker" in text.output, text.output)


def test_service():
    """Under a service manager: in the foreground, with a message when ready, with a passed socket or without."""
    with World() as world:
        os.makedirs(os.path.dirname(world.path), 0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(os.path.join(world.folder, "notify"))
            notify.settimeout(5)
            broker = subprocess.Popen([HOLDLINE, "broker"], env=harness.environment(
                False, XDG_RUNTIME_DIR=world.folder, NOTIFY_SOCKET=os.path.join(world.folder, "notify")))
            tally.expect("READY=1", notify.recv(100) == b"READY=1", "something else")
        second = harness.run([HOLDLINE, "broker"], False, 10, XDG_RUNTIME_DIR=world.folder)
        tally.expect("no second broker", second.status == 1 and b"another broker" in second.errors, second.errors)
        broker.terminate()
        tally.expect("SIGTERM", broker.wait(5) == 0 and not os.path.exists(world.path), broker.returncode)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, harness.Server() as server:
            listener.bind(world.path)
            listener.listen()
            code = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); os.environ['LISTEN_PID'] = str(os.getpid());"
                    "os.environ['LISTEN_FDS'] = '1'; os.execv(sys.argv[2], ['holdline', 'broker', '--exit-when-idle'])")
            broker = subprocess.Popen([PYTHON, "-c", code, str(listener.fileno()), HOLDLINE], pass_fds=[listener.fileno()],
                                      env=harness.environment(False, XDG_RUNTIME_DIR=world.folder))
            # Until the broker accepts, the manager's socket queues questions that nobody answers.
            wait_until(lambda: world.run([HOLDLINE, "status"]).status == 0, 10)
            for _ in range(3):
                outcome = world.run(["curl", "-sS", server.url("/who")])
            tally.expect("a socket from the manager", outcome.output.split()[1:2] == [b"001"], outcome.output)
            broker.terminate()
            broker.wait(5)
