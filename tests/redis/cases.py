"""What programs do with Redis, each on a connection of its own: every case may come before and after every other, and
nobody must be able to tell. A case is a function of a World, and returns what it saw.

As a program: cases.py PORT UNIX_SOCKET, case names on standard input, a line of JSON for each."""
import os
import re
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from pairs import run_cases
from resp import Client, encode

BIG = b"x" * 3000000


class World:
    def __init__(self, port, path):
        self.port = port
        self.control = Client.unix(path)
        if self.control.ask("PING").startswith("-NOAUTH"):
            self.control.ask("AUTH", "secret")

    def connect(self):
        return Client.tcp(self.port)

    def begin(self):
        """The same data for every case."""
        self.control.send(encode("FLUSHALL") + encode("SELECT", 5) + encode("SET", "where", "five") + encode("SELECT", 0) +
                          encode("SET", "where", "zero") + encode("SET", "k", "v"))
        for _ in range(6):
            self.control.read()


def asks(*commands):
    def case(world):
        c = world.connect()
        seen = [c.ask(*command) for command in commands]
        c.close()
        return seen
    return case


def pipeline(world):
    c = world.connect()
    c.send(b"".join(encode("INCR", "n") for _ in range(10)) + encode("GET", "n"))
    seen = [c.read() for _ in range(11)]
    c.close()
    return seen


def inline(world):
    c = world.connect()
    c.send(b"PING\r\nset a b\r\nGET a\n")
    seen = [c.read() for _ in range(3)]
    c.close()
    return seen


def big(world):
    c = world.connect()
    seen = [c.ask("SET", "big", BIG)]
    got = c.ask("GET", "big")
    c.close()
    return seen + [len(got), got[:20]]


def watch_fail(world):
    c = world.connect()
    seen = [c.ask("WATCH", "k")]
    world.control.ask("SET", "k", "other")
    seen += [c.ask("MULTI"), c.ask("SET", "k", "mine"), c.ask("EXEC"), c.ask("GET", "k")]
    c.close()
    return seen


def subscribe(world):
    c = world.connect()
    seen = [c.ask("SUBSCRIBE", "c")]
    if not seen[0][0].startswith("-"):
        world.control.ask("PUBLISH", "c", "hello")
        seen.append(c.read())
    c.close()
    return seen


def psubscribe(world):
    c = world.connect()
    seen = [c.ask("PSUBSCRIBE", "c*")]
    if not seen[0][0].startswith("-"):
        world.control.ask("PUBLISH", "cc", "hello")
        seen.append(c.read())
    c.close()
    return seen


def monitor(world):
    c = world.connect()
    seen = [c.ask("MONITOR")]
    while seen[0] == "+OK":
        world.control.ask("SET", "seen", "1")
        line = c.read()
        if '"seen"' in line:
            seen.append(re.sub(r"\+[0-9.]+ \[.*?\]", "", line))
            break
    c.close()
    return seen


def hello3(world):
    c = world.connect()
    seen = [hide_ids(c.ask("HELLO", "3")), c.ask("GET", "nothing")]
    c.close()
    return seen


def hide_ids(reply):
    """Of HELLO: what comes behind `id`."""
    if isinstance(reply, list) and "$ id" in reply:
        reply[reply.index("$ id") + 1] = ":id"
    return reply


def tracking(world):
    c = world.connect()
    seen = [hide_ids(c.ask("HELLO", "3")), c.ask("CLIENT", "TRACKING", "ON"), c.ask("GET", "k")]
    if seen[1] == "+OK":
        world.control.ask("SET", "k", "w")
        seen.append(c.read())
    c.close()
    return seen


def tracked_none(world):
    c = world.connect()
    seen = [c.ask("GET", "k")]
    world.control.ask("SET", "k", "w")
    seen.append(c.ask("PING"))
    c.close()
    return seen


def reply_off(world):
    c = world.connect()
    c.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "k", "w") + encode("CLIENT", "REPLY", "ON"))
    seen = [c.read()]
    c.close()
    return seen


def reply_skip(world):
    c = world.connect()
    c.send(encode("CLIENT", "REPLY", "SKIP") + encode("SET", "k", "w") + encode("GET", "k"))
    seen = [c.read()]
    c.close()
    return seen


def blpop_left(world):
    c = world.connect()
    c.send(encode("BLPOP", "q", 0))
    time.sleep(0.01)
    c.close()
    time.sleep(0.02)
    return [world.control.ask("RPUSH", "q", "x"), world.control.ask("LLEN", "q")]


