"""Runs as a service in the container of container.py: enables Holdline for services, starts them, and counts their connections at the
server. Prints [name, passed, details] a line."""
import json
import os
import subprocess
import time
import urllib.request

import harness

UNITS = "/etc/systemd/system"
CLIENT = "/opt/source/tests/delivery/client.py"
PYTHON = "/usr/bin/python3"
N = 5

# Settings of a hardened service under which nothing changes: one connection for all requests.
HARDENED = [
    ["PrivateTmp=yes"], ["ProtectSystem=strict"], ["ProtectHome=yes"], ["DynamicUser=yes"], ["User=nobody"],
    ["RestrictAddressFamilies=AF_INET AF_UNIX"], ["SystemCallFilter=@system-service"],
    ["SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "SystemCallErrorNumber=EPERM"],
    ["MemoryDenyWriteExecute=yes"], ["NoNewPrivileges=yes", "CapabilityBoundingSet="], ["PrivateUsers=yes"],
    ["ProtectProc=invisible", "ProcSubset=pid"], ["RestrictNamespaces=yes"], ["LockPersonality=yes", "RestrictRealtime=yes"],
    ["SystemCallArchitectures=native"], ["PrivateDevices=yes", "PrivateMounts=yes"],
    ["ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes"],
    ["NoExecPaths=/", "ExecPaths=/usr /opt/holdline"], ["IPAddressDeny=any", "IPAddressAllow=localhost"], ["LimitNOFILE=64"],
    ["DynamicUser=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes", "PrivateTmp=yes", "RestrictNamespaces=yes",
     "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged",
     "MemoryDenyWriteExecute=yes", "LockPersonality=yes", "RestrictSUIDSGID=yes", "RemoveIPC=yes", "UMask=0077", "ProtectHostname=yes"],
]

# The first form of the test: the one that once killed a service, and all at once.
FIRST = [["SystemCallFilter=@system-service"], HARDENED[-1]]

# Those under which some connections are not kept: the program has no other answers than bare.
NATIVE = [["RestrictAddressFamilies=AF_INET"]]


def tell(name, passed, details=""):
    print(json.dumps([name, bool(passed), str(details)]), flush=True)


def call(*command, **variables):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **variables})
    return done.returncode, done.stdout + done.stderr


def holdline(*arguments):
    return call(harness.HOLDLINE, *arguments)


def write(name, text):
    os.makedirs(os.path.dirname("%s/%s" % (UNITS, name)), exist_ok=True)
    with open("%s/%s" % (UNITS, name), "w") as file:
        file.write(text)


def add_service(name, server, *lines, count=N, command=PYTHON + " " + CLIENT, more=""):
    write(name, "[Service]\n%s\nExecStart=%s %d %d%s\n" % ("\n".join(lines), command, server.port, count, more))
    return call("systemctl", "daemon-reload")


def start(name):
    result = call("systemctl", "start", name)
    return (*result, call("systemctl", "status", "--no-pager", name)[1] if result[0] else "")


def test_hardened(server):
    for lines in [[], *(HARDENED if harness.HEAVY else FIRST), *NATIVE]:
        title = "hardened: " + ", ".join(lines[:3])
        add_service("hard.service", server, "Type=oneshot", *lines)
        server.reset()
        bare = start("hard.service")
        n_bare = server.stats()["connections"]
        enabled = holdline("enable", "hard")
        server.reset()
        started = start("hard.service")
        n = server.stats()["connections"]
        if bare[0] == 0:
            tell(title, enabled[0] == 0 and started[0] == 0 and n_bare == N and (n == 1 or (lines in NATIVE and n <= N)), (n, enabled, started))
        else:
            tell(title, False, ("not even bare", bare))
        holdline("disable", "hard")


def test_refused_ones(server):
    """Forced in spite of the refusal: what would happen."""
    for lines, ends in ((["PrivateNetwork=yes"], "fails"), (["RestrictAddressFamilies=AF_UNIX"], "fails")):
        add_service("refused.service", server, "Type=oneshot", *lines)
        status, said = holdline("enable", "refused")
        bare = start("refused.service")
        tell("refused: %s" % lines[0], status == 1 and lines[0].split("=")[0] in said and (bare[0] != 0) == (ends == "fails"), (status, said, bare))


