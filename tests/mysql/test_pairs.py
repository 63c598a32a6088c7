"""Every case before every other: what each sees is what it sees without reuse. The long form walks over all ordered pairs,
the short one over each case between two that leave and that find most."""
import os

from broker_world import World
from cases import CASES
from pairs import Pairs, run_local, run_shared
from servers import MariaDB

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.py")
PAIRS = Pairs(PROGRAM, CASES, leavers=["modes", "begin"], finders=["variables"])


def test_pairs():
    PAIRS.run("local", MariaDB, run_local, 0.8)


def test_pairs_shared():
    with World() as world:
        PAIRS.run("shared", MariaDB, run_shared(world, HOLDLINE_MYSQL_SHARE="run"), 0.8)
