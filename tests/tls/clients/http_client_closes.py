"""http.client, which closes each connection before the server does: http_client_closes.py CA URL N. Prints how many
requests succeeded, and what the others met."""
import collections
import http.client
import ssl
import sys
import urllib.parse

parts, outcomes = urllib.parse.urlsplit(sys.argv[2]), collections.Counter()
context = ssl.create_default_context(cafile=sys.argv[1])
for _ in range(int(sys.argv[3])):
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    try:
        connection.request("GET", parts.path)
        outcomes["%d bytes" % len(connection.getresponse().read())] += 1
    except OSError as error:
        outcomes[str(error)] += 1
    connection.close()
for text, n in sorted(outcomes.items()):
    print(n, text)
