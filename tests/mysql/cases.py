"""What programs do with MariaDB, each on a connection of its own: every case may come before and after every other, and
nobody must be able to tell. A case is a function of a World, and returns what it saw.

As a program: cases.py PORT SOCKET, case names on standard input, a line of JSON for each."""
import os
import socket
import struct
import sys
import tempfile
import threading
import time

import pymysql
from pymysql.constants import CLIENT, COMMAND

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from pairs import run_cases

MADE_ONCE = """
create or replace table db.t (id int auto_increment primary key, v varchar(40)) engine=innodb;
create or replace procedure db.two_results() select 1;
"""
BEGIN = """
drop table if exists db.left_over;
truncate db.t;
insert into db.t (v) values ('one'), ('two'), ('three');
"""
VARIABLES = ("autocommit", "sql_mode", "time_zone", "tx_isolation", "character_set_client", "collation_connection", "sql_select_limit",
             "max_execution_time", "foreign_key_checks", "unique_checks", "timestamp", "wait_timeout", "lc_time_names", "group_concat_max_len",
             "default_storage_engine", "sql_safe_updates", "max_statement_time")


class World:
    def __init__(self, port, path):
        self.port, self.path = port, path
        self.control = pymysql.connect(unix_socket=path, user="root", autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS)
        self.root(MADE_ONCE)

    def connect(self, user="u", password="secret", database="db", **others):
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password, database=database, **others)

    def root(self, statements):
        with self.control.cursor() as cursor:
            cursor.execute(statements)
            seen = cursor.fetchall()
            while cursor.nextset():
                pass
            return seen

    def begin(self):
        """The same data for every case. Locks of the case before may have to go first."""
        for _ in range(20):
            try:
                self.root(BEGIN)
                break
            except pymysql.Error:
                time.sleep(0.05)


def asks(*statements, **how):
    """Each statement's rows, or its error."""
    def case(world):
        c = world.connect(**how)
        seen = [ask(c, statement) for statement in statements]
        c.close()
        return seen
    return case


def ask(c, statement):
    try:
        with c.cursor() as cursor:
            cursor.execute(statement)
            return [list(map(plain, row)) for row in cursor.fetchall()] if cursor.description else cursor.rowcount
    except pymysql.Error as error:
        return [type(error).__name__, error.args[0]]


def plain(value):
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


def fails(**how):
    """A login that the server refuses."""
    def case(world):
        try:
            world.connect(**how).close()
        except pymysql.Error as error:
            return [type(error).__name__, error.args[0], str(error.args[1]).replace(str(world.port), "PORT")]
        return "in"
    return case


def raw(c, command, payload=b""):
    c._execute_command(command, payload)


def drop(c):
    """Without a goodbye."""
    c._force_close()


def prepare(c, statement):
    raw(c, COMMAND.COM_STMT_PREPARE, statement.encode())
    packet = c._read_packet()
    n_columns, n_parameters = struct.unpack("<HH", packet.get_all_data()[5:9])
    for n in (n_parameters, n_columns):
        for _ in range(n):
            c._read_packet()
        if n:
            c._read_packet()
    return struct.unpack("<I", packet.get_all_data()[1:5])[0], n_columns, n_parameters


