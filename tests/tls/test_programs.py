"""Unmodified programs, each with fresh HTTPS requests: the same bytes as bare, and as few connections as the table
says (programs.py)."""
import os
import shutil
import tempfile

import harness
import programs
import secure
import servers
from secure import ca, compare, run_pair
from suite import tally

PATHS = ["/bytes/10", "/bytes/1024", "/chunked/5000", "/bytes/0", "/bytes/100000", "/bytes/10"]
FEW_PATHS = ["/bytes/10", "/bytes/1024", "/chunked/5000"]
# Those that a short run also tries where others are left to long ones.
FEW = "python urllib", "php file_get_contents", "libcurl easy", "loop of curl", "loop of wget"
STATIC_PATHS = ["/bytes/10", "/bytes/1024", "/bytes/100000", "/bytes/10"]


def run(server, kind, program, paths):
    name = "%s on %s" % (program.name, kind)
    reason = program.missing()
    if reason:
        tally.skip(name, reason)
        return
    compare(name, server, program.command(ca(), [server.url(path) for path in paths]), program.most, timeout=60)


def test_openssl():
    """Those with OpenSSL, TLS 1.3 and 1.2."""
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            for program in programs.LIST:
                if program.library in ("openssl", "memory") and (version == "1.3" or harness.HEAVY or program.name in FEW):
                    run(server, "TLS " + version, program, FEW_PATHS if program.each else PATHS)


def test_memory():
    """OpenSSL on memory BIOs, and what a program may do between its ClientHello and the answer. (Two handshakes at once
    are two connections.)"""
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            for way, most in (("plain", 1), ("read", programs.ANY), ("header", programs.ANY), ("peek", programs.ANY), ("names", 1), ("dup", 1), ("close", programs.ANY),
                              ("shutdown", programs.ANY), ("free", programs.ANY), ("epoll", 1), ("fork", programs.ANY), ("again", 1),
                              ("swapped", 2), ("drain", 1), ("whole", programs.ANY), ("count", 1), ("constant", programs.ANY), ("reader", programs.ANY),
                              ("waiter", programs.ANY)):
                program = programs.Program("memory, " + way, "openssl", programs.built("openssl_memory", programs.LIBSSL, way), most, needs=harness.CC)
                run(server, "TLS " + version, program, PATHS)


def test_gnutls():
    """Those with GnuTLS, or with both."""
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            for program in programs.LIST:
                if program.library in ("gnutls", "both"):
                    run(server, "TLS " + version, program, FEW_PATHS if program.each else PATHS)
            if shutil.which("git"):
                compare("git on TLS " + version, server, programs.ls_remote(ca(), server.url("/repository.git")), 1)


# Ways of gnutls_ways.c. Native: what is not followed, and a connection that is not kept.
GNUTLS_WAYS = "plain", "nonblock", "timeout", "object", "append", "judge", "judges", "later", "keylog", "small", "ticket", "ticket-hook"
GNUTLS_NATIVE = "hook", "log", "functions", "export", "fork"


def test_gnutls_ways():
    build = programs.built("gnutls_ways", ("-lgnutls", "-lpthread"))
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            urls = [server.url(path) for path in PATHS]
            for way in GNUTLS_WAYS + GNUTLS_NATIVE:
                command = build(ca(), urls)
                compare("GnuTLS on TLS %s: %s" % (version, way), server, [command[0], way, *command[1:]], 1 if way in GNUTLS_WAYS else None,
                        native=way in GNUTLS_NATIVE)
            # Its handshakes fail, or its first read.
            command = build(ca(), urls)
            pair = run_pair(server, [command[0], "ticket-refused", *command[1:]])
            tally.expect("GnuTLS on TLS %s: a ticket refused" % version, pair.is_same() and b"(4 1)" in pair.bare.output, pair.text())


# Settings of gnutls_settings.c. Native: what can't be repeated for another look at the program's ClientHello, or is the
# program's own part in a handshake.
SETTINGS_REUSED = "verify2", "sizes"
SETTINGS_NATIVE = "random", "secret", "alert", "id", "extension", "private", "supplement", "heartbeat", "wait", "errno", "nobody"


def test_gnutls_settings():
    build = programs.built("gnutls_settings", ("-lgnutls",))
    for version in "1.3", "1.2":
        with servers.TlsServer("--max=" + version) as server:
            urls = [server.url(path) for path in ("/bytes/10", "/bytes/20", "/bytes/30", "/bytes/40")]
            for setting in SETTINGS_REUSED + SETTINGS_NATIVE:
                command = build(ca(), urls)
                compare("GnuTLS on TLS %s, setting: %s" % (version, setting), server, [command[0], setting, *command[1:]],
                        1 if setting in SETTINGS_REUSED else None, native=setting in SETTINGS_NATIVE)
            # Each second certificate is refused: what is said below a repeated handshake reaches nobody.
            for setting in "refuse", "wrong-verify2":
                command = build(ca(), urls)
                name = "GnuTLS on TLS %s, setting: %s" % (version, setting)
                pair = compare(name, server, [command[0], setting, *command[1:]], reuses=True)
                tally.expect(name + ": ends", pair.stats["notified"] + pair.stats["cut"] == pair.stats["connections"], str(pair.stats))


