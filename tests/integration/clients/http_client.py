import http.client
import sys

for path in sys.argv[2:]:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, answer.read())
    connection.close()
