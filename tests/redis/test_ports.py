"""300 connections of phpredis by 64 ports."""
import few_ports
from servers import Redis
from test_clients import is_there

LOOP = """
$failed = 0;
for ($i = 0; $i < 300; $i++) {
    try {
        $r = new Redis();
        $r->connect('127.0.0.1', $argv[1]);
        if ($argv[2]) $r->select(3);
        $r->set('k', $i);
        if ($r->get('k') != $i) exit(1);
        $r->close();
    } catch (RedisException $e) {
        $failed++;
    }
}
echo $failed;
"""


def test_few_ports():
    few_ports.check(Redis, {"clean": ["php", "-r", LOOP, "PORT", "0"], "dirty": ["php", "-r", LOOP, "PORT", "1"]}, is_there("phpredis"))
