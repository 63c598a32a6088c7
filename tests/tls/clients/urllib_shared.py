"""urllib, one context for all requests: urllib_shared.py CA URL..."""
import ssl
import sys
import urllib.request

context = ssl.create_default_context(cafile=sys.argv[1])
for url in sys.argv[2:]:
    with urllib.request.urlopen(url, context=context) as answer:
        sys.stdout.buffer.write(answer.read())