def execute(c, number, flags=0):
    raw(c, COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", number, flags, 1))
    rows = []
    n_columns = c._read_packet().get_all_data()[0]
    for _ in range(n_columns + 1):
        c._read_packet()
    while True:
        packet = c._read_packet()
        if packet.is_eof_packet():
            return rows
        rows.append(packet.get_all_data().hex())


def prepared(world):
    c = world.connect()
    number, _, _ = prepare(c, "select id, v from t order by id")
    seen = execute(c, number)
    raw(c, COMMAND.COM_STMT_CLOSE, struct.pack("<I", number))
    seen.append(ask(c, "select 1"))
    c.close()
    return seen


def prepared_left(world):
    c = world.connect()
    number, n_columns, n_parameters = prepare(c, "select ? + 1, v from t")
    c.close()
    return [n_columns, n_parameters]


def prepared_stale(world):
    """A statement of a connection before: unknown."""
    c = world.connect()
    raw(c, COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", 1, 0, 1))
    try:
        c._read_packet()
        seen = "known"
    except pymysql.Error as error:
        seen = error.args[0]
    c.close()
    return seen


def variables(world):
    return asks("show session variables where variable_name in (%s)" % ",".join("'%s'" % name for name in VARIABLES if name != "timestamp"))(world)


def left_open(*statements):
    """Closed without a goodbye, and with something begun."""
    def case(world):
        c = world.connect()
        seen = [ask(c, statement) for statement in statements]
        drop(c)
        return seen
    return case


def unread(world):
    """A result that nobody reads."""
    c = world.connect()
    raw(c, COMMAND.COM_QUERY, b"select * from t")
    time.sleep(0.01)
    drop(c)
    return "closed"


def unread_half(world):
    c = world.connect()
    raw(c, COMMAND.COM_QUERY, b"select repeat('x', 30000)")
    seen = c._sock.recv(100)
    drop(c)
    return len(seen) > 0


def half_packet(world):
    c = world.connect()
    c._sock.sendall(b"\x20\0\0\0\x03select")
    drop(c)
    return "closed"


def quit_end(world):
    """What is read behind COM_QUIT."""
    c = world.connect()
    c._sock.sendall(b"\1\0\0\0\1")
    seen = c._sock.recv(10).hex()
    drop(c)
    return seen


def quit_behind(world):
    c = world.connect()
    c._sock.sendall(b"\x09\0\0\0\x03select 1" + b"\1\0\0\0\1")
    seen = b""
    while True:
        more = c._sock.recv(1000)
        if not more:
            break
        seen += more
    drop(c)
    return len(seen)


def greeting_only(world):
    """A check that reads what the server says first, and goes."""
    with socket.create_connection(("127.0.0.1", world.port)) as s:
        head = s.recv(5)
        return [head[1:].hex()]


def nothing_at_all(world):
    socket.create_connection(("127.0.0.1", world.port)).close()
    return "closed"


def by_the_byte(world):
    """The greeting, read by single bytes."""
    with socket.create_connection(("127.0.0.1", world.port)) as s:
        length = struct.unpack("<I", b"".join(s.recv(1) for _ in range(4)))[0]
        seen = b"".join(s.recv(1) for _ in range(length))
    return [len(seen) == length, seen[0], seen[-22:].decode()]


def shut(world):
    c = world.connect()
    seen = ask(c, "select 5")
    c._sock.shutdown(socket.SHUT_WR)
    end = c._sock.recv(10).hex()
    drop(c)
    return [seen, end]


def two(world):
    """Two at once, one waits for the other's lock."""
    one, other = world.connect(), world.connect()
    seen = [ask(one, "begin"), ask(one, "update t set v = 'locked' where id = 1"), ask(other, "set innodb_lock_wait_timeout = 1"),
            ask(other, "select get_lock('two', 0)"), ask(one, "select get_lock('two', 0)")]
    one.close()
    seen.append(ask(other, "update t set v = 'mine' where id = 1"))
    other.close()
    return seen


def lock_is_free(world):
    """At once after it was closed with a lock, another one gets it."""
    c = world.connect()
    seen = [ask(c, "select get_lock('free', 0)")]
    c.close()
    for _ in range(100):
        free = world.root("select is_free_lock('free')")
        if free[0][0]:
            break
        time.sleep(0.01)
    return seen + [free[0][0]]


def rolled_back(world):
    c = world.connect()
    ask(c, "begin")
    ask(c, "insert into t (v) values ('never')")
    c.close()
    for _ in range(100):
        left = world.root("select count(*) from information_schema.innodb_trx")
        if not left[0][0]:
            break
        time.sleep(0.12)  # the table is made anew when nobody has looked for a tenth of a second
    return [left[0][0], world.root("select count(*) from db.t where v = 'never'")[0][0]]


def kill(world, how):
    c = world.connect()
    number = ask(c, "select connection_id()")[0][0]
    try:
        world.root("kill %s %d" % (how, number))
    except pymysql.Error as error:
        return error.args[0]
    time.sleep(0.02)
    seen = ask(c, "select 1")
    drop(c)
    return seen


def kill_in_sleep(world):
    c = world.connect()
    number = ask(c, "select connection_id()")[0][0]
    timer = threading.Timer(0.1, lambda: world.root("kill query %d" % number))
    timer.start()
    seen = ask(c, "select sleep(5)")
    timer.join()
    c.close()
    return seen


def kill_closed(world):
    """An administrator kills what its program has closed: natively there is nothing to be killed."""
    c = world.connect()
    number = ask(c, "select connection_id()")[0][0]
    c.close()
    try:
        world.root("kill %d" % number)
    except pymysql.Error:
        pass
    return "killed"


def change_user(world):
    """By the client itself, with the salt that it was shown."""
    c = world.connect()
    scramble = pymysql._auth.scramble_native_password(b"other secret", c.salt)
    raw(c, COMMAND.COM_CHANGE_USER, b"second\0\x14" + scramble + b"db\0\x21\0mysql_native_password\0")
    packet = c._read_packet()
    if packet.is_auth_switch_request():
        data = packet.get_all_data()
        salt = data[data.index(0, 1) + 1:]
        c.write_packet(pymysql._auth.scramble_native_password(b"other secret", salt[:20]))
        packet = c._read_packet()
    c._next_seq_id = 0
    seen = [packet.is_ok_packet(), ask(c, "select current_user()")]
    c.close()
    return seen


def one_reply(command, payload=b""):
    def case(world):
        c = world.connect()
        raw(c, command, payload)
        try:
            seen = c._read_packet().get_all_data()[:1].hex()
        except pymysql.Error as error:
            seen = error.args[0]
        seen = [seen, ask(c, "select 7")]
        c.close()
        return seen
    return case


def several_allowed(world):
    c = world.connect()
    raw(c, COMMAND.COM_SET_OPTION, b"\0\0")
    c._read_packet()
    seen = [ask(c, "select 1; select 2")]
    c._next_seq_id = 0
    drop(c)
    return seen


def infile(world):
    c = world.connect()
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("file one\nfile two\n")
        file.flush()
        raw(c, COMMAND.COM_QUERY, ("load data local infile '%s' into table t (v)" % file.name).encode())
        packet = c._read_packet()
        asked = packet.get_all_data()[0]
        if asked == 0xfb:
            c.write_packet(b"file one\nfile two\n")
            c.write_packet(b"")
            c._read_packet()
            c._next_seq_id = 0
    seen = [asked, ask(c, "select count(*) from t")]
    c.close()
    return seen


CASES = {
    "select": asks("select id, v from t order by id", "select 1 + 1"),
    "nothing": asks(),
    "error": asks("select nonsense from t", "select 2"),
    "syntax": asks("sellect"),
    "variable": asks("select @x, @y", "set @x = 5, @y = 'left'", "select @x"),
    "autocommit": asks("select @@autocommit", "set autocommit = 0", "insert into t (v) values ('uncommitted')"),
    "temporary": asks("select * from left_over", "create temporary table left_over (i int)", "insert into left_over values (1)"),
    "lock": asks("select is_free_lock('a')", "select get_lock('a', 0)"),
    "names": asks("select @@character_set_client, @@collation_connection", "set names latin1"),
    "latin1": asks("select @@character_set_client, 'grün'", charset="latin1"),
    "use": asks("select database()", "use other", "select database()"),
    "other_database": asks("select database()", database="other"),
    "no_database": asks("select database()", "select * from t", database=None),
    "no_database_use": asks("select database()", "use db", "select count(*) from t", database=None),
    "insert_id": asks("select last_insert_id()", "insert into t (v) values ('new')", "select last_insert_id()"),
    "insert_id_set": asks("set insert_id = 77", "set last_insert_id = 5"),
    "lock_tables": asks("lock tables t write", "select count(*) from t"),
    "flush_lock": asks("flush tables with read lock"),
    "writes": asks("insert into t (v) values ('w')", "update t set v = 'x' where id = 2", "select row_count()", "delete from t where id > 2"),
    "row_count": asks("select row_count()", "select found_rows()"),
    "modes": asks("set sql_mode = 'ansi_quotes', time_zone = '+03:00', tx_isolation = 'serializable', foreign_key_checks = 0",
                  "set timestamp = 1, group_concat_max_len = 10, sql_select_limit = 1, wait_timeout = 3, lc_time_names = 'de_DE'"),
    "variables": variables,
    "clock": asks("select now() > '2020-01-01'"),
    "warnings": asks("select 1/0, cast('a' as int)", "show warnings", "select @@warning_count"),
    "warnings_seen": asks("show warnings", "select @@warning_count, @@error_count"),
    "prepare_sql": asks("execute s", "prepare s from 'select 3'", "execute s"),
    "handler": asks("handler t open", "handler t read first", "handler t read next"),
    "handler_seen": asks("handler t read first"),
    "second": asks("select current_user()", "select count(*) from t", user="second", password="other secret"),
    "no_password": asks("select current_user()", user="none", password=""),
    "begin": asks("select @@in_transaction", "begin", "insert into t (v) values ('open')", "select @@in_transaction"),
    "begin_dropped": left_open("begin", "insert into t (v) values ('dropped')"),
    "count": asks("select count(*) from t"),
    "read_only": asks("set session transaction read only", "insert into t (v) values ('no')"),
    "read_only_next": asks("set transaction read only"),
    "xa": asks("xa start 'x'", "insert into t (v) values ('xa')", "xa end 'x'"),
    "xa_in_words": asks("  XA  START 'y'", "xa end 'y'", "xa rollback 'y'"),
    "status": asks("show session status like 'Com_insert'", "show session status like 'Questions'"),
    "denied": asks("use mysql", "select * from mysql.user", user="second", password="other secret"),
    "role": asks("select current_role()", "set role none"),
    "bad_password": fails(password="wrong"),
    "bad_user": fails(user="nobody"),
    "bad_database": fails(database="nowhere"),
    "no_database_right": fails(user="second", password="other secret", database="other"),
    "found_rows": asks("select sql_calc_found_rows id from t limit 1", "select found_rows()"),
    "procedure": asks("call two_results()"),
    "prepared": prepared,
    "prepared_left": prepared_left,
    "prepared_stale": prepared_stale,
    "ping": one_reply(COMMAND.COM_PING),
    "statistics": one_reply(COMMAND.COM_STATISTICS),
    "reset": one_reply(0x1f),
    "init_db": one_reply(COMMAND.COM_INIT_DB, b"other"),
    "init_db_bad": one_reply(COMMAND.COM_INIT_DB, b"nowhere"),
    "unknown": one_reply(0x77),
    "sleepy": one_reply(0x00),
    "unread": unread,
    "unread_half": unread_half,
    "half_packet": half_packet,
    "quit_end": quit_end,
    "quit_behind": quit_behind,
    "greeting_only": greeting_only,
    "by_the_byte": by_the_byte,
    "nothing_at_all": nothing_at_all,
    "shut": shut,
    "dropped": left_open("select 3"),
    "big": asks("select length(repeat('x', 3000000)), repeat('y', 70000)"),
    "many_rows": asks("select a.id, b.id, c.id from t a, t b, t c order by 1, 2, 3"),
    "two": two,
    "lock_is_free": lock_is_free,
    "rolled_back": rolled_back,
    "kill": lambda world: kill(world, "connection"),
    "kill_query": lambda world: kill(world, "query"),
    "kill_in_sleep": kill_in_sleep,
    "kill_closed": kill_closed,
    "change_user": change_user,
    "several_allowed": several_allowed,
    "infile": infile,
}

if __name__ == "__main__":
    run_cases(CASES, World(int(sys.argv[1]), sys.argv[2]))
