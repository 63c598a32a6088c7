"""One connection object that is told to close after each request, and makes a new connection where the answer says
so."""
import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
for path in sys.argv[2:]:
    connection.request("GET", path, None, {"Connection": "close"})
    answer = connection.getresponse()
    print(answer.status, answer.read())
