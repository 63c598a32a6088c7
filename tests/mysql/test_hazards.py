"""What may go wrong with a kept connection to MariaDB, and what a server or another user might try."""
import os
import subprocess
import tempfile

import harness
from broker_world import World
from harness import PYTHON
from proxy import Proxy
from proxy_like import ProxyLike
from servers import MariaDB
from suite import tally

PRELUDE = """
import os, select, socket, struct, sys, threading, time
import pymysql
from pymysql.constants import CLIENT
port, path = int(sys.argv[1]), sys.argv[2]
def say(*words):
    print(*words, flush=True)
def root(*statements):
    c = pymysql.connect(unix_socket=path, user='root', autocommit=True)
    for statement in statements:
        with c.cursor() as cursor:
            cursor.execute(statement)
    c.close()
def login(user='u', password='secret', database='db', **others):
    return pymysql.connect(host='127.0.0.1', port=port, user=user, password=password, database=database, **others)
def once(statement='select current_user()', **how):
    try:
        c = login(**how)
        with c.cursor() as cursor:
            cursor.execute(statement)
            seen = cursor.fetchall()
        c.close()
        return seen
    except pymysql.Error as error:
        return error.args[0], str(error.args[1])[:30]
"""


def program(text, server):
    return [PYTHON, "-c", PRELUDE + text, *server.arguments]


def run(text, server, preloaded=True, **settings):
    return harness.run(program(text, server), preloaded, 60, **(settings if preloaded else {}))


def same(name, text, most=None, options=(), expected=None, **settings):
    """The program prints the same bare and with reuse, each with a server of its own; at most so many connections."""
    with MariaDB(*options) as server:
        bare = run(text, server, False)
    with MariaDB(*options) as server:
        reused = run(text, server, **settings)
        n = server.n_connections()
    tally.expect(name, bare.status == 0 and bare.text() == reused.text() and (expected is None or reused.text().strip() == expected),
                 "%s %s\ninstead of %s\n%s %s" % (reused.status, reused.text(), bare.status, bare.text(), reused.errors.decode()[-500:]))
    if most is not None:
        tally.expect(name + ": connections", n <= most, n)


NODE = """
const mysql = require('mysql');
const port = +process.argv[1], path = process.argv[2];
function session(config, statement) {
    const connection = mysql.createConnection(config);
    return new Promise(done => connection.query(statement, (error, rows) => {
        connection.on('error', () => null);
        if (error) connection.destroy(); else return connection.end(() => done(rows));
        done([error.code, error.errno, error.fatal, String(error.sqlMessage)]);
    }));
}
const once = async (changes, statement = 'select current_user(), database(), @left, @left := 1') => console.log(JSON.stringify(await session(
    {host: '127.0.0.1', port, user: 'u', password: 'secret', database: 'db', ...changes}, statement)));
const root = statement => session({socketPath: path, user: 'root'}, statement);
const times = async (n, changes) => { for (let i = 0; i < n; i++) await once(changes); };
(async () => { %s })();
"""
# What node-mysql asks for, each between logins that are alike. It does not say that it knows of authentication plugins.
NODE_CASES = {
    "wrong password": "await once({password: 'wrong'});",
    "no password": "await once({password: undefined});",
    "empty password": "await once({password: ''});",
    "a password too many": "await once({user: 'none'});",
    "user without password": "await times(3, {user: 'none', password: undefined});",
    "unknown user": "for (const user of ['nobody', 'no one', 'somebody', 'x', 'y']) await once({user});",
    "other user": "await times(3, {user: 'second', password: 'other secret'});",
    "no database": "await times(3, {database: undefined});",
    "other database": "await once({database: 'other'});",
    "unknown database": "await once({database: 'missing'});",
    "database of others": "await once({user: 'second', password: 'other secret', database: 'other'});",
    "other plugin": "await once({user: 'curve', password: 'third secret'});",
    "one of two plugins": "await root(\"create user either@'%' identified via ed25519 using password('fourth') "
                          "or mysql_native_password using password('fourth')\"); await root(\"grant all on db.* to either@'%'\"); await times(2, {user: 'either', password: 'fourth'}); await once({user: 'either', password: 'wrong'});",
    "quoted name": 'await once({user: "\'u\'"});',
    "long name": "await once({user: 'u'.repeat(200)});",
    "several statements": "await once({multipleStatements: true}, 'select 1; select @left'); await once({}, 'select 1; select 2');",
    "rows changed": "await once({flags: '-FOUND_ROWS'});",
    "character set": "await once({charset: 'latin1_swedish_ci'}, 'select @@character_set_client, @@collation_connection');",
    "account locked": "await root(\"alter user u@'%' account lock\"); await once(); await root(\"alter user u@'%' account unlock\");",
    "password changed": "await root(\"alter user u@'%' identified by 'new'\"); await once(); await times(3, {password: 'new'});",
    "plugin changed": "await root(\"alter user u@'%' identified via ed25519 using password('secret')\"); await once();",
    "one connection a user": "await root(\"grant usage on *.* to u@'%' with max_user_connections 1\"); await times(3, {});",
    "blocked": "await root('set global max_password_errors = 2'); await times(3, {password: 'wrong'});",
    "killed": "await root('kill user u');",
}


