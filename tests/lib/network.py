"""Network namespaces of a test's own: a function runs in a forked child that has moved into a new one, so that whatever
it does to ports, addresses and settings ends with it.
"""
import ctypes
import errno
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
import traceback

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
NO_PORT = (socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: bind() chooses the address, connect() the port
libc = ctypes.CDLL(None, use_errno=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def set_ports(first, last, reserved="", **settings):
    """The namespace's ephemeral ports. Other settings: net.ipv4.NAME."""
    write("/proc/sys/net/ipv4/ip_local_port_range", "%d %d" % (first, last))
    write("/proc/sys/net/ipv4/ip_local_reserved_ports", reserved + "\n")
    for name, value in settings.items():
        write("/proc/sys/net/ipv4/" + name, str(value))


def enter():
    """Moves this process into a namespace of its own, without root by a user namespace. OSError where that is
    forbidden."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", "0 %d 1" % uid)
        write("/proc/self/gid_map", "0 %d 1" % gid)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # On a busy machine a late ACK meets a server's socket that is gone, and the RST for it ends the client's TIME_WAIT
    # early.
    write("/proc/sys/net/ipv4/tcp_rfc1337", "1")
    # Addresses on the loopback device, but not loopback addresses: tcp_tw_reuse=2, the default, leaves them alone.
    for address in "10.77.0.1/32", "10.77.0.2/32", "10.77.0.3/32":
        subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)


class Inside:
    """A function's run in a namespace: begins at once, result() waits for its end. What it returns must be JSON."""

    def __init__(self, function, *arguments):
        sys.stdout.flush()
        self.source, sink = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.source)
            try:
                enter()
                answer = {"result": function(*arguments)}
            except Exception:  # everything must reach the parent, which says it
                answer = {"error": traceback.format_exc()}
            with os.fdopen(sink, "w") as file:
                json.dump(answer, file)
            os._exit(0)
        os.close(sink)

    def result(self):
        with os.fdopen(self.source) as file:
            text = file.read()
        os.waitpid(self.pid, 0)
        answer = json.loads(text) if text else {"error": "it died"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


class Sink:
    """A server that answers nothing, and closes when its clients have."""

    def __init__(self, address="10.77.0.2", port=8080, family=socket.AF_INET):
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(1024)
        self.address = self.listener.getsockname()[:2]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.listener:
                        selector.register(self.listener.accept()[0], selectors.EVENT_READ)
                        continue
                    try:
                        more = key.fileobj.recv(4096)
                    except OSError:
                        more = b""
                    if not more:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()


def dial(address, source=None, option=None):
    """A connection, bound to `source` before, if given, with `option` (level, name, value) set before that."""
    connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        if option:
            connection.setsockopt(*option)
        if source:
            connection.bind(source)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def waste(address, n):
    """n connections, each closed by us first: they are in TIME_WAIT then. Returns how many there were ports for."""
    for made in range(n):
        try:
            with dial(address, ("10.77.0.1", 0), NO_PORT) as connection:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # until the server has closed, too
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return made
    return n


def hold(address, n, source="10.77.0.1"):
    """n connections that stay; fewer if there are no more ports."""
    held = []
    try:
        for _ in range(n):
            held.append(dial(address, (source, 0), NO_PORT))
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
    return held


def waste_steadily(address, rate, limit_s):
    """A connection every 1/rate seconds until there is no port. Returns when that was (time.monotonic())."""
    begin, n = time.monotonic(), 0
    while time.monotonic() < begin + limit_s:
        time.sleep(max(0, begin + n / rate - time.monotonic()))
        if waste(address, 1) == 0:
            return time.monotonic()
        n += 1
    return None


class FullBacklog:
    """A server that accepts nothing, and whose queue is full: a handshake is never answered."""

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(filler)
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


class Distant:
    """Another namespace beside this one, inside a with block: 10.77.0.2, so many microseconds there and back.
    `delay`: tests/bench/delay.c, built. Gives what a command there begins with."""

    def __init__(self, delay, round_trip_us):
        self.delay, self.round_trip_us = delay, round_trip_us

    def __enter__(self):
        holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
        self.children = [holder]
        while os.readlink("/proc/%d/ns/net" % holder.pid) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        there = ["nsenter", "-t", str(holder.pid), "-n"]
        cable = subprocess.Popen([self.delay, str(holder.pid), str(self.round_trip_us // 2)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.children.append(cable)
        cable.stdout.readline()
        for address in "10.77.0.1/32", "10.77.0.2/32", "10.77.0.3/32":
            subprocess.run(["ip", "addr", "del", address, "dev", "lo"], check=True)
        subprocess.run(["sh", "-c", "ip addr add 10.77.0.1/24 dev far0 && ip link set far0 up"], check=True)
        subprocess.run([*there, "sh", "-c", "ip link set lo up; ip addr add 10.77.0.2/24 dev near0; ip link set near0 up"], check=True)
        return there

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.stdin.close()
            child.wait()


class Neighbour:
    """Another machine, as a namespace with a cable of its own, inside a with block: 10.78.N.2, and here 10.78.N.1. Gives what a command there
    begins with."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
        while os.readlink("/proc/%d/ns/net" % self.holder.pid) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        there = ["nsenter", "-t", str(self.holder.pid), "-n"]
        here, end = "near%d" % self.number, "far%d" % self.number
        for command in (["ip", "link", "add", here, "type", "veth", "peer", "name", end, "netns", str(self.holder.pid)],
                        ["ip", "addr", "add", "10.78.%d.1/24" % self.number, "dev", here], ["ip", "link", "set", here, "up"],
                        [*there, "ip", "link", "set", "lo", "up"],
                        [*there, "ip", "addr", "add", "10.78.%d.2/24" % self.number, "dev", end], [*there, "ip", "link", "set", end, "up"]):
            subprocess.run(command, check=True)
        return there

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait()
