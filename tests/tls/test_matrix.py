"""Settings of a program that change from one connection to the next: each second connection ends as it does bare, after
each first. Tables of settings, one for each library; every pair of `usual` and another is tried, both ways, and each
one twice in turn.

The steps of a table are made by one process; and, in long runs, by a process for each, and against other servers.
"""
import base64
import hashlib
import os
import ssl
import subprocess

import harness
import programs
import servers
import secure
from broker_world import World
from suite import tally

ECDSA_CIPHER = "ECDHE-ECDSA-CHACHA20-POLY1305"
RSA_CIPHER = "ECDHE-RSA-AES128-GCM-SHA256"  # which a leaf with ECDSA can't have

# What each library can be told, as the programs in clients/ read it. `usual` is none of it.
PYTHON = {
    "another authority": "ca=other-ca.pem",
    "no authority": "ca=none",
    "a bundle without it": "ca=no-ca.pem",
    "both authorities": "ca=both-cas.pem",
    "unverified": "verify=none;check=no",
    "unverified, another authority": "verify=none;check=no;ca=other-ca.pem",
    "optional": "verify=optional",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "wrong name, unchecked": "name=wrong.test;check=no",
    "another good name": "name=name.test",
    "an address": "name=127.0.0.1",
    "no SNI": "sni=no;check=no",
    "TLS 1.2": "max=1.2",
    "TLS 1.3": "min=1.3",
    "one cipher": "max=1.2;ciphers=" + ECDSA_CIPHER,
    "an impossible cipher": "max=1.2;ciphers=" + RSA_CIPHER,
    "another group": "group=secp384r1",
    "ALPN": "alpn=http/1.1",
    "ALPN with h2": "alpn=h2,http/1.1",
    "a certificate": "certificate=client",
    "a stranger's certificate": "certificate=stranger",
    "a list that revokes it": "crl=crl-of-ecdsa.pem",
    "a list that revokes another": "crl=crl.pem",
    "no list, but wanted": "crl=none",
    "strict": "strict=1",
    "partial chain": "partial=1;ca=ecdsa.pem",
    "partial chain of another": "partial=1;ca=rsa.pem",
    "the right pin": "pin=ecdsa.pem",
    "a wrong pin": "pin=rsa.pem",
    "a wrong pin, unverified": "pin=rsa.pem;verify=none;check=no",
    "keylog": "keylog=1",
    "no tickets": "no_ticket=1",
    "no middlebox compatibility": "no_compat=1",
    "a session of before": "session=1",
    "a channel binding": "binding=1",
    "post-handshake authentication": "later=1",
    "a message callback": "callback=1",
    "asked for a certificate later": "path=/later;later=1;certificate=client",
    "asked later, and has none": "path=/later;later=1",
    "another path": "path=/chunked/30",
    "an answer without length": "path=/no-length/30",
}

# A fingerprint of the leaf, or a pin of its key, is filled in for %s.
PHP = {
    "another authority": "ca=other-ca.pem",
    "both authorities": "ca=both-cas.pem",
    "unverified": "verify=none",
    "unverified, another authority": "verify=none;ca=other-ca.pem",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "wrong name, unchecked": "name=wrong.test;check=no",
    "another good name": "name=name.test",
    "self-signed allowed": "self_signed=1",
    "no depth": "depth=0",
    "some depth": "depth=5",
    "one cipher": "only=1.2;ciphers=" + ECDSA_CIPHER,
    "an impossible cipher": "only=1.2;ciphers=" + RSA_CIPHER,
    "TLS 1.2": "only=1.2",
    "TLS 1.3": "only=1.3",
    "ALPN": "alpn=http/1.1",
    "a certificate": "certificate=client",
    "the right fingerprint": "fingerprint=%(fingerprint)s",
    "a wrong fingerprint": "fingerprint=" + "0" * 64,
    "no SNI": "sni=no",
    "a level of security": "level=4",
}

PERL = {
    "another authority": "ca=other-ca.pem",
    "unverified": "verify=none",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "another good name": "name=name.test",
    "no SNI": "sni=no",
    "TLS 1.2": "only=TLSv1_2",
    "TLS 1.3": "only=TLSv1_3",
    "one cipher": "only=TLSv1_2;ciphers=" + ECDSA_CIPHER,
    "an impossible cipher": "only=TLSv1_2;ciphers=" + RSA_CIPHER,
    "ALPN": "alpn=http/1.1",
    "a certificate": "certificate=client",
    "a list that revokes it": "crl=crl-of-ecdsa.pem",
    "a list that revokes another": "crl=crl.pem",
    "the right fingerprint": "fingerprint=sha256$%(fingerprint)s",
    "a wrong fingerprint": "fingerprint=sha256$" + "0" * 64,
    "a callback": "callback=watch",
    "a callback that accepts": "callback=accept",
    "a callback that accepts, another authority": "callback=accept;ca=other-ca.pem",
    "a callback that rejects": "callback=reject",
    "a callback that rejects the leaf": "callback=reject-leaf",
}

