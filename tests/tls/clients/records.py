"""Requests by Python's ssl, of which it prints each piece: records.py WAY CA URL... WAY: `plain`; `update`: new keys for
what is sent, before, within and behind the request (RFC 8446 4.6.3); `ask`: ... and for what is received; `pieces`: the
records are carried by the program, a few bytes at a time; `fork`: a child has the connection for a moment.
"""
import os
import socket
import ssl
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import key_update
from memory import Memory

WAY, CA, URLS = sys.argv[1], sys.argv[2], sys.argv[3:]
UPDATES = {"update": key_update.NOT_REQUESTED, "ask": key_update.REQUESTED}


def get(url):
    parts = urllib.parse.urlsplit(url)
    context, came = ssl.create_default_context(cafile=CA), set()
    if WAY == "fork":  # Python 3.11 asks OpenSSL to look away where no alert comes before the end
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if WAY == "ask":
        context._msg_callback = lambda *words: came.add(words[1:2] + words[4:5])
    with socket.create_connection((parts.hostname, parts.port)) as plain:
        if WAY == "pieces":
            tls = Memory(plain, context, parts.hostname)
            tls.out, tls.size = 7, 11
        else:
            tls = context.wrap_socket(plain, server_hostname=parts.hostname, suppress_ragged_eofs=False)
        for text in "GET %s HTTP/1.1\r\nHost: x\r\n" % parts.path, "Connection: close\r\n\r\n":
            if WAY in UPDATES:
                key_update.request(tls, UPDATES[WAY])
            tls.sendall(text.encode())
        if WAY == "fork":
            os.waitpid(os.fork() or os._exit(0), 0)
        is_answered = False
        while True:
            piece = tls.recv(65536)
            if not piece:
                break
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            if WAY in UPDATES and not is_answered:
                key_update.request(tls, UPDATES[WAY])
                key_update.send(tls)
            is_answered = True
        if WAY == "ask":
            print("\nnew keys: %s" % any(way == "read" and getattr(message, "name", "") == "KEY_UPDATE" for way, message in came))
        if WAY != "pieces":
            tls.close()


for url in URLS:
    try:
        get(url)
    except OSError as error:
        # Without a line of _ssl.c.
        print("\n%s: %s" % (type(error).__name__, str(error).split(" (_ssl")[0]))
    sys.stdout.flush()
