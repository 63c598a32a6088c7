import sys
import urllib.request

for path in sys.argv[2:]:
    with urllib.request.urlopen("http://127.0.0.1:%s%s" % (sys.argv[1], path)) as answer:
        print(answer.status, answer.read())