CURL = {
    "another authority": "ca=other-ca.pem",
    "both authorities": "ca=both-cas.pem",
    "unverified": "verify=none",
    "unverified, another authority": "verify=none;ca=other-ca.pem",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "another good name": "name=name.test",
    "a list that revokes it": "crl=crl-of-ecdsa.pem",
    "a list that revokes another": "crl=crl.pem",
    "TLS 1.2": "only=1.2",
    "TLS 1.3": "only=1.3",
    "one cipher": "only=1.2;ciphers=" + ECDSA_CIPHER,
    "an impossible cipher": "only=1.2;ciphers=" + RSA_CIPHER,
    "one suite": "suites=TLS_CHACHA20_POLY1305_SHA256",
    "other groups": "groups=P-384",
    "the right pin": "pin=sha256//%(pin)s",
    "a wrong pin": "pin=sha256//" + base64.b64encode(bytes(32)).decode(),
    "a wrong pin, unverified": "verify=none;pin=sha256//" + base64.b64encode(bytes(32)).decode(),
    "a certificate": "certificate=client",
    "no ALPN": "alpn=no",
    "no sessions": "sessions=no",
    "a staple wanted": "staple=1",
    "information wanted": "info=1",
    "one handle": "shared=1",
    "one handle, another authority": "shared=1;ca=other-ca.pem",
    "one handle, unverified": "shared=1;verify=none",
}

OPENSSL = {
    "another authority": "ca=other-ca.pem",
    "unverified": "verify=none",
    "unverified, another authority": "verify=none;ca=other-ca.pem",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "another good name": "name=name.test",
    "two names": "name=wrong.test;host=localhost",
    "no SNI": "sni=no",
    "a callback": "callback=watch",
    "a callback that accepts": "callback=accept",
    "a callback that accepts, another authority": "callback=accept;ca=other-ca.pem",
    "a callback that rejects": "callback=reject",
    "a callback that rejects the leaf": "callback=reject-leaf",
    "a callback that rejects the authority": "callback=reject-authority",
    "a callback that fetches": "callback=fetch",
    "a callback that fetches, another authority": "callback=fetch;ca=other-ca.pem",
    "a whole verification of its own": "whole=verify",
    "... that accepts": "whole=accept",
    "... that accepts, another authority": "whole=accept;ca=other-ca.pem",
    "... that rejects": "whole=reject",
    "a list that revokes it": "crl=crl-of-ecdsa.pem",
    "a list that revokes another": "crl=crl.pem",
    "no depth": "depth=0",
    "in a year": "days=365",
    "a year ago": "days=-365",
    "strict": "strict=1",
    "partial chain": "partial=1;ca=ecdsa.pem",
    "partial chain of another": "partial=1;ca=rsa.pem",
    "another purpose": "purpose=client",
    "a level for certificates": "auth_level=4",
    "a level for all": "level=4",
    "DANE": "dane=ecdsa",
    "DANE of another": "dane=rsa",
    "DANE, another authority": "dane=ecdsa;ca=other-ca.pem",
    "TLS 1.2": "only=1.2",
    "TLS 1.3": "only=1.3",
    "one cipher": "only=1.2;ciphers=" + ECDSA_CIPHER,
    "an impossible cipher": "only=1.2;ciphers=" + RSA_CIPHER,
    "one suite": "suites=TLS_CHACHA20_POLY1305_SHA256",
    "other groups": "groups=P-384",
    "other signatures": "signatures=ECDSA+SHA256:RSA-PSS+SHA256",
    "impossible signatures": "signatures=RSA-PSS+SHA256",
    "ALPN": "alpn=http/1.1",
    "ALPN with h2": "alpn=h2",
    "a certificate": "certificate=client",
    "a stranger's certificate": "certificate=stranger",
    "asked for a certificate": "ask=1",
    "reads ahead": "read_ahead=1",
    "no tickets": "no_ticket=1",
    "no middlebox compatibility": "no_compat=1",
    "the time in the hello": "hello_time=1",
    "post-handshake authentication": "pha=1",
    "keylog": "keylog=1",
    "watched": "watch=1",
    "sessions watched": "watch_sessions=1",
    "a staple wanted": "staple=1",
    "a staple demanded": "staple=demand",
    "keying material": "export=1",
}

GNUTLS = {
    "another authority": "ca=other-ca.pem",
    "both authorities": "ca=both-cas.pem",
    "unverified": "verify=none",
    "unverified, another authority": "verify=none;ca=other-ca.pem",
    "name unchecked": "check=no",
    "wrong name": "name=wrong.test",
    "wrong name, unchecked": "name=wrong.test;check=no",
    "another good name": "name=name.test",
    "no SNI": "sni=no",
    "a list that revokes it": "crl=crl-of-ecdsa.pem",
    "a list that revokes another": "crl=crl.pem",
    "a callback": "callback=verify",
    "a callback that accepts": "callback=accept",
    "a callback that accepts, another authority": "callback=accept;ca=other-ca.pem",
    "a callback that rejects": "callback=reject",
    "TLS 1.2": "priority=NORMAL:-VERS-ALL:+VERS-TLS1.2",
    "TLS 1.3": "priority=NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "one cipher": "priority=NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305",
    "an impossible signature": "priority=NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256",
    "other groups": "priority=NORMAL:-GROUP-ALL:+GROUP-SECP384R1",
    "no tickets": "priority=NORMAL:%%NO_TICKETS",
    "compatible": "priority=NORMAL:%%COMPAT",
    "ALPN": "alpn=http/1.1",
    "ALPN that must be": "alpn=h2;mandatory=1",
    "a certificate": "certificate=client",
    "no depth": "depth=0",
    "time ignored": "time=ignored",
}

