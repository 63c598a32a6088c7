"""New keys for a session of Python's ssl, which has no call for that: libssl's own, on the SSL that an SSLSocket holds
(struct PySSLSocket in Modules/_ssl.c: an object's head, the socket, the SSL)."""
import _ssl
import ctypes
import sys

NOT_REQUESTED, REQUESTED = 0, 1
libssl = ctypes.CDLL(_ssl.__file__)


def session_of(connection):
    return ctypes.c_void_p.from_address(id(connection._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p))


def is_possible():
    """In CPython with its usual objects."""
    return hasattr(libssl, "SSL_key_update") and object.__basicsize__ == 2 * ctypes.sizeof(ctypes.c_void_p) and sys.implementation.name == "cpython"


def request(connection, kind):
    """Before the next bytes."""
    libssl.SSL_key_update(session_of(connection), kind)


def send(connection):
    """At once."""
    libssl.SSL_do_handshake(session_of(connection))
