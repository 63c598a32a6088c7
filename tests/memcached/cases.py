"""What programs do with memcached, each on a connection of its own: every case may come before and after every other, and
nobody must be able to tell. A case is a function of a World, and returns what it saw.

As a program: cases.py PORT CONTROL_PORT, case names on standard input, a line of JSON for each."""
import os
import re
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from pairs import run_cases
from wire import Client, Gone, packet

LOGIN = "set login 0 0 10", "usr secret"
BIG = b"x" * 900000
GET, SET, ADD, QUIT, GETQ, NOOP, VERSION, GETKQ, STAT, SETQ, ADDQ, QUITQ = 0, 1, 2, 7, 9, 10, 11, 13, 16, 17, 18, 23


class World:
    def __init__(self, port, control_port):
        self.port = port
        self.control = Client(control_port)
        if self.control.ask("mn") != "MN":
            self.control.ask(*LOGIN)

    def connect(self):
        return Client(self.port)

    def begin(self):
        """The same data for every case. (flush_all counts in seconds.)"""
        for key in ("a", "b", "n", "new", "big", "m", "after", "login"):
            self.control.ask("delete " + key)
        self.control.ask("set k 5 0 1", "v")
        self.control.ask("set where 0 0 4", "here")
        self.control.ask("set trick 0 0 28", "END\r\nMN\r\nSTORED\r\nVALUE k 0 1")


def asks(*commands):
    """Each command is a tuple of lines, and has one line as its answer."""
    def case(world):
        c = world.connect()
        seen = [c.ask(*command) for command in commands]
        c.close()
        return seen
    return case


def gets(*commands):
    def case(world):
        c = world.connect()
        seen = [c.until_end(command) for command in commands]
        c.close()
        return seen
    return case


def says(data, *, first=None, pause=0.01):
    """Sends it, and closes without a look at what comes."""
    def case(world):
        c = world.connect()
        seen = [c.until_end(first)] if first else []
        c.send(data)
        time.sleep(pause)
        c.close()
        return seen
    return case


def tells(data, first=None):
    """Sends it, and reads to the end."""
    def case(world):
        c = world.connect()
        seen = [c.until_end(first)] if first else []
        c.send(data)
        ready = select.poll()
        ready.register(c.socket, select.POLLIN)
        seen += [len(ready.poll(5000)), c.rest()]
        c.close()
        return seen
    return case


def reads(data, n_lines):
    """Sends it, and reads so many lines."""
    def case(world):
        c = world.connect()
        c.send(data)
        seen = [c.line() for _ in range(n_lines)]
        c.close()
        return seen
    return case


def binary(*packets):
    """Each an argument list of packet(), and how many responses it has."""
    def case(world):
        c = world.connect()
        seen = []
        for arguments, n in packets:
            c.send(packet(*arguments))
            seen += [c.response() for _ in range(n)]
        c.close()
        return seen
    return case


def big(world):
    c = world.connect()
    seen = [c.ask("set big 0 0 %d" % len(BIG), BIG)]
    c.send(b"get big\r\n")
    seen += [c.line(), len(c.exactly(len(BIG) + 2)), c.line()]
    c.close()
    return seen


def cas(world):
    c = world.connect()
    seen = [c.ask("set a 0 0 1", "x")]
    seen += [re.sub(" [0-9]+$", " N", line) for line in c.until_end("gets a")]
    seen += [c.ask("cas a 0 0 1 999999999", "y"), c.ask("cas nothing 0 0 1 1", "y")]
    c.close()
    return seen


def stats(world):
    c = world.connect()
    seen = [[line.split()[1] for line in c.until_end(command)[:2]] for command in ("stats", "stats settings")]
    c.close()
    return seen


def stats_binary(world):
    c = world.connect()
    c.send(packet(STAT))
    n = 0
    while c.response()[3]:
        n += 1
    c.close()
    return [n > 10]


def watch(world):
    c = world.connect()
    seen = [c.ask("watch fetchers")]
    c.close()
    return seen


def unread_late(world):
    c = world.connect()
    c.send(b"get k\r\n")
    c.close()
    return []


