import sys

import requests

for path in sys.argv[2:]:
    answer = requests.get("http://127.0.0.1:%s%s" % (sys.argv[1], path), headers={"Connection": "close"})
    print(answer.status_code, answer.content)