def test_priority_file():
    """The system's settings of GnuTLS change between two processes: no recording is played to a program that would ask for something else."""
    with servers.TlsServer() as server, tempfile.TemporaryDirectory() as folder:
        for name, curve in ("a", ""), ("b", "disabled-curve = x25519\n"):
            with open(os.path.join(folder, name), "w") as settings:
                settings.write("[overrides]\n" + curve)
        line = 'for name in a a b b a b; do GNUTLS_SYSTEM_PRIORITY_FILE="$1/$name" wget -q -O - --ca-certificate="$2" "$3" || echo failed; done'
        compare("another priority file", server, ["sh", "-c", line, "sh", folder, ca(), server.url("/bytes/10")], reuses=True)


def test_own_libraries():
    """Programs that bring their TLS along stay native."""
    with servers.TlsServer() as server:
        for program in programs.LIST:
            if program.library == "own":
                run(server, "TLS 1.3", program, PATHS)


def test_nginx():
    if not harness.find_nginx():
        tally.skip("nginx", "not installed")
        return
    with servers.TlsNginx() as server:
        for program in programs.LIST:
            if harness.HEAVY or program.name in FEW:
                run(server, "nginx", program, STATIC_PATHS)


def test_apache():
    if not servers.find_apache():
        tally.skip("apache", "not installed")
        return
    with servers.TlsApache() as server:
        for program in programs.LIST:
            if harness.HEAVY or program.name in FEW:
                run(server, "apache", program, STATIC_PATHS)


def test_curl_verbose():
    """Each line that curl prints of its handshakes is the same. The length of an ECDSA signature is random, RSA's isn't.
    curl 8 says that a request is sent off, unless the answer is there first, and when it has read a record's first bytes."""
    line = 'for i in 1 2 3; do out=$(curl -sv --tls-max %s --cacert "$1" "$2" 2>&1) || exit; echo "$out" | sed "/Request completely sent off/d; /^{ .5 bytes data.$/d"; done'
    with servers.TlsServer("--certificate=rsa") as server:
        for version in "1.3", "1.2":
            url = server.url("/bytes/10")
            compare("curl -v, TLS " + version, server, ["sh", "-c", line % version, "sh", ca(), url], 1)


def test_h2():
    """A program that HTTP/2 is chosen for stays native."""
    if not harness.find_nginx():
        tally.skip("h2", "not installed")
        return
    with servers.TlsNginx(http2=True) as server:
        compare("h2: curl", server, ["sh", "-c", 'for i in 1 2 3; do curl -sS --cacert "$1" -w "%{http_version}\\n" "$2" || exit; done', "sh", ca(),
                                     server.url("/bytes/10")])
        # That offers HTTP/1.1 alone, at the same server.
        for program in programs.LIST:
            if program.name in ("python urllib", "php file_get_contents"):
                run(server, "a server with h2", program, STATIC_PATHS)


def test_h2_refused():
    """--tls-h2=refuse: such a program agrees on HTTP/1.1, and is reused; one that offers HTTP/2 alone is left alone."""
    if not harness.find_nginx():
        tally.skip("h2 refused", "not installed")
        return
    with servers.TlsNginx(http2=True) as server:
        loop = 'for i in 1 2 3; do curl -sS %s --cacert "$1" -w "%%{http_version}\\n" -o /dev/null "$2" || exit; done'
        pair = secure.run_pair(server, ["sh", "-c", loop % "", "sh", ca(), server.url("/bytes/10")], HOLDLINE_TLS_H2="refuse")
        tally.expect("h2 refused: curl", pair.bare.output == b"2\n" * 3 and pair.subject.output == b"1.1\n" * 3 and pair.stats["connections"] == 1, pair.text())
        pair = secure.run_pair(server, ["sh", "-c", 'for i in 1 2 3; do gnutls-cli --alpn=h2 --alpn=http/1.1 --x509cafile="$1" -p ${2##*:} localhost </dev/null | '
                                                    'grep -i "application protocol"; done', "sh", ca(), server.url("")], HOLDLINE_TLS_H2="refuse")
        if shutil.which("gnutls-cli"):
            tally.expect("h2 refused: GnuTLS", b"h2" in pair.bare.output and b"http/1.1" in pair.subject.output, pair.text())


