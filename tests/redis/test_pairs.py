"""Every case before every other: what each sees is what it sees without reuse. The long form walks over all ordered pairs,
the short one over each case between two that leave and that find most."""
import os

from broker_world import World
from cases import CASES
from pairs import Pairs, run_local, run_shared
from servers import Redis

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.py")
PAIRS = Pairs(PROGRAM, CASES, leavers=["acl_name", "multi_open"], finders=["flags", "which_db"])


def test_pairs_local():
    PAIRS.run("local", Redis, run_local, 0.8)


def test_pairs_with_password():
    PAIRS.run("with a password", lambda: Redis(password="secret"), run_local, 0.8)


def test_pairs_without_reset():
    """As Redis before 6.2: what can't be undone ends, clean connections are kept."""
    PAIRS.run("without RESET", lambda: Redis('rename-command RESET ""'), run_local, 1)


def test_pairs_shared():
    with World() as world:
        PAIRS.run("shared", Redis, run_shared(world), 0.8)