@tally.timed
def test_node():
    """A client that is told of each failure what it is told bare."""
    environment = {"NODE_PATH": "/usr/share/nodejs"}
    if harness.run(["node", "-e", "require('mysql')"], False, **environment).status:
        tally.skip("node", "there is no node-mysql")
        return
    for name, text in NODE_CASES.items():
        outcomes = []
        for preloaded in (False, True):
            with MariaDB() as server:
                program = NODE % ("await times(4, {}); %s await times(3, {});" % text)
                outcomes.append(harness.run(["node", "-e", program, *server.arguments], preloaded, 60, **environment))
        bare, reused = (outcome.text() for outcome in outcomes)
        tally.expect("node: " + name, outcomes[0].status == 0 and bare == reused,
                     "%s\ninstead of\n%s\n%s" % (reused, bare, outcomes[1].errors.decode()[-500:]))


def test_switch():
    """--protocols and a rule leave MySQL alone."""
    text = "for _ in range(6): say(once())"
    with MariaDB() as server:
        for name, settings, n in (("off", {"HOLDLINE_PROTOCOLS": "http"}, 6), ("redis", {"HOLDLINE_PROTOCOLS": "redis"}, 6),
                                  ("rule off", {"HOLDLINE_RULES": "*:%d proto=off" % server.port}, 6), ("mode", {"HOLDLINE_MODE": "observe"}, 6),
                                  ("alone", {"HOLDLINE_PROTOCOLS": "mysql"}, 2),
                                  ("by a rule", {"HOLDLINE_PROTOCOLS": "http", "HOLDLINE_RULES": "*:%d proto=mysql" % server.port}, 2)):
            before = server.n_connections()
            run(text, server, **settings)
            tally.expect("switch: " + name, server.n_connections() - before == n, server.n_connections() - before)


def test_rights_are_asked_anew():
    """A password, a lock, a role and a right that are changed between two connections of a program."""
    same("password changed", """
for i in range(4): say(once())
root("alter user u@'%' identified by 'new'")
say(once())
say(once(password='new'))
say(once(password='new'))
""")
    same("account locked", """
for i in range(4): say(once())
root("alter user u@'%' account lock")
say(once())
root("alter user u@'%' account unlock")
say(once())
""")
    same("right taken away", """
for i in range(4): say(once('select count(*) from db.no_table'))
root("revoke all on db.* from u@'%'")
say(once('select 1'))
say(once('select 1', database=None))
""")
    same("user dropped", """
for i in range(4): say(once(user='second', password='other secret'))
root("drop user second@'%'")
say(once(user='second', password='other secret'))
say(once())
""")


