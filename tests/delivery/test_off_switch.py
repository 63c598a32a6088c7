"""/etc/holdline/off, made while a program runs: what that starts is without Holdline. In a mount namespace with another /etc."""
import harness
from harness import PYTHON
from made_up import in_other_etc, why_no_other_etc
from suite import tally

# Asks, switches the library off, and lets cat read the answer to its end. The modes are those of the switch's folder.
PROGRAM = """
import os, socket, subprocess, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
if sys.argv[2] == "there":
    os.mkdir("/etc/holdline")
    open("/etc/holdline/off", "w").close()
    os.chmod("/etc/holdline", int(sys.argv[3], 8))
    os.setuid(int(sys.argv[4]))
sys.exit(subprocess.run(["cat"], stdin=s, stdout=subprocess.DEVNULL, timeout=10).returncode)
"""


def test_children_of_running_programs():
    """They see the end of the answer, for which their parent had asked the server to stay."""
    if why_no_other_etc():
        tally.skip("off switch", why_no_other_etc())
        return
    for title, *arguments in (("not there", "absent", "0", "0"), ("there", "there", "755", "0"), ("in a folder of root's alone", "there", "700", "65534")):
        with harness.Server() as server:
            done = in_other_etc([PYTHON, "-c", PROGRAM, str(server.port), *arguments], LD_PRELOAD=harness.SHIM)
            tally.expect("off switch: " + title, done.returncode == 0, done.stderr[-500:])


def test_folder_of_root_alone():
    """What is said of it."""
    if why_no_other_etc():
        return
    done = in_other_etc(["sh", "-c", "umask 077; mkdir /etc/holdline; touch /etc/holdline/off; exec \"$0\" enabled", harness.HOLDLINE])
    tally.expect("off switch: a warning", done.returncode == 0 and "can't be searched by other users" in done.stderr and "off is there" in done.stderr,
                 done)
