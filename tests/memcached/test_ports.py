"""300 connections by 64 ports, of programs that end them themselves. (php-memcached says `quit` and waits for the server to do
that.)"""
import few_ports
from harness import PYTHON
from servers import Memcached
from test_clients import is_there

PHP = """
$failed = 0;
for ($i = 0; $i < 300; $i++) {
    $s = @fsockopen('127.0.0.1', (int)$argv[1]);
    if (!$s) { $failed++; continue; }
    fwrite($s, "set k 0 0 1\\r\\nx\\r\\n");
    if (fgets($s) != "STORED\\r\\n") exit(1);
    fclose($s);
}
echo $failed;
"""

PYMEMCACHE = """
import sys
from pymemcache.client.base import Client
failed = 0
for i in range(300):
    try:
        c = Client(("127.0.0.1", int(sys.argv[1])))
        c.set("k", str(i), noreply=False)
        assert c.get("k") == str(i).encode()
        c.close()
    except OSError:
        failed += 1
print(failed, end="")
"""


def test_few_ports():
    commands = {"PHP": ["php", "-r", PHP, "PORT"], "pymemcache": [PYTHON, "-c", PYMEMCACHE, "PORT"]}
    few_ports.check(Memcached, commands, is_there("php-memcached") and is_there("pymemcache"))
