"""Clients that nobody here wrote, which connect afresh for each command: right values, and how many connections the
server has seen."""
import os
import shutil

import harness
from broker_world import World
from harness import PYTHON
from servers import Redis, reusing
from suite import tally

N = 200
# A pause of the machine's makes a connection cold.
MOST = 10

CLIENTS = {
    "phpredis": ["php", "-r", """
for ($i = 0; $i < %d; $i++) {
    $r = new Redis();
    $r->connect('127.0.0.1', $argv[1]);
    %s
    $r->set('k', $i);
    if ($r->get('k') != $i) exit(1);
    $r->close();
}""", "$r->select(3);"],
    "redis-py": [PYTHON, "-c", """
import redis, sys
for i in range(%d):
    r = redis.Redis(port=int(sys.argv[1]), %s)
    r.set("k", i)
    assert int(r.get("k")) == i
    r.close()
""", "db=3"],
    "a set that ends before its sockets": [PYTHON, "-c", """
import select, socket, sys
for i in range(%d):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    watched = select.epoll()
    watched.register(s, select.EPOLLIN)
    for line in (b"set k %%d" %% i, %s b"get k"):
        s.send(line + b"\\r\\n")
        watched.poll()
        answer = s.recv(99)
    assert b"\\n%%d\\r" %% i in answer, answer
    watched.close()
    other = select.epoll()
    s.close()
    assert not other.poll(0)
    other.close()
""", "b'client setname x',"],
    "Perl Redis": ["perl", "-e", """
use Redis;
for my $i (1..%d) {
    my $r = Redis->new(server => "127.0.0.1:$ARGV[0]");
    %s
    $r->set("k", $i);
    die unless $r->get("k") == $i;
    $r->quit;
}""", "$r->select(3);"],
}


# Of which the long form installs the interpreters. Each with what shows that it is there.
LONG = {
    "predis": (["php", "-r", """
require 'Predis/autoload.php';
for ($i = 0; $i < %d; $i++) {
    $r = new Predis\\Client(['host' => '127.0.0.1', 'port' => (int)$argv[1], 'database' => 2]);
    $r->set('k', $i);
    if ($r->get('k') != $i) exit(1);
    $i %% 2 ? $r->quit() : $r->disconnect();
}""" % N], ["php", "-r", "require 'Predis/autoload.php';"]),
    "Redis::Fast": (["perl", "-e", """
use Redis::Fast;
for my $i (1..%d) {
    my $r = Redis::Fast->new(server => "127.0.0.1:$ARGV[0]");
    $r->set("k", $i);
    die unless $r->get("k") == $i;
    $r->quit;
}""" % N], ["perl", "-MRedis::Fast", "-e", "1"]),
    "AnyEvent::Redis": (["perl", "-e", """
use AnyEvent::Redis;
for my $i (1..%d) {
    my $r = AnyEvent::Redis->new(host => "127.0.0.1", port => $ARGV[0]);
    $r->set("k", $i)->recv;
    die unless $r->get("k")->recv == $i;
}""" % N], ["perl", "-MAnyEvent::Redis", "-e", "1"]),
    "redis-rb": (["ruby", "-e", """
require "redis"
%d.times do |i|
  r = Redis.new(host: "127.0.0.1", port: ARGV[0].to_i, db: 4)
  r.set("k", i)
  raise unless r.get("k").to_i == i
  r.close
end""" % N], ["ruby", "-e", "require 'redis'"]),
    "redis-lua": (["lua5.3", "/dev/stdin"], ["lua5.3", "-e", "require 'redis'"]),
    "node redis": (["node", "-e", """
const {createClient} = require('redis');
(async () => {
    for (let i = 0; i < %d; i++) {
        const r = createClient({url: 'redis://127.0.0.1:' + process.argv[1] + '/3'});
        await r.connect();
        await r.set('k', String(i));
        if (await r.get('k') != i) process.exit(1);
        await (i %% 2 ? r.quit() : r.disconnect());
    }
})();""" % N], ["node", "-e", "require('redis')"]),
}
LUA = """
local redis = require "redis"
for i = 1, %d do
    local r = redis.connect("127.0.0.1", tonumber(arg[1]))
    r:set("k", i)
    assert(tonumber(r:get("k")) == i)
    r:quit()
end""" % N
# Debian's modules, for whichever node is there.
NODE = {"NODE_PATH": "/usr/share/nodejs"}


