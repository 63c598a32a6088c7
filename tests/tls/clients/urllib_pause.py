"""urllib, with a pause after each request, in which a kept connection may end: urllib_pause.py CA MS WORD... A WORD is a
URL to get, or `post:URL`."""
import ssl
import sys
import time
import urllib.request

for word in sys.argv[3:]:
    url, body = (word[5:], b"x" * 100) if word.startswith("post:") else (word, None)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), context=ssl.create_default_context(cafile=sys.argv[1])) as answer:
            print(answer.status, answer.read()[:30])
    except OSError as error:
        print(error)
    time.sleep(float(sys.argv[2]) / 1000)
