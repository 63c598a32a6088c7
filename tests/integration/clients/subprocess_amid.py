"""Requests with child processes started in between: their descriptors and ours don't meet."""
import subprocess
import sys
import urllib.request

for path in sys.argv[2:]:
    with urllib.request.urlopen("http://127.0.0.1:%s%s" % (sys.argv[1], path)) as answer:
        print(answer.read(5))
        print(subprocess.run(["echo", path], stdout=subprocess.PIPE, close_fds=True).stdout)
        print(answer.read())
