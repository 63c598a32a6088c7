"""Processes that share connections (mysql-share): each of them logs in by itself, and reads its own answers."""
import subprocess

import harness
from broker_world import World
from harness import HOLDLINE, PYTHON
from servers import MariaDB
from suite import tally

N = 30
MOST = 4
# One that has another user, or more to say of itself.
LINES = {
    "mariadb": "mariadb --no-defaults -h127.0.0.1 -P%d -uu -psecret -N db -e 'select @left, '$i'; set @left = 1'",
    "php -r": "php -r '$c = new mysqli(\"127.0.0.1\", \"u\", \"secret\", \"db\", %d); echo implode(\" \", $c->query(\"select @left, '$i'\")->fetch_row()), \"\\n\"; "
              "$c->query(\"set @left = 1\");'",
    "pymysql": PYTHON + " -c 'import pymysql; c = pymysql.connect(host=\"127.0.0.1\", port=%d, user=\"u\", password=\"secret\", database=\"db\"); "
               "k = c.cursor(); k.execute(\"select @left, '$i'\"); print(*k.fetchone()); k.execute(\"set @left = 1\"); c.close()'",
}


def loop(line, n=N):
    return "for i in $(seq %d); do %s || exit 1; done" % (n, line)


def run(world, text, *flags, **settings):
    return harness.run([HOLDLINE, "run", "--quiet", *flags, "--", "bash", "-c", text], False, 120, **world.environment(settings))


@tally.timed
def test_loops_of_processes():
    with MariaDB() as server, World() as world:
        for name, line in LINES.items():
            text = loop(line % server.port)
            before = server.n_connections()
            bare = harness.run(["bash", "-c", text], False, 120)
            n_bare = server.n_connections() - before
            shared = run(world, text, "--mysql-share=run")
            n_shared = server.n_connections() - before - n_bare
            tally.expect("shared, %s: values" % name, bare.status == 0 and bare.output == shared.output,
                         "%s instead of %s %s" % (shared.text(), bare.text(), (bare.errors + shared.errors).decode()[-500:]))
            tally.expect("shared, %s: connections" % name, n_bare == N and n_shared <= MOST, "%d bare, %d" % (n_bare, n_shared), in_time=True)
        before = server.n_connections()
        outcomes = [run(world, loop(LINES["mariadb"] % server.port, 1), "--mysql-share=run") for _ in range(2)]
        tally.expect("shared: within a run", [one.status for one in outcomes] == [0, 0] and server.n_connections() - before == 2,
                     server.n_connections() - before)
        # Without being told to, processes keep theirs for themselves.
        before = server.n_connections()
        outcome = run(world, loop(LINES["mariadb"] % server.port, 5))
        tally.expect("shared: not unasked", outcome.status == 0 and server.n_connections() - before == 5, server.n_connections() - before)
        harness.wait_until(lambda: server.ask("select count(*) from information_schema.processlist where user = 'u'")[0][0] == 0)
        tally.expect("shared: none was aborted", server.status("Aborted_clients") == 0, server.status("Aborted_clients"), in_time=True)


def test_kinds_in_turn():
    """One executable, clients of several kinds and users in turn, a wrong password among them: each is served as it is bare."""
    kinds = ["$c = new mysqli('127.0.0.1', 'u', 'secret', 'db', PORT); echo $c->query('select current_user()')->fetch_row()[0];",
             "$c = new PDO('mysql:host=127.0.0.1;port=PORT;dbname=db', 'second', 'other secret'); echo $c->query('select current_user()')->fetch()[0];",
             "$c = mysqli_init(); $c->real_connect('127.0.0.1', 'none', '', 'db', PORT, null, MYSQLI_CLIENT_FOUND_ROWS); "
             "echo $c->query('select current_user()')->fetch_row()[0];",
             "mysqli_report(0); $c = @new mysqli('127.0.0.1', 'u', 'wrong', 'db', PORT); echo $c->connect_errno;"]
    with MariaDB() as server, World() as world:
        lines = ["php -r \"%s\"; echo" % kind.replace("PORT", str(server.port)).replace("$", "\\$") for kind in kinds]
        text = "\n".join((lines + lines[::-1]) * 3)
        bare, shared = harness.run(["bash", "-c", text], False, 60), run(world, text, "--mysql-share=run")
        tally.expect("shared: kinds in turn", bare.output == shared.output and bare.output.count(b"u@%") == 6 and bare.output.count(b"1045") == 6,
                     "%s instead of %s %s" % (shared.text(), bare.text(), shared.errors.decode()[-500:]))


def test_kills():
    """Processes are killed at any moment, and the broker once: nobody gets another's answer."""
    text = """
import os, sys, pymysql
for i in range(200):
    c = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="u", password="secret", database="db")
    k = c.cursor()
    k.execute("select %s, @left", ("%d-%d" % (os.getpid(), i),))
    if k.fetchone() != ("%d-%d" % (os.getpid(), i), None): print("WRONG"); break
    k.execute("set @left = 1")
    c.close()
else:
    print("done")
"""
    with MariaDB() as server, World() as world:
        said = []
        for i in range(40 if harness.HEAVY else 6):
            processes = [subprocess.Popen([HOLDLINE, "run", "--quiet", "--mysql-share=user", "--", PYTHON, "-c", text, str(server.port)],
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.environment(False, **world.environment({})))
                         for _ in range(3)]
            n_before = server.status("Com_set_option")
            harness.wait_until(lambda: server.status("Com_set_option") > n_before + 20)
            processes[i % 3].kill()
            said += [process.communicate(timeout=60) for process in processes]
        done = [output for output, _ in said if output]
        tally.expect("shared: kills", done == [b"done\n"] * (len(said) * 2 // 3) or (len(done) > len(said) / 2 and set(done) == {b"done\n"}),
                     [one for one in said if one[0] != b"done\n"][:3])