SERVERS = (("either version", []), ("TLS 1.2", ["--max=1.2"]), ("a certificate asked for", ["--ask"]),
           ("a certificate asked for later", ["--ask-later"]))


def facts():
    """Of the leaf: what pins and fingerprints are made of."""
    with open(servers.certificate("ecdsa.pem")) as pem:
        leaf = ssl.PEM_cert_to_DER_cert(pem.read())
    key = subprocess.run("openssl x509 -in '%s' -noout -pubkey | openssl pkey -pubin -outform DER" % servers.certificate("ecdsa.pem"), shell=True,
                         check=True, stdout=subprocess.PIPE).stdout
    return {"fingerprint": hashlib.sha256(leaf).hexdigest(), "pin": base64.b64encode(hashlib.sha256(key).digest()).decode()}


def steps_of(table):
    """[(label of the pair, settings of its first, settings of its second)]"""
    about, pairs = facts(), [("usual, usual", "", "")]
    for name, settings in table.items():
        settings = settings % about
        pairs += [("usual, then " + name, "", settings), (name + ", then usual", settings, ""), (name + ", twice", settings, settings)]
    return pairs


def lines_of(outcome):
    """{label of a step: what it printed}"""
    text = secure.plain(outcome.output).decode("utf-8", "backslashreplace")
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def judge(title, server, command, table, each):
    pairs = steps_of(table)
    steps = "".join("%d.%d|%s\n" % (number, turn, settings) for number, (_, *both) in enumerate(pairs) for turn, settings in enumerate(both))
    if each:
        command = ["sh", "-c", 'while read -r step; do printf "%s\\n" "$step" | "$@"; done', "sh", *command]
    with World() as world:
        pair = secure.run_pair(server, command, 300, steps.encode(), world)
    bare, subject = lines_of(pair.bare), lines_of(pair.subject)
    for number, (label, _, _) in enumerate(pairs):
        keys = ["%d.%d" % (number, turn) for turn in (0, 1)]
        is_same = all(key in bare and bare[key] == subject.get(key) for key in keys)
        tally.expect("%s: %s" % (title, label), is_same, "".join("\n    bare    %s\n    subject %s" % (
            bare.get(key, "nothing"), subject.get(key, "nothing")) for key in keys if key not in bare or bare[key] != subject.get(key)))
    tally.expect(title + ": requests", pair.stats["requests"] == pair.bare_stats["requests"],
                 pair.text())
    tally.expect(title + ": reuses", pair.stats["connections"] < pair.bare_stats["connections"], "%s, bare %s" % (
        secure.counted(pair.stats), secure.counted(pair.bare_stats)), "%d connections, bare %d" % (
            pair.stats["connections"], pair.bare_stats["connections"]))


def run(name, command, table, missing=None):
    """With the first server; in long runs also as a process for each step, and with all servers."""
    if missing:
        tally.skip(name, missing)
        return
    for kind, options in SERVERS if harness.HEAVY else SERVERS[:1]:
        for by_each in [False, True] if harness.HEAVY and not options else [False]:
            with servers.TlsServer(*options) as server:
                title = "%s, %s%s" % (name, kind, ", a process each" if by_each else "")
                judge(title, server, [*command, servers.certificates(), "127.0.0.1", str(server.port)], table, by_each)


def client(name):
    return os.path.join(programs.FOLDER, name)


def needs(*what):
    return programs.Program("", "", None, needs=what[0], probe=what[1] if len(what) > 1 else None).missing()


def build(name, *flags):
    """None where what it needs is not there."""
    try:
        return programs.build(name, *flags)
    except subprocess.CalledProcessError:
        return None


def run_built(name, program, table):
    run(name, [program], table, None if program else "its library is not installed, or not its headers")


def test_python_matrix():
    run("python", [harness.PYTHON, client("matrix.py"), "socket"], PYTHON)


def test_python_memory_matrix():
    run("python, memory BIOs", [harness.PYTHON, client("matrix.py"), "memory"], PYTHON)


def test_php_matrix():
    run("php", ["php", client("matrix.php")], PHP, needs("php"))


def test_perl_matrix():
    run("perl", ["perl", client("matrix.pl")], PERL, needs("perl", ["perl", "-MIO::Socket::SSL", "-e", "1"]))


def test_curl_matrix():
    run_built("libcurl", build("matrix_curl", "-lcurl"), CURL)


def test_openssl_matrix():
    run_built("libssl", build("matrix_openssl", "-lssl", "-lcrypto"), OPENSSL)


def test_gnutls_matrix():
    run_built("libgnutls", build("matrix_gnutls", "-lgnutls"), GNUTLS)
