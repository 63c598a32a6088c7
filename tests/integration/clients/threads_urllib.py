import sys
import threading
import urllib.request

bodies = {}


def fetch(number, path):
    for i in range(10):
        with urllib.request.urlopen("http://127.0.0.1:%s%s" % (sys.argv[1], path)) as answer:
            bodies[number, i] = answer.read()

threads = [threading.Thread(target=fetch, args=pair) for pair in enumerate(sys.argv[2:])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for key in sorted(bodies):
    print(key, bodies[key])
