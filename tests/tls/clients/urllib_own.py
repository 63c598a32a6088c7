"""urllib, a context of its own for each request: urllib_own.py CA URL..."""
import ssl
import sys
import urllib.request

for url in sys.argv[2:]:
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=sys.argv[1])) as answer:
        sys.stdout.buffer.write(answer.read())
