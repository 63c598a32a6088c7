"""urllib, then an abort with a core dump in the working directory: keeps_core.py CA KEYLOG URL. The key log names the secrets
that must not be in it."""
import gc
import os
import ssl
import sys
import urllib.request


def ask():
    context = ssl.create_default_context(cafile=sys.argv[1])
    context.keylog_filename = sys.argv[2]
    with urllib.request.urlopen(sys.argv[3], context=context) as answer:
        answer.read()


ask()
ask()
gc.collect()
os.abort()
