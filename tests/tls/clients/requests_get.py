"""requests, with a session for each request and without: requests_get.py CA URL..."""
import sys

import requests

for number, url in enumerate(sys.argv[2:]):
    if number % 2:
        with requests.Session() as session:
            answer = session.get(url, verify=sys.argv[1])
    else:
        answer = requests.get(url, verify=sys.argv[1])
    sys.stdout.buffer.write(answer.content)
