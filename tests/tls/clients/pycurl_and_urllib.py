"""pycurl, which uses GnuTLS, and urllib in turn, in one process: pycurl_and_urllib.py CA URL..."""
import io
import ssl
import sys
import urllib.request

import pycurl

for number, url in enumerate(sys.argv[2:]):
    if number % 2:
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=sys.argv[1])) as answer:
            sys.stdout.buffer.write(answer.read())
        continue
    body, curl = io.BytesIO(), pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.CAINFO, sys.argv[1])
    curl.setopt(pycurl.WRITEDATA, body)
    curl.perform()
    curl.close()
    sys.stdout.buffer.write(body.getvalue())
