"""300 connections by 64 ports: of clients that just close, and of such that say goodbye, where it depends on who is faster
whether they run out bare."""
import few_ports
from harness import PYTHON
from servers import MariaDB
from test_clients import is_there

PHP = """
mysqli_report(0);
$failed = 0;
for ($i = 0; $i < 300; $i++) {
    $c = @new mysqli('127.0.0.1', 'u', 'secret', 'db', (int)$argv[1]);
    if ($c->connect_errno) { $failed++; continue; }
    if ($c->query("select $i")->fetch_row() != [$i]) exit(1);
    $c->close();
}
echo $failed;
"""

PYMYSQL = """
import sys
import pymysql
failed = 0
for i in range(300):
    try:
        c = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="u", password="secret", database="db")
    except pymysql.Error:
        failed += 1
        continue
    cursor = c.cursor()
    cursor.execute("select %%s", (i,))
    assert cursor.fetchone() == (i,)
    c.%s()
print(failed, end="")
"""


def test_few_ports():
    commands = {"pymysql, dropped": [PYTHON, "-c", PYMYSQL % "_force_close", "PORT"], "mysqli": ["php", "-r", PHP, "PORT"],
                "pymysql": [PYTHON, "-c", PYMYSQL % "close", "PORT"]}
    # The first login is not kept, nor what may come while the server has not answered yet.
    few_ports.check(MariaDB, commands, is_there("mysqli"), 8)
