"""Programs that dial, and servers that let them wait."""
import socket
import time

import harness
from harness import PYTHON


def python(code, *arguments, preloaded=True, timeout=30, **settings):
    return harness.run([PYTHON, "-c", code, *map(str, arguments)], preloaded, timeout, **settings)


class FullBacklog:
    """A server that accepts nothing, and whose queue is full: a handshake is never answered."""

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(filler)
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


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