def unread_part(world):
    c = world.connect()
    seen = [c.ask("set big 0 0 %d" % len(BIG), BIG)]
    c.send(b"get big\r\n")
    seen += [c.line()]
    c.close()
    return seen


def write_after_quit(world):
    c = world.connect()
    seen = [c.until_end("get k")]
    c.send(b"quit\r\n")
    seen.append(c.rest())
    try:
        c.send(b"set after 0 0 1\r\nx\r\n")
    except ConnectionError:
        pass
    c.close()
    return seen + world.control.until_end("get after")


def shut_wr(world):
    c = world.connect()
    seen = [c.until_end("get k")]
    c.socket.shutdown(socket.SHUT_WR)
    seen.append(c.rest())
    c.close()
    return seen


def rst(world):
    c = world.connect()
    seen = [c.until_end("get k")]
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    return seen


def two(world):
    a, b = world.connect(), world.connect()
    seen = [a.ask("set a 0 0 1", "1"), b.until_end("get a"), a.until_end("get k")]
    b.close()
    d = world.connect()
    seen += [d.until_end("get a"), a.until_end("get where")]
    a.close()
    d.close()
    return seen


def nonblocking(world):
    s = socket.socket()
    s.setblocking(False)
    try:
        s.connect(("127.0.0.1", world.port))
    except BlockingIOError:
        pass
    select.select([], [s], [], 5)
    seen = [s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
    s.send(b"get where\r\n")
    seen.append(bool(select.select([s], [], [], 5)[0]))
    s.setblocking(True)
    c = Client.__new__(Client)
    c.socket, c.buffer = s, b""
    seen += [c.line(), c.line(), c.line()]
    c.close()
    return seen


def bytewise(world):
    c = world.connect()
    for byte in b"set a 0 0 3\r\nabc\r\nget a\r\n":
        c.send(bytes([byte]))
    seen = [c.line() for _ in range(4)]
    c.close()
    return seen


def set_many(world):
    """As set_multi() of clients: everything is sent before anything is read."""
    c = world.connect()
    c.send(b"".join(b"set m 0 0 %d\r\n%d\r\n" % (len(str(i)), i) for i in range(300)) + b"get m\r\n")
    seen = [c.line() for _ in range(303)]
    c.close()
    return seen[298:]


def binary_quit(world):
    c = world.connect()
    seen = [c.ask_binary(GET, b"k")]
    c.send(packet(QUIT, opaque=99))
    seen += [c.response(), c.rest()]
    c.close()
    return seen


def binary_quitq(world):
    c = world.connect()
    seen = [c.ask_binary(GET, b"k")]
    c.send(packet(QUITQ))
    seen.append(c.rest())
    c.close()
    return seen


def binary_half(world):
    c = world.connect()
    seen = [c.ask_binary(GET, b"k")]
    c.send(packet(SET, b"a", bytes(8), b"value")[:30])
    c.close()
    return seen


def answer_in_time(c):
    """One line, if there is one; closes."""
    c.socket.settimeout(0.05)
    try:
        return c.line()
    except (Gone, OSError) as gone:
        return type(gone).__name__
    finally:
        c.close()


def text_on_binary(world):
    c = world.connect()
    seen = [c.ask_binary(GET, b"k")]
    c.send(b"get k\r\n" + bytes(40))
    return seen + [answer_in_time(c)]


def binary_on_text(world):
    c = world.connect()
    seen = [c.until_end("get k")]
    c.send(packet(GET, b"k"))
    return seen + [answer_in_time(c)]


LONG = "y" * 260

CASES = {
    "get": gets("get where", "get k where"),
    "set_first": reads(b"set a 1 0 3\r\nabc\r\nget a\r\n", 4),
    "get_miss": gets("get nothing"),
    "multi_get": gets("get k nothing where", "gets nothing"),
    "many_keys": gets("get " + " ".join("key-%d" % i for i in range(3000)) + " where"),
    "big": big,
    "trick_value": reads(b"get trick where\r\n", 8),
    "noreply": reads(b"set n 0 0 1 noreply\r\n7\r\nincr n 1 noreply\r\nget n\r\n", 3),
    "noreply_left": says(b"set b 0 0 1 noreply\r\n1\r\n", first="get where"),
    "noreply_bad": says(b"set b 0 0 3 noreply\r\nabcdef\r\n", first="get where"),
    "noreply_long_key": says(b"get where\r\ndelete " + LONG.encode() + b" noreply\r\n"),
    "noreply_toolarge": says(b"set b 0 0 3000000 noreply\r\n" + b"z" * 3000000 + b"\r\n", first="get where", pause=0.05),
    "noreply_only": says(b"set b 0 0 1 noreply\r\n1\r\n"),
    "noreply_unknown": says(b"bogus b noreply\r\n", first="get where"),
    "too_large": asks(("set a 0 0 2000000", b"z" * 2000000),),
    "bad_chunk": reads(b"set a 0 0 3\r\nabcdef\r\n", 2),
    "bogus": asks(("bogus",), ("get",)),
    "long_key": asks(("get " + LONG,),),
    "unread": says(b"get k\r\n", first="get where"),
    "unread_late": unread_late,
    "unread_part": unread_part,
    "half_set": says(b"set a 0 0 10\r\nabc", first="get where"),
    "half_line": says(b"get wh", first="get where"),
    "quit": tells(b"quit\r\n", first="get where"),
    "quit_first": tells(b"quit\r\n"),
    "quit_pipelined": tells(b"get where\r\nquit\r\n"),
    "write_after_quit": write_after_quit,
    "stats": stats,
    "version": asks(("version",), ("verbosity 0",)),
    "meta": reads(b"mg k v f\r\nmg nothing v\r\nms m 2\r\nab\r\nma n N0 J5 v\r\nmd m\r\nmn\r\n", 8),
    "meta_quiet": reads(b"mg k v q\r\nmg nothing v q\r\nmg where q v\r\nmn\r\n", 5),
    "meta_quiet_left": says(b"mg nothing v q\r\n", first="get where"),
    "meta_quiet_unread": says(b"mg k v q\r\n", first="get where"),
    "watch": watch,
    "incr": asks(("set n 0 0 1", "7"), ("incr n 5",), ("decr n 1",), ("incr nothing 1",), ("incr where 1",), ("delete n",), ("delete n",)),
    "cas": cas,
    "storing": asks(("add k 0 0 1", "x"), ("add new 0 0 1", "x"), ("replace new 0 0 1", "y"), ("append new 0 0 1", "z"), ("prepend nothing 0 0 1", "z")),
    "touch_gat": reads(b"touch k 0\r\ntouch nothing 1\r\ngat 0 k\r\n", 5),
    "set_many": set_many,
    "binary": binary(((SET, b"a", bytes(8), b"abc"), 1), ((GET, b"a"), 1), ((GET, b"nothing"), 1), ((ADD, b"k", bytes(8), b"x"), 1), ((VERSION,), 1)),
    "binary_get": binary(((GET, b"where"), 1)),
    "binary_quiet": binary(((GETKQ, b"k"), 1), ((GETKQ, b"nothing"), 0), ((NOOP,), 1), ((SETQ, b"a", bytes(8), b"x"), 0), ((GET, b"where"), 1)),
    "binary_quiet_left": binary(((GET, b"where"), 1), ((SETQ, b"b", bytes(8), b"x"), 0)),
    "binary_quiet_bad": binary(((GET, b"where"), 1), ((ADDQ, b"k", bytes(8), b"x"), 0)),
    "binary_quit": binary_quit,
    "binary_quitq": binary_quitq,
    "binary_half": binary_half,
    "binary_stats": stats_binary,
    "binary_unknown": binary(((GET, b"where"), 1), ((0x50,), 1)),
    "binary_sasl": binary(((0x20,), 1)),
    "text_on_binary": text_on_binary,
    "binary_on_text": binary_on_text,
    "login": asks(LOGIN, ("mn",)),
    "login_wrong": asks(("set login 0 0 9", "usr wrong"), ("mn",)),
    "login_stolen": gets("get login"),
    "set_and_go": asks(("set a 0 0 1", "1"),),
    "shut_wr": shut_wr,
    "rst": rst,
    "two": two,
    "nonblocking": nonblocking,
    "bytewise": bytewise,
}


if __name__ == "__main__":
    run_cases(CASES, World(int(sys.argv[1]), int(sys.argv[2])))