def judge(server, name, command, given=b""):
    before = server.n_connections()
    bare = harness.run(command, False, 30, given, **NODE)
    n_bare = server.n_connections() - before
    reused = harness.run(command, True, 30, given, **reusing(**NODE))
    n_reused = server.n_connections() - before - n_bare
    tally.expect("loops: %s: values" % name, bare.status == 0 and reused.status == 0 and bare.output == reused.output,
                 "%s %s %s" % (bare.status, reused.status, reused.errors.decode()[-500:]))
    tally.expect("loops: %s: connections" % name, n_bare == N and n_reused <= MOST, "%d bare, %d" % (n_bare, n_reused), in_time=True)


def is_there(name):
    check = {"phpredis": ["php", "-r", "new Redis();"], "a set that ends before its sockets": [PYTHON, "-c", ""],
             "redis-py": [PYTHON, "-c", "import redis"], "Perl Redis": ["perl", "-MRedis", "-e", "1"]}
    return shutil.which(check[name][0]) and harness.run(check[name], False).status == 0


def commands(port):
    for name, (program, flag, text, extra) in CLIENTS.items():
        if not is_there(name):
            tally.skip("clients: " + name, "it is not installed")
            continue
        for kind, more in (("clean", ""), ("dirty", extra)):
            yield "%s, %s" % (name, kind), [program, flag, text % (N, more), str(port)]
    program = os.path.join(harness.BUILD, "hiredis_client")
    if os.path.exists("/usr/include/hiredis/hiredis.h"):
        program = harness.compile_program("hiredis_client", ["tests/redis/hiredis_client.c"], ["-lhiredis"])
        yield "hiredis, clean", [program, str(port), str(N)]
        yield "hiredis, dirty", [program, str(port), str(N), "dirty"]
    else:
        tally.skip("clients: hiredis", "it is not installed")


@tally.timed
def test_loops():
    with Redis() as server:
        for name, command in commands(server.port):
            judge(server, name, command)


@tally.timed
def test_more_loops():
    if not harness.HEAVY:
        return
    with Redis() as server:
        for name, (command, check) in LONG.items():
            if not shutil.which(check[0]) or harness.run(check, False, **NODE).status != 0:
                tally.skip("clients: " + name, "it is not installed")
                continue
            judge(server, name, [*command, str(server.port)], LUA.encode() if "lua" in name else b"")


@tally.timed
def test_shell():
    """Many short processes, which a broker lets share."""
    loops = {"redis-cli": "redis-cli -p %d get k >/dev/null", "redis-cli -n": "redis-cli -p %d -n 3 get k >/dev/null"}
    if is_there("phpredis"):
        loops["php -r"] = "php -r '$r = new Redis(); $r->connect(\"127.0.0.1\", %d); $r->get(\"k\");'"
    with Redis() as server, World() as world:
        for name, line in loops.items():
            before = server.n_connections()
            outcome = harness.run([harness.HOLDLINE, "run", "--quiet", "--protocols=all", "--", "sh", "-ec",
                                   "for i in $(seq 30); do %s; done" % (line % server.port)], False, 60, **world.environment({}))
            tally.expect("shell: " + name, outcome.status == 0 and server.n_connections() - before <= MOST, "%s, %d connections: %s" % (
                outcome.status, server.n_connections() - before, outcome.errors.decode()[-500:]), in_time=True)