def blpop(world):
    c = world.connect()
    c.send(encode("BLPOP", "q", 5))
    time.sleep(0.01)
    world.control.ask("RPUSH", "q", "x")
    seen = [c.read()]
    c.close()
    return seen


def unread(world):
    c = world.connect()
    seen = [c.ask("SET", "k", "w")]
    c.send(encode("GET", "k"))
    time.sleep(0.01)
    c.close()
    return seen


def unread_late(world):
    c = world.connect()
    c.send(encode("GET", "k"))
    c.close()
    return []


def half_command(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.send(b"*2\r\n$3\r\nSET\r\n$1\r\n")
    c.close()
    return seen


def half_reply(world):
    c = world.connect()
    c.send(encode("SET", "half", BIG) + encode("GET", "half"))
    seen = [c.read(), c.line().decode()]
    c.close()
    return seen


def says(data):
    """Sends it in one piece and reads to the end."""
    def case(world):
        c = world.connect()
        c.send(data)
        seen = [c.rest()]
        c.close()
        return seen
    return case


def quits(*before):
    def case(world):
        c = world.connect()
        seen = [c.ask(*command) for command in before]
        c.send(encode("QUIT"))
        ready = select.poll()
        ready.register(c.socket, select.POLLIN)
        seen += [len(ready.poll(5000)), c.rest()]
        c.close()
        return seen
    return case


def write_after_quit(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.send(encode("QUIT"))
    seen.append(c.rest())
    try:
        c.send(encode("SET", "after", "quit"))
    except ConnectionError:
        pass
    c.close()
    return seen + [world.control.ask("GET", "after")]


def flags(world):
    c = world.connect()
    info = c.ask("CLIENT", "INFO")
    c.close()
    wanted = ("name", "flags", "db", "sub", "psub", "multi", "user", "redir", "resp", "lib-name", "lib-ver")
    # Valkey 8.1 shows on a connection that had a transaction, and has none, that it has no commands: see the manual.
    info = info.replace(" multi=0 ", " multi=-1 ") if " flags=N " in info else info
    return [sorted(word for word in info.split() if word.split("=")[0] in wanted)]


def empties(world):
    c = world.connect()
    c.send(b"\r\n*0\r\n*-1\r\n" + encode("PING"))
    seen = [c.read()]
    c.close()
    return seen


def after_kill(c):
    try:
        return c.ask("GET", "k")
    except (ConnectionError, EOFError):
        return "gone"
    except Exception as gone:
        return "gone" if type(gone).__name__ == "Gone" else repr(gone)


def killed(world):
    c = world.connect()
    seen = [c.ask("PING")]
    world.control.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(0.01)
    seen.append(after_kill(c))
    c.close()
    return seen


def killed_parked(world):
    seen = asks(("PING",))(world)
    world.control.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(0.01)
    return seen + asks(("GET", "k"))(world)


def shut_wr(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.socket.shutdown(socket.SHUT_WR)
    seen.append(c.rest())
    c.close()
    return seen


def shut_wr_pending(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.send(encode("GET", "k"))
    c.socket.shutdown(socket.SHUT_WR)
    seen.append(c.rest())
    c.close()
    return seen


def rst(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
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
    s.send(encode("GET", "where"))
    select.select([s], [], [], 5)
    s.setblocking(True)
    c = Client(s)
    seen.append(c.read())
    c.close()
    return seen


def nonblocking_big(world):
    c = world.connect()
    seen = [c.ask("PING")]
    c.socket.setblocking(False)
    data = encode("SET", "big", BIG) + encode("STRLEN", "big")
    while data:
        select.select([], [c.socket], [], 5)
        data = data[c.socket.send(data):]
    c.socket.setblocking(True)
    seen += [c.read(), c.read()]
    c.close()
    return seen


def two(world):
    a, b = world.connect(), world.connect()
    seen = [a.ask("SELECT", 5), b.ask("GET", "where"), a.ask("GET", "where")]
    b.close()
    d = world.connect()
    seen += [d.ask("GET", "where"), a.ask("GET", "where")]
    a.close()
    d.close()
    return seen


def ids(world):
    c = world.connect()
    first, second = c.ask("CLIENT", "ID"), c.ask("CLIENT", "ID")
    c.close()
    return [first == second, re.sub("[0-9]+", "N", first)]


def hello_auth(world):
    c = world.connect()
    seen = [hide_ids(c.ask("HELLO", "3", "AUTH", "tester", "word")), c.ask("ACL", "WHOAMI")]
    c.close()
    return seen


def bytewise(world):
    c = world.connect()
    seen = [c.ask("PING")]
    for byte in encode("SET", "slow", "value") + encode("GET", "slow"):
        c.send(bytes([byte]))
    seen += [c.read(), c.read()]
    c.close()
    return seen


def script_forges_unread(world):
    c = world.connect()
    c.send(encode("EVAL", "return redis.status_reply('RESET')", 0) * 2)
    seen = [c.read()]
    time.sleep(0.01)
    c.close()
    return seen


CASES = {
    "set_get": asks(("SET", "a", "1"), ("GET", "a"), ("GET", "where")),
    "pipeline": pipeline,
    "inline": inline,
    "big": big,
    "multi_exec": asks(("MULTI",), ("SET", "m", "1"), ("GET", "m"), ("EXEC",)),
    "multi_open": asks(("MULTI",), ("SET", "m", "1")),
    "exec_abort": asks(("MULTI",), ("SET", "m"), ("EXEC",), ("GET", "where")),
    "watch_left": asks(("WATCH", "k")),
    "multi_plain": asks(("EXEC",), ("DISCARD",), ("MULTI",), ("DISCARD",)),
    "watch_fail": watch_fail,
    "select5": asks(("SELECT", "5"), ("GET", "where")),
    "which_db": asks(("GET", "where")),
    "setname": asks(("CLIENT", "SETNAME", "somebody"), ("CLIENT", "GETNAME")),
    "getname": asks(("CLIENT", "GETNAME")),
    "subscribe": subscribe,
    "unsubscribe": asks(("SUBSCRIBE", "c"), ("UNSUBSCRIBE", "c"), ("PING",)),
    "psubscribe": psubscribe,
    "monitor": monitor,
    "hello3": hello3,
    "resp2": asks(("GET", "nothing"), ("HGETALL", "nothing")),
    "tracking": tracking,
    "tracked_none": tracked_none,
    "reply_off": reply_off,
    "reply_skip": reply_skip,
    "blpop_left": blpop_left,
    "blpop": blpop,
    "unread": unread,
    "unread_late": unread_late,
    "half_command": half_command,
    "half_reply": half_reply,
    "quit": quits(("PING",)),
    "quit_first": quits(),
    "quit_pipelined": says(encode("PING") + encode("QUIT")),
    "quit_multi": quits(("MULTI",), ("SET", "m", "1")),
    "errors": asks(("GET",), ("LPUSH", "where", "x"), ("NO.SUCH", "a")),
    "protocol_error": says(b"*1\r\n+PING\r\n"),
    "script": asks(("EVAL", "return redis.status_reply('RESET')", "0")),
    "script_select": asks(("EVAL", "redis.call('select', 5) return redis.call('get', 'where')", "0"), ("GET", "where")),
    "no_evict": asks(("CLIENT", "NO-EVICT", "ON")),
    "flags": flags,
    "setinfo": asks(("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "SETINFO", "LIB-VER", "1")),
    "wait_first": asks(("WAIT", "0", "100")),
    "empties": empties,
    "killed": killed,
    "killed_parked": killed_parked,
    "shut_wr": shut_wr,
    "shut_wr_pending": shut_wr_pending,
    "rst": rst,
    "nonblocking": nonblocking,
    "two": two,
    "ids": ids,
    "auth": asks(("AUTH", "secret"), ("GET", "where")),
    "noauth": asks(("PING",), ("GET", "where"), ("ACL", "WHOAMI")),
    "auth_bad": asks(("AUTH", "wrong"), ("GET", "where")),
    "acl_user": asks(("AUTH", "tester", "word"), ("ACL", "WHOAMI"), ("GET", "where"), ("SET", "k", "1")),
    "hello_auth": hello_auth,
    # Beyond the study's 56.
    "write_after_quit": write_after_quit,
    "bytewise": bytewise,
    "nonblocking_big": nonblocking_big,
    "script_forges_unread": script_forges_unread,
    "script_multi_open": asks(("EVAL", "return 1", "0"), ("CLIENT", "SETNAME", "n"), ("MULTI",), ("GET", "where")),
    "acl_name": asks(("AUTH", "tester", "word"), ("CLIENT", "SETNAME", "n"), ("SELECT", "5"), ("GET", "where")),
    "wait_later": asks(("GET", "k"), ("WAIT", "0", "100"), ("GET", "k")),
    "readers": asks(("LRANGE", "nothing", "0", "-1"), ("ZRANGE", "nothing", "0", "-1"), ("TYPE", "where"), ("OBJECT", "ENCODING", "where")),
}


if __name__ == "__main__":
    run_cases(CASES, World(int(sys.argv[1]), sys.argv[2]))