def test_life(server):
    """Enabled, it is not restarted; then it works; disabled, it goes on until it is restarted."""
    add_service("live.service", server, "Type=exec", "Environment=KEEP=1 \"LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libm.so.6\"", more=" --stay /run/live")
    start("live.service")
    wait_for("/run/live")
    before = call("systemctl", "show", "-p", "MainPID", "--value", "live")[1]
    status, said = holdline("enable", "live", "--mode=full", "--rules=*:1 off; *:2 max-conn-age=10s", "--log=/run/100%.log")
    tell("enable says how to go on", status == 0 and "systemctl restart live.service" in said, said)
    tell("enable does not restart", before == call("systemctl", "show", "-p", "MainPID", "--value", "live")[1])
    tell("enabled: restart it", "restart it (%s)" % before.strip() in holdline("enabled")[1], holdline("enabled"))
    shown = call("systemctl", "show", "-p", "Environment", "--value", "live")[1]
    tell("systemd reads what we meant", all(part in shown for part in (
        "KEEP=1", "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libm.so.6:/opt/holdline/libholdline.so", '"HOLDLINE_RULES=*:1 off; *:2 max-conn-age=10s"',
        "HOLDLINE_LOG=/run/100%.log")), shown)
    server.reset()
    restart("live.service")
    tell("restarted: one connection", server.stats()["connections"] == 1, server.stats())
    tell("enabled: working", "working (" in holdline("enabled")[1] and "HOLDLINE_MODE=full" in holdline("enabled")[1], holdline("enabled"))
    tell("its log", os.path.exists("/run/100%.log"), os.listdir("/run"))
    tell("disable", holdline("disable", "live")[0] == 0 and holdline("enabled")[1] == "", holdline("enabled"))
    server.reset()
    restart("live.service")
    tell("disabled and restarted: as many as requests", server.stats()["connections"] == N, server.stats())
    call("systemctl", "stop", "live.service")
    tell("stopped", call("systemctl", "is-failed", "live")[1].strip() == "inactive", call("systemctl", "status", "live"))


def test_overruled(server):
    """A drop-in that comes later by its name and clears the environment: systemd drops the library, and we say so."""
    add_service("overruled.service", server, "Type=oneshot")
    holdline("enable", "overruled")
    for text, is_overruled in (("Environment=A=1\n", False), ("Environment=\n", True)):
        write("overruled.service.d/zzzz.conf", "[Service]\n" + text)
        call("systemctl", "daemon-reload")
        server.reset()
        started = start("overruled.service")
        n = server.stats()["connections"]
        tell("a later drop-in with %s" % text.strip(), started[0] == 0 and n == (N if is_overruled else 1) and
             ("overruled by zzzz.conf" in holdline("enabled")[1]) == is_overruled, (n, holdline("enabled")))
    tell("enable refuses then", holdline("enable", "overruled")[0] == 1, holdline("enable", "overruled"))
    holdline("disable", "overruled")


def test_instances(server):
    write("t@.service", "[Service]\nType=oneshot\nExecStart=@%s python3 %s %%i %d\n" % (PYTHON, CLIENT, N))
    call("systemctl", "daemon-reload")
    for name in ("t@", "t@%d" % server.port):
        tell("enable %s" % name, holdline("enable", name)[0] == 0)
        server.reset()
        started = start("t@%d.service" % server.port)
        tell("an instance of %s" % name, started[0] == 0 and server.stats()["connections"] == 1, (started, server.stats()))
        holdline("disable", name)


def test_off_switch(server):
    """The file is looked at when a program starts, by the library, the command and what it starts."""
    add_service("off.service", server, "Type=oneshot")
    holdline("enable", "off")
    program = [PYTHON, CLIENT, str(server.port), str(N)]
    static = ["/usr/bin/busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:%d/bytes/10" % server.port]
    os.makedirs("/etc/holdline")
    for is_off, n in ((False, 1), (True, N), (False, 1)):
        title = "with /etc/holdline/off: " if is_off else "without /etc/holdline/off: "
        if is_off:
            open("/etc/holdline/off", "w").close()
        elif os.path.exists("/etc/holdline/off"):
            os.unlink("/etc/holdline/off")
        server.reset()
        started = start("off.service")
        tell(title + "a service", started[0] == 0 and server.stats()["connections"] == n, (started, server.stats()))
        server.reset()
        status, said = holdline("run", "--pool=local", "--", *program)
        tell(title + "run", status == 0 and server.stats()["connections"] == n and ("/etc/holdline/off" in said) == is_off, (status, said))
        tell(title + "run --quiet", holdline("run", "--quiet", "--pool=local", "--", *program) == (0, ""))
        status, said = holdline("run", "--pool=local", "--", "sh", "-c", "echo ${LD_PRELOAD-none} ${HOLDLINE_BROKER-none}")
        tell(title + "preloaded", status == 0 and ("none none" in said) == is_off, said)
        server.reset()
        tell(title + "no relay", holdline("run", "--quiet", *static)[0] == 0 and server.stats()["requests"] == 1, server.stats())
        for command in (["check", PYTHON], ["doctor", "--window=0"], ["enabled"], ["enable", "off"]):
            status, said = holdline(*command)
            tell(title + command[0], status == 0 and ("/etc/holdline/off is there" in said) == is_off, (status, said))
    holdline("disable", "off")


