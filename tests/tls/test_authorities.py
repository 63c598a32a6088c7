"""Bundles of certificate authorities, which the library reads into an index: what a store says of them is as bare."""
import base64
import os
import subprocess
import tempfile

import harness
import programs
import secure
import servers
from secure import compare
from suite import tally

WAYS = "verify", "list", "locked", "copies", "twice", "subject", "threads", "contexts"
# Of the bundles, those that are looked at from all sides.
LONG = ("last", "none", "two of a name", "renamed", "two of a name, turned") if harness.HEAVY else ("last", "two of a name")
# Programs whose errors are the same each time.
REFUSING = ("python urllib", "python asyncio streams", "php file_get_contents", "php curl", "perl LWP", "ruby Net::HTTP", "libcurl easy", "loop of curl")
LINE, LAST = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"


def read(name):
    with open(os.path.join(servers.certificates(), name), "rb") as file:
        return file.read()


def pieces(pem):
    return [LINE + piece for piece in pem.split(LINE)[1:]]


def bundles():
    """{name: bytes}: authorities among many others, and what else may be in such a file."""
    many, ca, other, renamed = read("authorities.pem"), read("ca.pem"), read("other-ca.pem"), read("renamed-ca.pem")
    broken = bytearray(ca)
    broken[len(broken) // 2] ^= 1
    return {
        "first": ca + many, "last": many + ca, "none": many, "comments": b"# Authorities\n\nA name: \xc3\xa4\n" + many + b"\nthe last one\n" + ca,
        "twice there": many + ca + ca, "two of a name": many + other + ca, "two of a name, turned": many + ca + other, "other of its name": many + other,
        "renamed": many + renamed, "renamed, two": renamed + many + ca, "CRLF": (many + ca).replace(b"\n", b"\r\n"), "no last newline": (many + ca)[:-1],
        "trusted": many + trusted(ca), "revocations": many + ca + read("crl.pem"), "a key": many + ca + read("ca.key"), "broken": many + bytes(broken) + ca,
        "broken base64": many + ca.replace(b"A", b"*", 1), "cut": (many + ca)[:-200], "long line": many + ca.replace(LINE, LINE + b"x" * 300 + b"\n"),
        "old label": (many + ca).replace(b" CERTIFICATE", b" X509 CERTIFICATE"), "empty lines": (many + ca).replace(LINE, LINE + b"\n"),
        "short lines": short_lines(many + ca), "headers": many + ca.replace(LINE, LINE + b"Proc-Type: 4,CLEAR\n\n"), "spaces": (many + ca).replace(b"-\n", b"-  \n"),
        "binary": b"\0" * 5000 + many + ca, "nothing": b" " * 5000, "trailing bytes": many + longer(ca), "an end alone": many + LAST + ca,
    }


def trusted(pem):
    """A certificate with OpenSSL's own notes of trust."""
    return subprocess.run(["openssl", "x509", "-addtrust", "serverAuth"], input=pem, capture_output=True, check=True).stdout


def longer(pem):
    body = base64.b64decode(b"".join(pem.split(LINE)[1].split(LAST)[0].split())) + b"more"
    return LINE + base64.encodebytes(body) + LAST


def short_lines(pem):
    return b"".join(LINE + base64.encodebytes(base64.b64decode(b"".join(piece[len(LINE):].split(LAST)[0].split()))) + LAST for piece in pieces(pem))


def client(*words):
    return [programs.build("authorities", *programs.LIBSSL, "-ldl"), *words]


def path_of(folder, name, content):
    path = os.path.join(folder, name.replace(" ", "-") + ".pem")
    with open(path, "wb") as file:
        file.write(content)
    return path


def check(name, command):
    """Bare and with the library, without a network."""
    pair = secure.run_pair(secure.NoServer(), command)
    tally.expect(name, pair.bare.output != b"" and pair.is_same(), pair.text())


def test_bundle_contents():
    with tempfile.TemporaryDirectory() as folder:
        for name, content in bundles().items():
            path = path_of(folder, name, content)
            for way in WAYS if name in LONG else WAYS[:1 + harness.HEAVY]:
                for leaf in ("ecdsa", "chain") if way == "verify" and name in LONG else ("ecdsa",):
                    check("%s: %s, %s" % (name, way, leaf), client(way, path, os.path.join(servers.certificates(), leaf + ".pem")))


def test_together():
    """With certificates that come otherwise, before or after."""
    leaf = os.path.join(servers.certificates(), "ecdsa.pem")
    with tempfile.TemporaryDirectory() as folder:
        path = {name: path_of(folder, name, content) for name, content in bundles().items()}
        by_hash = os.path.join(folder, "hashed")
        os.mkdir(by_hash)
        for number, name in enumerate(("ca.pem", "other-ca.pem")):
            path_of(by_hash, str(number), read(name))
        subprocess.run(["openssl", "rehash", by_hash], check=True, capture_output=True)
        for one in ("last", "none", "other of its name", "renamed") if harness.HEAVY else ("last", "other of its name"):
            for way in "before", "after", "files":
                for other in "ca.pem", "other-ca.pem", "renamed-ca.pem", "both-cas.pem":
                    check("%s, %s %s" % (one, way, other), client(way, path[one], leaf, os.path.join(servers.certificates(), other)))
            for other in "last", "two of a name", "renamed":
                check("%s and %s" % (one, other), client("files", path[one], leaf, path[other]))
            check("%s and a folder" % one, client("folder", path[one], leaf, by_hash))
            check("a folder and %s" % one, client("folder-first", path[one], os.path.join(servers.certificates(), "other.pem"), by_hash))
        check("no file", client("verify", os.path.join(folder, "missing"), leaf))
        check("a folder as a file", client("verify", folder, leaf))


def test_index():
    """It is used: only what a chain has asked for is in the store."""
    with tempfile.TemporaryDirectory() as folder:
        path = path_of(folder, "last", bundles()["last"])
        command = client("count", path, os.path.join(servers.certificates(), "ecdsa.pem"))
        pair = secure.run_pair(secure.NoServer(), command)
        tally.expect("what is in the store", pair.bare.output == b"41\n" and pair.subject.output == b"1\n", pair.text())
        pair = secure.run_pair(secure.NoServer(), command, HOLDLINE_CA_CACHE="off")
        tally.expect("--ca-cache=off", pair.subject.output == b"41\n", pair.text())


def test_replaced():
    """A bundle that is replaced is read again, in one process: without the authority, the server is refused."""
    with tempfile.TemporaryDirectory() as folder, servers.TlsServer() as server:
        good, bad = path_of(folder, "good", bundles()["last"]), path_of(folder, "bad", bundles()["none"])
        command = [harness.PYTHON, os.path.join(programs.FOLDER, "replaced_bundle.py"), good, bad, os.path.join(folder, "bundle.pem"), server.url("/bytes/10")]
        compare("replaced", server, command)


def test_authority_programs():
    """Real programs with a bundle."""
    with tempfile.TemporaryDirectory() as folder, servers.TlsServer() as server:
        good, bad = path_of(folder, "good", bundles()["last"]), path_of(folder, "bad", bundles()["none"])
        for program in programs.LIST:
            if program.library in ("openssl", "memory") and (harness.HEAVY or program.name in REFUSING) and not program.missing():
                urls = [server.url("/bytes/10")] * 3
                compare("%s: a bundle" % program.name, server, program.command(good, urls), program.most, timeout=60)
                if program.name in REFUSING:
                    compare("%s: a bundle without the authority" % program.name, server, program.command(bad, urls), works=False, timeout=60)
