"""http.client, which says nothing of the connection's end; each second body is read only in part, or not at all:
http_client.py CA URL..."""
import http.client
import ssl
import sys
import urllib.parse

for number, url in enumerate(sys.argv[2:]):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=ssl.create_default_context(cafile=sys.argv[1]))
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    print(answer.status, len(answer.read(5) if number % 2 else answer.read()))
    connection.close()
