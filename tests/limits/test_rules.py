"""Rules per destination and profiles of settings: which one decides, and what is refused."""
import harness
from dialling import DIAL, python
from network import FullBacklog
from harness import HOLDLINE
from suite import tally


def test_rules():
    who = """
import sys, urllib.request
for _ in range(2):
    print(urllib.request.urlopen("http://127.0.0.1:%s/who" % sys.argv[1]).read().decode().split()[1], flush=True)
"""
    with harness.Server() as server:
        for name, rules, expected in (
                ("no rule", "", "same"), ("off", "127.0.0.1:{} off", "other"), ("another port", "127.0.0.1:1 off", "same"),
                ("any host", "*:{} off", "other"), ("a network", "127.0.0.0/8:* mode=observe", "other"),
                ("another network", "10.0.0.0/8:* off", "same"), ("the first wins", "127.0.0.1:{} rewrite=on; *:* off", "same"),
                ("a setting", "*:1-65535 max-conn-requests=1", "other"), ("beside IPv6", "[::1]:* off;; ", "same")):
            outcome = python(who, server.port, HOLDLINE_RULES=rules.format(server.port))
            words = outcome.output.split()
            tally.expect("rules: " + name, len(words) == 2 and (words[0] == words[1]) == (expected == "same"), "%s %s" % (
                outcome.output, outcome.errors.decode()))
    for text, place in (("nonsense", "nonsense"), ("*:80 off; 10.0.0.0/33:80 off", "10.0.0.0/33:80"), ("*:80 pool=local", "pool=local"),
                        ("*:80 max-conn-age=soon", "max-conn-age=soon"), ("*:80", "*:80"), ("*:99999 off", "*:99999")):
        outcome = harness.run([HOLDLINE, "run", "--rules=" + text, "--", "true"], False, 10)
        tally.expect("bad rules: " + text, outcome.status == 125 and ("'%s'" % place).encode() in outcome.errors, outcome.errors)
    outcome = harness.run([HOLDLINE, "run", "--pool=local", "--rules=localhost:80 off; *:9200 rewrite=off", "--", "sh", "-c", "echo $HOLDLINE_RULES"],
                          False, 10)
    tally.expect("names are looked up", b"127.0.0.1:80 off" in outcome.output and b"*:9200 rewrite=off" in outcome.output,
                 "%s %s" % (outcome.output, outcome.errors))
    outcome = harness.run([HOLDLINE, "run", "--rules=no.such.name.invalid:80 off", "--", "true"], False, 20)
    tally.expect("a name that is none", outcome.status == 125 and b"no.such.name.invalid" in outcome.errors, outcome.errors)


def test_profile():
    outcome = harness.run([HOLDLINE, "run", "--profile=go", "--pool=local", "--", "printenv", "HOLDLINE_PROFILE"], False, 10)
    tally.expect("profile", outcome.output == b"go\n", outcome.output)
    with FullBacklog() as server:
        outcome = python(DIAL.split("timed(\"again\"")[0], server.port, HOLDLINE_PROFILE="go", HOLDLINE_DIAL_TIMEOUT="300ms")
        tally.expect("a variable beats its profile", b"ETIMEDOUT 0.3" in outcome.output or b"ETIMEDOUT 0.4" in outcome.output,
                     outcome.output)