def test_posts():
    """Methods that are never sent twice: the same answers, and each once."""
    with servers.TlsServer() as server:
        for size in 3, 20000, 300000:
            for name, post in ("curl", 'curl -sS --cacert "$1" --data-binary "@$body" "$2"'), (
                    "wget", 'wget -q -O - --ca-certificate="$1" --post-file="$body" "$2"'):
                line = 'body=$(mktemp); head -c %d /dev/zero >"$body"; for i in 1 2 3; do %s | md5sum; done; rm "$body"' % (size, post)
                pair = compare("posts of %d bytes, %s" % (size, name), server, ["sh", "-c", line, "sh", ca(), server.url("/echo")])
                tally.expect("posts of %d bytes, %s: each once" % (size, name), pair.stats["posts"] == 3, secure.counted(pair.stats))


def test_asked_later():
    """A server that asks for a certificate when the request has come: the answer holds for the program's own handshake only."""
    line = 'for path in bytes/10 later; do curl -sS --cacert "$1" --cert "$2" --key "$3" -d some "$4/$path" || echo "$?"; done'
    client = servers.certificate("client.pem"), servers.certificate("client.key")
    with servers.TlsServer("--ask-later") as server:
        compare("a certificate asked for later, curl", server, ["sh", "-c", line, "sh", ca(), *client, server.url("")])
    if not servers.find_apache():
        tally.skip("a certificate asked for later, apache", "not installed")
        return
    # In TLS 1.2 by another handshake.
    line = 'for data in "" "-d some"; do for path in bytes/1024 bytes/10; do curl -s --cacert "$1" $2 $data "$3/$path" || echo "$?"; done; done'
    with servers.TlsApache(more="SSLCACertificateFile %s\n<Location /bytes/10>\nSSLVerifyClient require\n</Location>" % ca()) as server:
        for version, options in ("1.3", "--tlsv1.3"), ("1.2", "--tls-max 1.2"):
            compare("a certificate asked for later, apache, TLS " + version, server,
                    ["sh", "-c", line, "sh", ca(), "%s --cert %s --key %s" % (options, *client), server.url("")], timeout=10)
        # The server may see a request twice, whose connection it has ended. Nobody waits.
        pair = run_pair(server, ["sh", "-c", line, "sh", ca(), options, server.url("")], timeout=10)
        tally.expect("a certificate asked for later, and there is none", pair.is_same(), pair.text()[:2000])


def test_ends():
    """Servers that end connections themselves: when they are idle, after some requests, with an alert or without."""
    for name, options in (("after each", ["--requests=1"]), ("after two", ["--requests=2"]), ("idle", ["--idle=0.05"]),
                          ("idle, no alert", ["--idle=0.05", "--abrupt"]), ("after each, no alert", ["--requests=1", "--abrupt"])):
        with servers.TlsServer(*options) as server:
            for program in programs.LIST:
                if program.name in ("python urllib", "python asyncio streams", "php file_get_contents", "libcurl easy", "loop of curl", "loop of wget"):
                    if not program.missing():
                        compare("%s, server closes %s" % (program.name, name), server,
                                program.command(ca(), [server.url(path) for path in FEW_PATHS]), timeout=60)


def test_plugin():
    """A plugin that is unloaded, with its library, while connections of its are kept: those are ended later."""
    for library, flags in ("gnutls", ["-lgnutls"]), ("openssl", ["-DPLUGIN_OPENSSL", "-lssl", "-lcrypto"]):
        plugin = harness.compile_program("tls-plugin-" + library, ["tests/tls/clients/plugin.c"], ["-shared", "-fPIC", *flags])
        for pool in "local", "shared":
            with servers.TlsServer() as server:
                command = programs.built("unloads", ("-ldl",), plugin)(ca(), [server.url("/bytes/10"), server.url("/bytes/20")])
                compare("plugin with %s, %s pool" % (library, pool), server, command, reuses=True, HOLDLINE_POOL=pool, HOLDLINE_IDLE_CONN_TIMEOUT="1s")


def test_observed():
    """Whoever only looks counts the same, whether HTTPS might be kept or not, and leaves it alone."""
    with servers.TlsServer() as server, tempfile.TemporaryDirectory() as folder:
        for tls in "off", "reuse":
            log = os.path.join(folder, tls)
            for _ in range(3):
                harness.run(["curl", "-s", "--cacert", ca(), server.url("/bytes/10")], True, HOLDLINE_MODE="observe", HOLDLINE_TLS=tls, HOLDLINE_LOG=log)
            with open(log) as file:
                lines = file.read().splitlines()
            tally.expect("observed with --tls=" + tls, sum(" reusable " in line and line.endswith(" tls") for line in lines) == 3, lines)
