"""Clients that nobody here wrote, which connect afresh for each command: right values, and how many connections the
server has seen."""
import shutil

import harness
from broker_world import World
from harness import PYTHON
from servers import Memcached
from suite import tally

N = 200
# A pause of the machine's makes a connection cold.
MOST = 10

PHP = """
for ($i = 0; $i < %d; $i++) {
    $m = new Memcached();
    $m->setOption(Memcached::OPT_BINARY_PROTOCOL, %s);
    $m->addServer('127.0.0.1', (int)$argv[1]);
    if (!$m->set('k', $i) || $m->get('k') != $i || $m->get('nothing') !== false) exit(1);
    $m->setMulti(['a' => $i, 'b' => 'x']);
    $got = $m->getMulti(['a', 'b', 'c']);
    ksort($got);
    if ($got != ['a' => $i, 'b' => 'x']) exit(2);
    $m->quit();
}"""

CLIENTS = {
    "php-memcached": ["php", "-r", PHP % (N, "false")],
    "php-memcached, binary": ["php", "-r", PHP % (N, "true")],
    "pymemcache": [PYTHON, "-c", """
import sys
from pymemcache.client.base import Client
for i in range(%d):
    c = Client(("127.0.0.1", int(sys.argv[1])))
    c.set("k", str(i), noreply=False)
    assert c.get("k") == str(i).encode()
    assert c.get_many(["k", "nothing"]) == {"k": str(i).encode()}
    c.close()
""" % N],
    "pymemcache, noreply last": [PYTHON, "-c", """
import sys
from pymemcache.client.base import Client
for i in range(%d):
    c = Client(("127.0.0.1", int(sys.argv[1])))
    assert c.get("other") is None
    c.set("k", str(i), noreply=True)
    c.close()
""" % N],
    "python-memcached": [PYTHON, "-c", """
import sys
import memcache
for i in range(%d):
    c = memcache.Client(["127.0.0.1:" + sys.argv[1]])
    c.set("k", i)
    assert c.get("k") == i
    c.disconnect_all()
""" % N],
    "Cache::Memcached": ["perl", "-e", """
use Cache::Memcached;
for my $i (1..%d) {
    my $c = Cache::Memcached->new({servers => ["127.0.0.1:$ARGV[0]"]});
    $c->set("k", $i);
    die unless $c->get("k") == $i;
    $c->disconnect_all;
}""" % N],
}

# Of which the long form installs the interpreters.
LONG = {
    "dalli": ["ruby", "-e", """
require "dalli"
%d.times do |i|
  c = Dalli::Client.new("127.0.0.1:" + ARGV[0], protocol: i.even? ? :meta : :binary)
  c.set("k", i.to_s)
  raise unless c.get("k").to_i == i
  c.close
end""" % N],
    "Cache::Memcached::Fast": ["perl", "-e", """
use Cache::Memcached::Fast;
for my $i (1..%d) {
    my $c = Cache::Memcached::Fast->new({servers => ["127.0.0.1:$ARGV[0]"]});
    $c->set("k", $i);
    die unless $c->get("k") == $i;
}""" % N],
}

CHECKS = {"dalli": ["ruby", "-e", "require 'dalli'"], "Cache::Memcached::Fast": ["perl", "-MCache::Memcached::Fast", "-e", "1"],
          "php-memcached": ["php", "-r", "new Memcached();"], "pymemcache": [PYTHON, "-c", "import pymemcache"],
          "python-memcached": [PYTHON, "-c", "import memcache"], "Cache::Memcached": ["perl", "-MCache::Memcached", "-e", "1"]}


def is_there(name):
    check = CHECKS[name.split(",")[0]]
    return shutil.which(check[0]) and harness.run(check, False).status == 0


@tally.timed
def test_loops():
    with Memcached() as server:
        for name, command in {**CLIENTS, **(LONG if harness.HEAVY else {})}.items():
            if not is_there(name):
                tally.skip("clients: " + name, "it is not installed")
                continue
            before = server.n_connections()
            bare = harness.run([*command, str(server.port)], False, 30)
            n_bare = server.n_connections() - before
            reused = harness.run([*command, str(server.port)], True, 30)
            n_reused = server.n_connections() - before - n_bare
            tally.expect("loops: %s: values" % name, bare.status == 0 and reused.status == 0 and bare.output == reused.output,
                         "%s %s %s" % (bare.status, reused.status, reused.errors.decode()[-500:]))
            tally.expect("loops: %s: connections" % name, n_bare == N and n_reused <= MOST, "%d bare, %d" % (n_bare, n_reused), in_time=True)


@tally.timed
def test_shell():
    """Many short processes, which a broker lets share."""
    loops = {}
    if shutil.which("memccat"):
        loops["memccat"] = "memccat --servers=127.0.0.1:%d nothing >/dev/null || true"
    if is_there("php-memcached"):
        loops["php -r"] = "php -r '$m = new Memcached(); $m->addServer(\"127.0.0.1\", %d); $m->set(\"k\", 1); exit($m->get(\"k\") == 1 ? 0 : 1);'"
    with Memcached() as server, World() as world:
        for name, line in loops.items():
            before = server.n_connections()
            outcome = harness.run([harness.HOLDLINE, "run", "--quiet", "--", "sh", "-ec", "for i in $(seq 30); do %s; done" % (line % server.port)],
                                  False, 60, **world.environment({}))
            tally.expect("shell: " + name, outcome.status == 0 and server.n_connections() - before <= MOST, "%s, %d connections: %s" % (
                outcome.status, server.n_connections() - before, outcome.errors.decode()[-500:]), in_time=True)