def test_users_in_turn():
    same("users in turn", """
for i in range(6):
    say(once(), once(user='second', password='other secret'), once(user='none', password=''), once(user='second', password='wrong'))
""")


def test_other_kinds_of_client():
    """A client with other capabilities than those before it from its place in the program."""
    same("rows that were found", """
def changed(**how):
    c = login(**how)
    with c.cursor() as cursor:
        n = cursor.execute("update t set v = 'same' where id = 1"), cursor.execute("update t set v = 'same' where id = 1")
    c.close()
    return n
root("create table db.t (id int, v varchar(9))", "insert into db.t values (1, 'other')")
for i in range(4): say(changed(autocommit=True))
say(changed(client_flag=CLIENT.FOUND_ROWS))
say(changed())
say(once('select 1; select 2', client_flag=CLIENT.MULTI_STATEMENTS))
say(once('select 1; select 2'))
""")
    same("compressed", """
for i in range(4): say(once())
say(once('select 1', client_flag=CLIENT.FOUND_ROWS))
say(once('select 2', database=None))
""")


def test_server_with_tls():
    """Its plain connections are kept only where a rule says so."""
    text = "for i in range(9): say(once())"
    with tempfile.TemporaryDirectory(prefix="holdline-mysql-") as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", "key.pem",
                        "-out", "certificate.pem"], cwd=folder, check=True, capture_output=True)
        options = ["--ssl-cert=%s/certificate.pem" % folder, "--ssl-key=%s/key.pem" % folder]
        for name, settings, n in (("left alone", {}, 9), ("by a rule", {"HOLDLINE_RULES": "*:%d proto=mysql"}, 3)):
            with MariaDB(*options) as server:
                settings = {key: value % server.port for key, value in settings.items()}
                outcome = run(text, server, **settings)
                tally.expect("a server with TLS: " + name, outcome.text().count("u@%") == 9 and server.n_connections() == n,
                             "%s %d" % (outcome.text(), server.n_connections()))


def test_init_connect():
    same("statements at each login", "for i in range(6): say(once('select @seen'))", options=["--init-connect=set @seen = 1"],
         expected="\n".join(["((1,),)"] * 6))
    same("statements from now on", """
for i in range(4): say(once('select @seen'))
root("set global init_connect = 'set @seen = 2'")
time.sleep(0.1)
for i in range(3): say(once('select @seen')) if i else once()
""")


def test_idle_server():
    """A server that ends what is idle, one that was started anew, one that kills."""
    same("wait_timeout", """
for i in range(3): say(once())
time.sleep(1.6)
say(once())
for i in range(3): say(once())
""", options=["--wait-timeout=1"])
    same("killed while it is kept", """
for i in range(4): say(once())
c = pymysql.connect(unix_socket=path, user='root')
with c.cursor() as cursor:
    cursor.execute("select id from information_schema.processlist where user = 'u'")
    for row in cursor.fetchall():
        cursor.execute("kill %d" % row[0])
for i in range(3): say(once())
""")


def test_places():
    """What is kept takes no place that another login needs."""
    same("max_connections", """
for i in range(4): say(once())
held = [login() for i in range(3)]
say(once())
for c in held: c.close()
say(once())
""", options=["--max-connections=6"])


def test_threads():
    same("threads", """
def work(k):
    for i in range(25):
        seen = once('select %d, @left' % (k * 100 + i))
        wrong.append(seen) if seen != ((k * 100 + i, None),) else None
wrong = []
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for t in threads: t.start()
for t in threads: t.join()
say(wrong)
""", most=60, expected="[]")


def test_not_shared():
    """A broker gets no session: each process has its own."""
    with MariaDB() as server, World() as world:
        for n in (2, 4, 6):
            outcome = world.run(program("for i in range(5): say(once('select @left')); once('set @left = 1')", server))
            tally.expect("not shared: values", outcome.text().split() == ["((None,),)"] * 5, outcome.text())
            tally.expect("not shared: connections", server.n_connections() == n, server.n_connections())
        left = server.ask("select count(*) from information_schema.processlist where user = 'u'")[0][0]
        tally.expect("not shared: none is left", left == 0, left)