def test_relay(server):
    """A static program, by `holdline run` before its command. The relay is a process more of the service: where control groups are of
    version 1, a systemd in a container does not hear of its end, and waits."""
    write("static.service", "[Service]\nType=oneshot\nTimeoutStopSec=2\n"
          "ExecStart=/usr/bin/busybox wget -q -O /dev/null http://127.0.0.1:%d/bytes/10\n" % server.port)
    call("systemctl", "daemon-reload")
    status, said = holdline("enable", "static", "--pool=local")
    if status != 0:
        tell("relay: no static program here", "dynamic" in said, said)
        return
    server.reset()
    started = start("static.service")
    ended = call("systemctl", "show", "--property=ExecMainStatus", "--value", "static")[1].strip()
    tell("relay", ended == "0" and server.stats()["requests"] == 1, (said, started, server.stats()))


def test_verified():
    """systemd-analyze has nothing to say of a unit with the drop-in."""
    holdline("enable", "live")
    status, said = call("systemd-analyze", "verify", "--man=no", "live.service")
    tell("systemd-analyze verify", status == 0 and "holdline" not in said, said)
    holdline("disable", "live")


def get_metrics(address):
    try:
        with urllib.request.urlopen("http://%s/metrics" % address, timeout=5) as answer:
            return answer.read().decode()
    except OSError as error:
        return str(error)


def wait_for_reuses(address, wanted):
    """Until there are so many; returns how many there are."""
    end, n = time.monotonic() + 20, -1
    while n < wanted and time.monotonic() < end:
        text = get_metrics(address)
        n = sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("holdline_connection_reuses_total")) if "# EOF" in text else -1
        time.sleep(0.1)
    return n


def test_metrics(server):
    """The unit that packages have: it is hardened, and reads what users' programs have counted."""
    with open("/opt/source/tools/packaging/systemd/holdline-metrics.service") as file:
        text = file.read().replace("@PREFIX@/bin/holdline", harness.HOLDLINE)
    write("holdline-metrics.service", text)
    status, said = call("systemd-analyze", "verify", "--man=no", "%s/holdline-metrics.service" % UNITS)
    tell("metrics: systemd-analyze verify", status == 0 and "holdline" not in said, said)
    status, said = call("systemd-analyze", "security", "--no-pager", "--threshold=35", "holdline-metrics.service")
    tell("metrics: systemd-analyze security", status == 0, said[-1500:])
    add_service("counted.service", server, "User=nobody", "RuntimeDirectory=user/65534", "RuntimeDirectoryMode=0700", "Environment=XDG_RUNTIME_DIR=/run/user/65534",
                command="%s run --pool=local -- %s %s" % (harness.HOLDLINE, PYTHON, CLIENT), more=" --stay /run/user/65534/live")
    write("holdline-metrics.service.d/port.conf", "[Service]\nEnvironment=ADDRESS=127.0.0.1:9465\n")
    call("systemctl", "daemon-reload")
    call("systemctl", "start", "holdline-metrics")
    before = wait_for_reuses("127.0.0.1:9465", 0)
    call("systemctl", "start", "counted")
    after = wait_for_reuses("127.0.0.1:9465", before + N - 1)
    text = get_metrics("127.0.0.1:9465")
    tell("metrics: those of another user", before >= 0 and after == before + N - 1 and "holdline_ephemeral_ports_usable" in text,
         (before, after, text[-2000:], call("systemctl", "status", "--no-pager", "holdline-metrics", "counted")))
    call("systemctl", "stop", "holdline-metrics", "counted")


def wait_for(path):
    end = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)


def restart(name):
    os.unlink("/run/live")
    call("systemctl", "restart", name)
    wait_for("/run/live")


if __name__ == "__main__":
    with harness.Server() as server:
        test_life(server)
        test_hardened(server)
        test_refused_ones(server)
        test_overruled(server)
        test_instances(server)
        test_off_switch(server)
        test_relay(server)
        test_verified()
        test_metrics(server)
        tell("end", True)
