"""Clients that nobody here wrote, which connect afresh for each pair of commands: right values, and how many connections
the server has seen."""
import shutil

import harness
from harness import PYTHON
from servers import MariaDB
from suite import tally

N = 100
MOST = 4

MYSQLI = """
for ($i = 0; $i < %d; $i++) {
    $c = new mysqli('127.0.0.1', 'u', 'secret', 'db', (int)$argv[1]);
    $row = $c->query("select $i, @left")->fetch_row();
    if ($row != [$i, null]) exit(1);
    $c->query("set @left = 1");
    $s = $c->prepare('select ? + 1');
    $s->bind_param('i', $i);
    $s->execute();
    if ($s->get_result()->fetch_row() != [$i + 1]) exit(2);
    $c->close();
}"""

PDO = """
for ($i = 0; $i < %d; $i++) {
    $c = new PDO('mysql:host=127.0.0.1;dbname=db;port=' . $argv[1], 'u', 'secret');
    $s = $c->prepare('select ?, @left');
    $s->execute([$i]);
    if ($s->fetch(PDO::FETCH_NUM) != [$i, null]) exit(1);
    $c->query('set @left = 1');
    $s = $c = null;
}"""

PYTHONS = """
import sys
import %s as client
for i in range(%d):
    c = client.connect(host="127.0.0.1", port=int(sys.argv[1]), user="u", password="secret", database="db")
    cursor = c.cursor()
    cursor.execute("select %%s, @left", (i,))
    row = cursor.fetchone()
    assert row == (i, None), row
    cursor.execute("set @left = 1")
    c.close()
"""

PERL = """
use DBI;
for my $i (1..%d) {
    my $c = DBI->connect("DBI:%s:database=db;host=127.0.0.1;port=$ARGV[0]", "u", "secret", {RaiseError => 1});
    my @row = $c->selectrow_array('select ?, @left', undef, $i);
    die if $row[0] != $i || defined $row[1];
    $c->do('set @left = 1');
    $c->disconnect;
}"""

NODE = """
const mysql = require('mysql');
let i = 0;
function next() {
    if (i == %d) return;
    const c = mysql.createConnection({host: '127.0.0.1', port: +process.argv[1], user: 'u', password: 'secret', database: 'db'});
    c.query('select ? as i, @left as l', [i], (error, rows) => {
        if (error || rows[0].i != i || rows[0].l !== null) process.exit(1);
        c.query('set @left = 1', () => c.end(() => { i++; next(); }));
    });
}
next();"""

RUBY = """
require 'mysql2'
%d.times do |i|
  c = Mysql2::Client.new(host: '127.0.0.1', port: ARGV[0].to_i, username: 'u', password: 'secret', database: 'db')
  row = c.query("select #{i} as i, @left as l").first
  raise unless row['i'] == i && row['l'].nil?
  c.query('set @left = 1')
  c.close
end"""

CLIENTS = {
    "mysqli": (["php", "-r", MYSQLI % N], ["php", "-r", "new ReflectionClass('mysqli');"]),
    "PDO": (["php", "-r", PDO % N], ["php", "-r", "exit(in_array('mysql', PDO::getAvailableDrivers()) ? 0 : 1);"]),
    "pymysql": ([PYTHON, "-c", PYTHONS % ("pymysql", N)], [PYTHON, "-c", "import pymysql"]),
    "mysqlclient": ([PYTHON, "-c", PYTHONS % ("MySQLdb", N)], [PYTHON, "-c", "import MySQLdb"]),
    "DBD::mysql": (["perl", "-e", PERL % (N, "mysql")], ["perl", "-MDBD::mysql", "-e", "1"]),
    "DBD::MariaDB": (["perl", "-e", PERL % (N, "MariaDB")], ["perl", "-MDBD::MariaDB", "-e", "1"]),
    "node mysql": (["node", "-e", NODE % N], ["node", "-e", "require('mysql')"]),
    "ruby mysql2": (["ruby", "-e", RUBY % N], ["ruby", "-e", "require 'mysql2'"]),
}


# Their interpreters are much to install.
LONG_ONLY = ("ruby mysql2",)
# Debian's modules, for whichever node is there.
NODE_PATH = {"NODE_PATH": "/usr/share/nodejs"}


def is_there(name):
    check = CLIENTS[name][1]
    return shutil.which(check[0]) and harness.run(check, False, **NODE_PATH).status == 0


@tally.timed
def test_loops():
    with MariaDB() as server:
        for name, (command, _) in CLIENTS.items():
            if name in LONG_ONLY and not harness.HEAVY:
                continue
            if not is_there(name):
                tally.skip("clients: " + name, "it is not installed")
                continue
            before = server.n_connections()
            bare = harness.run([*command, str(server.port)], False, 60, **NODE_PATH)
            n_bare = server.n_connections() - before
            reused = harness.run([*command, str(server.port)], True, 60, **NODE_PATH)
            n_reused = server.n_connections() - before - n_bare
            tally.expect("loops: %s: values" % name, bare.status == 0 and reused.status == 0 and bare.output == reused.output,
                         "%s %s %s" % (bare.status, reused.status, reused.errors.decode()[-500:]))
            tally.expect("loops: %s: connections" % name, n_bare == N and n_reused <= MOST,
                         "%d bare, %d" % (n_bare, n_reused))
        # A process that ends waits for an answer for a while, not for ever.
        tally.expect("loops: none was aborted", server.status("Aborted_clients") == 0, server.status("Aborted_clients"), in_time=True)