def test_fork():
    same("fork", """
for i in range(4): once()
c = login()
pid = os.fork()
if pid == 0:
    for i in range(4): say('child', once())
    os._exit(0)
os.waitpid(pid, 0)
with c.cursor() as cursor:
    cursor.execute('select 5')
    say(cursor.fetchall())
c.close()
for i in range(3): say(once())
""")


WITHOUT_WAITING = """
def finish(s, want):
    data = b''
    while len(data) < want:
        if not poller.poll(10000): return data
        try:
            more = s.recv(%d)
        except BlockingIOError:
            continue
        if not more: return data
        data += more
    return data
def packet(s):
    head = finish(s, 4) if %d == 1 else b''
    if not head:
        data = b''
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:3], 'little'):
            if not poller.poll(10000): return data
            try: more = s.recv(%d)
            except BlockingIOError: continue
            if not more: return data
            data += more
        return data
    return head + finish(s, int.from_bytes(head[:3], 'little'))
for i in range(6):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('127.0.0.1', port))
    poller = select.epoll()
    poller.register(s, select.EPOLLIN%s)
    greeting = packet(s)
    at = greeting.index(0, 5) + 1 + 4
    salt = greeting[at:at + 8] + greeting[at + 27:at + 39]
    scramble = pymysql._auth.scramble_native_password(b'secret', salt)
    payload = struct.pack('<IIB23x', 0x8a285 | 0x8, 1 << 24, 33) + b'u\\0' + bytes([20]) + scramble + b'db\\0mysql_native_password\\0'
    s.send(struct.pack('<I', len(payload))[:3] + b'\\1' + payload)
    ok = packet(s)
    s.send(b'\\x09\\0\\0\\0\\3select %%d' %% i)
    first = packet(s) if %d == 1 else b''
    rest = b''
    while not rest.endswith(b'\\xfe\\0\\0\\2\\0'):
        if not poller.poll(10000): break
        try: rest += s.recv(4096)
        except BlockingIOError: pass
    say(ok[3:7].hex(), str(i).encode() in rest)
    s.close()
    poller.close()
"""


def test_without_waiting():
    """A socket that does not block, read by the byte and whole, with both kinds of epoll."""
    for name, n, events in (("level", 4096, ""), ("by the byte", 1, ""), ("edge", 4096, " | select.EPOLLET")):
        same("non-blocking, " + name, WITHOUT_WAITING % (n, n, n, events, n), most=2, expected="\n".join(["02000000 True"] * 6))


def test_other_scramble():
    """An account that logs in by another way than the server's usual one; libmariadb knows it."""
    text = """
import MySQLdb
def one(user, password):
    try:
        c = MySQLdb.connect(host='127.0.0.1', port=port, user=user, password=password, database='db')
        cursor = c.cursor()
        cursor.execute('select current_user()')
        seen = cursor.fetchone()
        c.close()
        return seen
    except MySQLdb.Error as error:
        return error.args[0]
for i in range(4): say(one('curve', 'third secret'))
for i in range(4): say(one('u', 'secret'))
for i in range(3): say(one('curve', 'third secret'), one('u', 'secret'), one('curve', 'wrong'))
"""
    if harness.run([PYTHON, "-c", "import MySQLdb"], False).status:
        tally.skip("ed25519", "there is no MySQLdb")
        return
    same("ed25519", text)


def test_change_of_user_without_a_question():
    """A server that does not ask for the password again gets nothing that it did not ask for."""
    text = "for i in range(8): say(once('select %d' % i))"
    with ProxyLike() as server:
        outcome = harness.run([PYTHON, "-c", PRELUDE + text, str(server.port), "none"], True, 30)
        tally.expect("change of user without a question: values", outcome.text().split("\n")[:8] == ["(('%d',),)" % i for i in range(8)],
                     "%s %s" % (outcome.text(), outcome.errors.decode()[-300:]))
        tally.expect("change of user without a question: connections", server.n_connections == 2, server.n_connections)
        tally.expect("change of user without a question: commands", set(server.commands) == {0x03, 0x11, 0x1f}, server.commands)


