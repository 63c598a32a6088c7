"""64 ephemeral ports, and a thousand requests."""

import harness
import network
from relayed import Relay, build_go, client, go, needs_root
from servers import GET as GET_NOTHING
from suite import tally

GET = GET_NOTHING.replace("/a", "/bytes/10")
FIRST, LAST = 40000, 40063


def few_ports(options, commands):
    """In a namespace of its own: [(name, outcome bare, outcome relayed)] as text."""
    network.set_ports(FIRST, LAST, tcp_tw_reuse=0)
    found = []
    for name, command in commands:
        lines = []
        for relayed in False, True:
            with harness.Server("--any", "--port", "8080" if relayed else "8081", *options) as server, Relay() as world:
                words = [word.replace("PORT", str(server.port)) for word in command]
                outcome = world.run(words, 60) if relayed else harness.run(words, False, 60)
                lines.append([outcome.status, outcome.output.decode()[-300:], outcome.errors.decode()[-300:],
                              server.stats()["requests"]])
        found.append([name, *lines])
    return found


def test_ports():
    if not needs_root("64 ports"):
        return
    commands = []
    if build_go("document"):
        commands.append(["the document's program", go("document", "http://10.77.0.2:PORT/bytes/100", 1000, "short")])
        commands.append(["go, 8 at once", go("client", "-quiet", "-n", 1000, "-c", 8, "http://10.77.0.2:PORT/bytes/100")])
    commands.append(["a static program", client("block", "10.77.0.2", "PORT", "repeat=1000", "connect", GET, "read=99")])
    # Each of these leaves a TIME_WAIT towards the relay.
    commands.append(["a program that half-closes", client("block", "10.77.0.2", "PORT", "repeat=900", "connect", GET, "shut", "read=99")])
    for command in commands:
        [[name, bare, subject]] = network.Inside(few_ports, ["--client-closes-first"], [command]).result()
        tally.expect("64 ports: %s" % name, bare[3] < 100 and subject[3] >= 900 and subject[0] == 0, "%d requests bare\n%s" % (bare[3], subject),
                     "%d requests bare" % bare[3])
