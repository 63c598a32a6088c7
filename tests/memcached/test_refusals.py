"""Each system call of a program that uses memcached fails once: lib/refusals.py."""
import refusals
from servers import Memcached


def test_refused_calls():
    def ask(*lines):
        control = server.control()
        seen = control.until_end(*lines) if lines[0].startswith("get") else control.ask(*lines)
        control.close()
        return seen

    with Memcached() as server:
        refusals.check("memcached", server, lambda: ask("set counter 0 0 1", "0"), lambda: int(ask("get counter")[1]))