def test_wrong_password():
    """mysqlnd takes it for the end if it was told of something to read, and nothing is there."""
    php = """
mysqli_report(0);
for ($i = 0; $i < 8; $i++) {
    $c = @new mysqli('127.0.0.1', 'u', $i % 2 && $i > 3 ? 'wrong' : 'secret', 'db', (int)$argv[1]);
    echo $c->connect_errno, "\\n";
}"""
    with MariaDB() as server:
        outcome = harness.run(["php", "-r", php, str(server.port)], True, 60)
        tally.expect("wrong password", outcome.text().split() == ["0", "0", "0", "0", "0", "1045", "0", "1045"],
                     "%s %s" % (outcome.text(), outcome.errors.decode()[-300:]))


def test_shut_down():
    """A thread that waits for the greeting, on a socket that another one shuts down."""
    same("shut down", """
for i in range(4): once()
for how in (socket.SHUT_RDWR, socket.SHUT_WR):
    s = socket.create_connection(('127.0.0.1', port))
    s.settimeout(5)
    s.shutdown(how)
    data = b''
    try:
        while True:
            more = s.recv(4096)
            if not more: break
            data += more
    except ConnectionResetError:
        pass
    say(how, len(data) > 60 if how == socket.SHUT_WR else '')
    s.close()
say(once())
""")


def test_pieces():
    """Every byte comes on its own."""
    text = "for i in range(5): say(once('select %d, repeat(4, 300)' % i))"
    with MariaDB() as server, Proxy(server.port, chunk=1) as proxy:
        bare = harness.run([PYTHON, "-c", PRELUDE + text, str(proxy.port), server.path], False, 60)
        n = proxy.n_connections
        reused = harness.run([PYTHON, "-c", PRELUDE + text, str(proxy.port), server.path], True, 60)
        tally.expect("by the byte", bare.status == 0 and bare.text() == reused.text(), "%s %s" % (reused.text(), reused.errors[-300:]))
        tally.expect("by the byte: connections", n == 5 and proxy.n_connections - n == 2, proxy.n_connections - n)


def spoiler(first):
    """From the n-th on each second answer to a fence has another number than was asked."""
    n = [0]

    def change(data):
        if b"@@init_connect" not in data:
            return data
        n[0] += 1
        row = data.rindex(b"\x10", data.index(b"@@init_connect"), -24)
        return data if n[0] < first or n[0] % 2 else data[:row + 1] + b"X" + data[row + 2:]
    return change


def test_greeting_in_flight():
    """The answer to a fence comes late: whoever just reads is shown the greeting before. One that is wrong then costs a fresh
    connection, and nothing else."""
    text = "for i in range(12): say(once('select %d' % i))"
    ways = {"right": {}, "wrong at times": {"change": spoiler(4)}, "by the byte": {"chunk": 1}}
    with MariaDB() as server:
        for name, way in ways.items():
            with Proxy(server.port, late=0.004, **way) as proxy:
                outcome = harness.run([PYTHON, "-c", PRELUDE + text, str(proxy.port), server.path], True, 60)
                tally.expect("greeting in flight, %s" % name, outcome.text().split("\n")[:12] == ["((%d,),)" % i for i in range(12)],
                             "%s %s" % (outcome.text(), outcome.errors.decode()[-500:]))
                tally.expect("greeting in flight, %s: connections" % name, 2 <= proxy.n_connections <= (9 if "change" in way else 3),
                             proxy.n_connections)


