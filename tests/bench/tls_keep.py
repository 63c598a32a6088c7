"""The keep-alive of http.client's own: tls_keep.py CA URL..."""
import http.client
import ssl
import sys
import urllib.parse

first = urllib.parse.urlsplit(sys.argv[2])
connection = http.client.HTTPSConnection(first.hostname, first.port, context=ssl.create_default_context(cafile=sys.argv[1]))
for url in sys.argv[2:]:
    connection.request("GET", urllib.parse.urlsplit(url).path)
    connection.getresponse().read()
