"""Every case before every other: what each sees is what it sees without reuse. The long form walks over all ordered pairs,
the short one over each case between two that leave and that find most. Cases of the text protocol and of the binary one
are paired among themselves, too: on a connection there is the one or the other."""
import os

from broker_world import World
from cases import CASES
from pairs import Pairs, run_local, run_shared
from servers import Memcached

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.py")
BINARY = [name for name in CASES if name.startswith("binary")]
TEXT = [name for name in CASES if name not in BINARY]
TEXT_PAIRS = Pairs(PROGRAM, TEXT, leavers=["noreply_bad", "noreply_left"], finders=["get", "get_miss"])
BINARY_PAIRS = Pairs(PROGRAM, BINARY, leavers=["binary_quiet_bad", "binary_quiet_left"], finders=["binary_get", "binary"])
MIXED_PAIRS = Pairs(PROGRAM, CASES, leavers=["noreply_bad", "binary_quiet_bad", "noreply_left"], finders=["get", "binary_get"])
# All that ends where nobody is logged in.
LOGINS = ["get", "get_miss", "login", "login_wrong", "login_stolen", "set_and_go", "version", "noreply_only", "unread_late", "stats"]
LOGIN_PAIRS = Pairs(PROGRAM, LOGINS, leavers=["login", "set_and_go"], finders=["login_stolen", "get"])


def test_pairs_text():
    TEXT_PAIRS.run("text", Memcached, run_local, 0.7)


def test_pairs_binary():
    BINARY_PAIRS.run("binary", Memcached, run_local, 0.7)


def test_pairs_mixed():
    MIXED_PAIRS.run("mixed", Memcached, run_local, 1)


def test_pairs_with_password():
    """A server that wants logins: nothing is kept there."""
    LOGIN_PAIRS.run("with a password", lambda: Memcached(password="secret"), run_local, 1.01)


def test_pairs_shared():
    with World() as world:
        MIXED_PAIRS.run("shared", Memcached, run_shared(world), 1)