POLLING = """
def polled(password, flags=0):
    s = socket.create_connection(('127.0.0.1', port))
    poller = select.poll()
    poller.register(s, select.POLLIN)
    offered = len(poller.poll(0))
    poller.poll(10000)
    greeting = s.recv(4096, flags)
    at = greeting.index(0, 5) + 1 + 4
    scramble = pymysql._auth.scramble_native_password(password, greeting[at:at + 8] + greeting[at + 27:at + 39])
    payload = struct.pack('<IIB23x', 0x8a285 | 0x8, 1 << 24, 33) + b'u\\0' + bytes([20]) + scramble + b'db\\0mysql_native_password\\0'
    s.send(struct.pack('<I', len(payload))[:3] + b'\\1' + payload)
    early = len(poller.poll(0))
    told = len(poller.poll(10000))
    answer = s.recv(4096, flags)[:7].hex()
    s.close()
    return offered, early, told, answer
for i in range(5): polled(b'secret')
for password in (b'secret', b'wrong', b'secret'): say(*polled(password, socket.MSG_DONTWAIT))
"""


def test_polling():
    """Whoever polls is offered the greeting before the answer to the fence, and is not told of that."""
    with MariaDB() as server, Proxy(server.port, late=0.05) as proxy:
        outcome = harness.run([PYTHON, "-c", PRELUDE + POLLING, str(proxy.port), server.path], True, 60)
        tally.expect("polling", outcome.text().split("\n")[:3] == ["1 0 1 07000002000000", "1 0 1 45000002ff1504", "0 0 1 07000002000000"],
                     "%s %s" % (outcome.text(), outcome.errors.decode()[-500:]))
        tally.expect("polling: connections", proxy.n_connections == 3, proxy.n_connections)


def test_ends_everywhere():
    """The connection ends after each number of bytes: right values or an error of the client's, and nothing hangs."""
    text = """
for i in range(5):
    seen = once('select %d' % i)
    say('right' if seen == ((i,),) else 'error' if isinstance(seen[0], int) else 'wrong_%s' % seen)
"""
    wrong, hung, n, n_more = [], [], 0, []
    with MariaDB("--max-connect-errors=1000000", "--max-connections=1000") as server:
        for by_reset in (False, True):
            for cut in range(1, 900, 3 if harness.HEAVY else 61):
                with Proxy(server.port, cut=cut, by_reset=by_reset) as proxy:
                    outcomes = [harness.run([PYTHON, "-c", PRELUDE + text, str(proxy.port), server.path], preloaded, 20) for preloaded in (False, True)]
                n += 1
                bare, reused = [outcome.text().split() for outcome in outcomes]
                if outcomes[1].status != 0:
                    hung.append((cut, by_reset, outcomes[1].status))
                if any(line not in ("right", "error") for line in reused):
                    wrong.append((cut, by_reset, reused))
                if reused.count("error") > bare.count("error"):
                    n_more.append((cut, by_reset, reused))
    tally.expect("ends everywhere: nothing hangs", not hung and n > 20, hung[:5])
    tally.expect("ends everywhere: no wrong value", not wrong, wrong[:5])
    print("    ends everywhere: %d of %d places with more errors than bare: %s" % (len(n_more), n, n_more[:8]))


def test_no_aborted_clients():
    """Kept connections end in order, for every reason."""
    with MariaDB() as server:
        for name, text, settings in (("exit", "for i in range(4): once()", {}),
                                     ("idle timeout", "for i in range(4): once()\ntime.sleep(2.2)\nonce()\ntime.sleep(0.2)",
                                      {"HOLDLINE_IDLE_CONN_TIMEOUT": "1s"}),
                                     ("requests", "for i in range(9): once()", {"HOLDLINE_MAX_CONN_REQUESTS": "3"})):
            run(text, server, **settings)
            harness.wait_until(lambda: server.ask("select count(*) from information_schema.processlist where user = 'u'")[0][0] == 0)
            tally.expect("no aborted clients: " + name, server.status("Aborted_clients") == 0, server.status("Aborted_clients"))
