"""Python's ssl under settings that change from one connection to the next: matrix.py WAY FOLDER HOST PORT, with steps
on standard input, a line each: `LABEL|KEY=VALUE;...`. WAY: `socket`, or `memory` for an SSLObject on memory BIOs.

Prints what comes of each step: an error, or all that can be asked of the connection, and the answer.
"""
import hashlib
import os
import socket
import ssl
import sys

from memory import Memory

WAY, FOLDER, HOST, PORT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
sessions = []


def file(name):
    return os.path.join(FOLDER, name)


def make_context(settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = settings.get("check") != "no"
    context.verify_mode = VERIFY[settings.get("verify", "required")]
    if settings.get("ca") != "none":
        context.load_verify_locations(file(settings.get("ca", "ca.pem")))
    if "crl" in settings:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if settings["crl"] != "none":
            context.load_verify_locations(file(settings["crl"]))
    if "strict" in settings:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    if "partial" in settings:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if "min" in settings:
        context.minimum_version = VERSIONS[settings["min"]]
    if "max" in settings:
        context.maximum_version = VERSIONS[settings["max"]]
    if "ciphers" in settings:
        context.set_ciphers(settings["ciphers"])
    if "group" in settings:
        context.set_ecdh_curve(settings["group"])
    if "alpn" in settings:
        context.set_alpn_protocols(settings["alpn"].split(","))
    if "certificate" in settings:
        context.load_cert_chain(file(settings["certificate"] + ".pem"), file(settings["certificate"] + ".key"))
    if "keylog" in settings:
        context.keylog_filename = os.devnull
    if "no_ticket" in settings:
        context.options |= ssl.OP_NO_TICKET
    if "no_compat" in settings:
        context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT
    if "later" in settings:
        context.post_handshake_auth = True
    if "callback" in settings:
        context._msg_callback = lambda *_: None
    return context


def connect(settings):
    context = make_context(settings)
    name = None if settings.get("sni") == "no" else settings.get("name", "localhost")
    session = sessions[-1] if "session" in settings and sessions else None
    plain = socket.create_connection((HOST, PORT))
    try:
        if session:
            # A session belongs to the context that made it.
            context, session = session
        connection = Memory(plain, context, name, session) if WAY == "memory" else context.wrap_socket(plain, server_hostname=name, session=session)
    except BaseException:
        plain.close()
        raise
    return context, plain, connection


def ask(connection, settings):
    """All that a program can see."""
    certificate = connection.getpeercert(True)
    yield connection.version()
    yield connection.cipher()[0]
    yield "alpn %s" % connection.selected_alpn_protocol()
    yield "leaf %s" % (hashlib.sha256(certificate).hexdigest()[:12] if certificate else None)
    yield "subject %s" % (connection.getpeercert().get("subject") if settings.get("verify") != "none" else None,)
    if "binding" in settings:
        yield "binding %d" % len(connection.get_channel_binding("tls-unique") or b"")
    if "pin" in settings:
        with open(file(settings["pin"])) as pem:
            wanted = ssl.PEM_cert_to_DER_cert(pem.read().split("-----END")[0] + "-----END CERTIFICATE-----\n")
        if wanted != certificate:
            raise ValueError("another certificate is pinned")


def step(settings):
    context, plain, connection = connect(settings)
    try:
        words = list(ask(connection, settings))
        path = settings.get("path", "/bytes/20")
        connection.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
        answer = b""
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
        sessions.append((context, connection.session))
        return "%s; %s" % (", ".join(words), answer.split(b"\r\n\r\n")[-1].decode())
    finally:
        plain.close() if WAY == "memory" else connection.close()


for line in sys.stdin:
    label, _, text = line.rstrip("\n").partition("|")
    try:
        outcome = step(dict(word.split("=", 1) for word in text.split(";") if word))
    except (OSError, ValueError) as error:
        outcome = "%s: %s" % (type(error).__name__, error)
    print("%s: %s" % (label, outcome.replace("\n", " ")), flush=True)
