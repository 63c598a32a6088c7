"""Programs that dial."""
import harness
from harness import PYTHON


def python(code, *arguments, preloaded=True, timeout=30, **settings):
    return harness.run([PYTHON, "-c", code, *map(str, arguments)], preloaded, timeout, **settings)


TIMED = """
import errno, socket, sys, time
def timed(name, function):
    begin = time.monotonic()
    try:
        result = function()
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error))
    print(name, result, "%.1f" % (time.monotonic() - begin), flush=True)
port = int(sys.argv[1])
"""

DIAL = TIMED + """
s = socket.socket()
timed("connect", lambda: s.connect(("127.0.0.1", port)))
timed("again", lambda: s.connect(("127.0.0.1", port)))
print("timeout", s.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16) == bytes(16))
"""
