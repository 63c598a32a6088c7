"""Each system call of a program that uses Redis fails once: lib/refusals.py."""
import re

import refusals
from resp import Client
from servers import Redis


def test_refused_calls():
    def read_counter():
        control = Client.unix(server.path)
        control.ask("SELECT", 5)
        counted = control.ask("GET", "counter")
        control.close()
        return sum(int(digits) for digits in re.findall("[0-9]+", counted))

    with Redis() as server:
        refusals.check("redis", server, lambda: server.ask("FLUSHALL"), read_counter)
