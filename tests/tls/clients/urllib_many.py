"""urllib, one request after the other: urllib_many.py CA URL N. Prints how many requests succeeded, and what the others
met."""
import collections
import ssl
import sys
import urllib.error
import urllib.request

outcomes = collections.Counter()
for _ in range(int(sys.argv[3])):
    try:
        with urllib.request.urlopen(sys.argv[2], context=ssl.create_default_context(cafile=sys.argv[1])) as answer:
            outcomes["%d bytes" % len(answer.read())] += 1
    except urllib.error.URLError as error:
        outcomes[str(error.reason)] += 1
for text, n in sorted(outcomes.items()):
    print(n, text)
