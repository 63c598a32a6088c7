"""More connections than there are ports, one after another: bare they run out, with reuse they don't."""
import os

import harness
import network
from suite import tally

FIRST, LAST = 40000, 40063


def time_waits(port):
    """Of local ports that connect() has chosen for that one."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    names = [(int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16)) for row in rows if row[3] == "06"]
    return sum(1 for local, peer in names if FIRST <= local <= LAST and peer == port)


def loops(make_server, commands):
    """The number that each command prints, and what it leaves in TIME_WAIT; the last one is the first, bare."""
    network.set_ports(FIRST, LAST, tcp_tw_reuse=0)
    seen = []
    for preloaded, command in [(True, command) for command in commands] + [(False, commands[0])]:
        with make_server() as server:
            outcome = harness.run([word.replace("PORT", str(server.port)) for word in command], preloaded, 60)
            seen.append([outcome.output.decode(), time_waits(server.port)])
    return seen


def check(make_server, commands, program_is_there, most_waits=0):
    """`commands`: by name; PORT in one is the server's. Each makes 300 connections and prints how many failed.
    `most_waits`: in TIME_WAIT, of those that are the program's own to end."""
    if os.geteuid() != 0 or not program_is_there:
        tally.skip("few ports", "needs root, and its program")
        return
    *reused, bare = network.Inside(lambda: loops(make_server, list(commands.values()))).result()
    tally.expect("few ports: bare", int(bare[0]) > 200, bare)
    for name, seen in zip(commands, reused):
        tally.expect("few ports: " + name, seen[0] == "0" and seen[1] <= most_waits, seen)
