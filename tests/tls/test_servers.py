"""Servers of all kinds: groups, keys, suites, tickets, chains. The same bytes as bare; one connection, or none reused
where a connection is none to be kept."""
import harness
import programs
import secure
import servers
from secure import ca, compare
from suite import tally

PATHS = ["/bytes/10", "/chunked/5000", "/bytes/1024"]
CLIENTS = "python urllib", "python asyncio streams", "php file_get_contents", "libcurl easy", "loop of curl", "loop of wget"
# Their defaults offer all that old servers want.
TOLERANT = "libcurl easy", "loop of curl", "loop of wget"
ONE = "python urllib",


def with_clients(kind, server, names=CLIENTS, **expected):
    for program in programs.LIST:
        if program.name in names and not program.missing():
            most = None if expected.get("native") else program.most
            compare("%s, %s" % (program.name, kind), server, program.command(ca(), [server.url(path) for path in PATHS]), most, timeout=60, **expected)


# (what, options, OpenSSL's settings)
GOOD = (
    ("a retry to P-256", [], "Groups = P-256"),
    ("a retry to P-384", [], "Groups = P-384"),
    ("a retry to P-521", [], "Groups = P-521"),
    ("a retry to X448", [], "Groups = X448"),
    ("P-384, TLS 1.2", ["--max=1.2"], "Groups = P-384"),
    ("RSA", ["--certificate=rsa"], ""),
    ("RSA, TLS 1.2", ["--certificate=rsa", "--max=1.2"], ""),
    ("a chain", ["--certificate=chain"], ""),
    ("a deep chain", ["--certificate=deep"], ""),
    ("a deep chain, TLS 1.2", ["--certificate=deep", "--max=1.2"], ""),
    ("no tickets", ["--no-tickets"], ""),
    ("no tickets, TLS 1.2", ["--no-tickets", "--max=1.2"], ""),
    ("many tickets", [], "NumTickets = 8"),
    ("no extended master secret", ["--no-ems", "--max=1.2"], ""),
    ("AES-128, TLS 1.3", [], "Ciphersuites = TLS_AES_128_GCM_SHA256"),
    ("ChaCha20, TLS 1.3", [], "Ciphersuites = TLS_CHACHA20_POLY1305_SHA256"),
    ("AES-128, TLS 1.2", ["--max=1.2", "--ciphers=ECDHE-ECDSA-AES128-GCM-SHA256"], ""),
    ("AES-256, TLS 1.2", ["--max=1.2", "--ciphers=ECDHE-ECDSA-AES256-GCM-SHA384"], ""),
    ("ChaCha20, TLS 1.2", ["--max=1.2", "--ciphers=ECDHE-ECDSA-CHACHA20-POLY1305"], ""),
    ("HTTP/1.1 by ALPN", ["--alpn=http/1.1"], ""),
    ("slow answers", ["--slow=30"], ""),
    ("a certificate that is wished for", ["--ask"], ""),
    ("... TLS 1.2", ["--ask", "--max=1.2"], ""),
)


def test_kinds():
    for kind, options, settings in GOOD:
        with servers.TlsServer(*options, settings=settings) as server:
            with_clients(kind, server, CLIENTS if harness.HEAVY else ONE)


def test_dhe():
    options = ["--max=1.2", "--certificate=rsa", "--ciphers=DHE-RSA-AES128-GCM-SHA256", "--dh=" + servers.dh_parameters()]
    with servers.TlsServer(*options) as server:
        with_clients("DHE", server, TOLERANT)


def test_not_kept():
    """Key exchange by RSA, and CBC: such connections are left alone."""
    for kind, ciphers in (("RSA key exchange", "AES128-GCM-SHA256:AES256-GCM-SHA384"), ("CBC", "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA")):
        with servers.TlsServer("--max=1.2", "--certificate=rsa", "--ciphers=" + ciphers) as server:
            with_clients(kind, server, TOLERANT, native=True)


def test_long_chains():
    """Handshakes that may be too long to be recorded, and one that is more than libssl takes: the program's own error."""
    with servers.TlsServer("--certificate=long") as server:
        for program in programs.LIST:
            if program.name in CLIENTS and not program.missing():
                compare("%s, a chain of 90 KB" % program.name, server, program.command(ca(), [server.url(path) for path in PATHS]), timeout=60)
    with servers.TlsServer("--certificate=excessive") as server:
        with_clients("a chain of 150 KB", server, works=False, native=True)


def test_ml_kem():
    """OpenSSL 3.5 has it."""
    with servers.TlsServer() as server:
        command = ["openssl", "s_client", "-groups", "X25519MLKEM768", "-connect", "localhost:%d" % server.port]
        outcome = secure.harness.run(command, False, 10, b"")
    if outcome.status != 0:
        tally.skip("ML-KEM", "this OpenSSL has none")
        return
    with servers.TlsServer(settings="Groups = X25519MLKEM768") as server:
        with_clients("ML-KEM", server, ("python urllib", "loop of curl"))
