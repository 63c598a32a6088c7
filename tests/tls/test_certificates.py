"""Verdicts on certificates that change between two requests: as bare, in one process and over processes."""
import concurrent.futures
import contextlib
import os
import signal
import time

import harness
import programs
import servers
from secure import CA, ca, compare
from suite import tally

URLLIB = os.path.join(programs.FOLDER, "urllib_step.py")


def steps(*words):
    """urllib, one process for all: a URL is fetched, `until:SECONDS` waits until that time, `run:COMMAND` runs one."""
    return [harness.PYTHON, URLLIB, ca(), *words]


def loop(line, *words):
    """A process for each word: a URL is fetched by `line`, others are as in steps()."""
    return ["sh", "-c", 'for word; do case $word in https:*) URL=$word; %s; echo "status $?";; until:*) '
                        'while [ "$(date +%%s)" -lt "${word#*:}" ]; do sleep 0.1; done;; run:*) eval "${word#*:}";; esac; done' % line, "sh", *words]


CURL = 'curl -sS --cacert %s "$URL"'
WGET = 'wget -q -O - --ca-certificate=%s "$URL"'
PHP = 'php %s/file_get_contents.php %%s "$URL"' % programs.FOLDER


def ways(*words):
    """[(name, command)] of the ways to make these steps; the first N_WAYS are for short runs."""
    return [("urllib", steps(*words)), ("loop of curl", loop(CURL % ca(), *words)), ("loop of wget", loop(WGET % ca(), *words)),
            ("loop of php", loop(PHP % ca(), *words))][:N_WAYS]


N_WAYS = 4 if harness.HEAVY else 2


def test_wrong():
    """Certificates that a program refuses, twice and after a good one."""
    for name in "expired", "future", "misnamed", "other":
        with servers.TlsServer("--certificate=" + name) as server:
            for way, command in ways(server.url("/bytes/10"), server.url("/bytes/10")):
                compare("%s: %s" % (name, way), server, command, works=False)
        with servers.TlsServer() as server:
            use = "run:curl -s 'http://127.0.0.1:%d/set?certificate=%%s' >/dev/null" % server.control
            url = server.url("/bytes/10")
            for way, command in ways(url, use % name, "run:curl -s http://127.0.0.1:%d/close >/dev/null" % server.control, url, use % "ecdsa", url):
                compare("%s after a good one: %s" % (name, way), server, command, works=False)


def test_other_leaf():
    """A server that renews its certificate: new connections get the new one, kept ones have the old."""
    with servers.TlsServer() as server:
        use = "run:curl -s 'http://127.0.0.1:%d/set?certificate=%%s' >/dev/null" % server.control
        for way, command in ways(server.url("/bytes/10"), use % "rsa", server.url("/bytes/1024"), use % "chain", server.url("/chunked/5000"), use % "ecdsa"):
            compare("another leaf: " + way, server, command)


def test_several_leaves():
    """Servers behind one name, each with a certificate of its own: also what may not be sent twice, and what a dead connection had, is answered."""
    for options in ((), ("--idle=0.05",)):
        with servers.TlsServer("--also=rsa", *options) as server:
            urls = [server.url("/bytes/10"), "post:" + server.url("/echo")] * 8
            command = [harness.PYTHON, os.path.join(programs.FOLDER, "urllib_pause.py"), ca(), "100" if options else "0", *urls]
            pair = compare("several leaves, %s" % (options or "kept"), server, command, timeout=60)
            tally.expect("several leaves, %s: posts" % (options or "kept"), pair.stats["posts"] == 8, pair.text())
            loop = programs.shell('curl -sS --cacert "$CA" "$URL"; curl -sS --cacert "$CA" -d abc "$URL"')
            compare("several leaves, %s, loops" % (options or "kept"), server, loop(ca(), [server.url("/echo")] * 8), timeout=60)


def side_by_side(function, cases):
    """Calls it for each case, in threads: they wait for most of their time."""
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as executor:
        list(executor.map(function, cases))


def test_expired_since():
    """A leaf that is valid for some seconds: the request after that is refused, though the connection is kept."""
    def judge(way):
        name = "short-%d-%d" % (os.getpid(), way)

        def renew():
            servers.make("leaf", name, -10, 6)
            server.use_certificate(name)
        with servers.TlsServer() as server:
            url = server.url("/bytes/10")
            # A shell's word, so that both runs have the same arguments: the time is that of the certificate's end.
            end = '$(date -d "$(openssl x509 -enddate -noout -in %s | cut -d= -f2)" +%%s)' % servers.certificate(name + ".pem")
            label, command = ways(url, url, "until:END", url)[way]
            command = ["sh", "-c", 'end=%s; end=$((end + 2)); for word; do shift; case $word in *until:END) word=until:$end;; esac; set -- "$@" "$word"; '
                                   'done; exec "$@"' % end, "sh", *command]
            pair = compare("expired since: " + label, server, command, works=False, reuses=True, between=renew)
            tally.expect("expired since: %s: refused bare" % label, pair.bare_stats["requests"] == 2, pair.text())
    side_by_side(judge, range(N_WAYS))


def test_authority_changed():
    """The same request with other authorities, after one that was accepted, and back."""
    with servers.TlsServer() as server:
        url = server.url("/bytes/10")
        for other in "other-ca.pem", "no-ca.pem":
            for name, program in (("curl", CURL), ("wget", WGET), ("php", PHP)):
                line = "case $URL in */1024) %s;; *) %s;; esac" % (program % servers.certificate(other), program % ca())
                compare("%s: %s" % (other, name), server, loop(line, url, server.url("/bytes/1024"), url), works=False, reuses=True)


def test_both_changed():
    """A server moves to another authority, and so does the program: a kept connection still has the old certificate."""
    with servers.TlsServer() as server:
        use = "run:curl -s 'http://127.0.0.1:%d/set?certificate=%%s' >/dev/null" % server.control
        url, second = server.url("/bytes/10"), server.url("/bytes/1024")
        for name, program in (("curl", CURL), ("wget", WGET), ("php", PHP)):
            line = "case $URL in */1024) %s;; *) %s;; esac" % (program % servers.certificate("other-ca.pem"), program % ca())
            pair = compare("both changed: " + name, server, loop(line, url, use % "other", second, second, use % "ecdsa", url))
            tally.expect("both changed: %s: accepted bare" % name, pair.bare_stats["requests"] == 4, pair.text())


def test_revoked_since():
    """A list of revocations that is there at the second request."""
    with servers.TlsServer() as server:
        url = server.url("/bytes/10")
        for name, line in (("curl", 'curl -sS --cacert %s --crlfile $LIST "$URL"'), ("wget", 'wget -q -O - --ca-certificate=%s --crl-file=$LIST "$URL"')):
            line = 'case $URL in */1024) LIST=%s;; *) LIST=%s;; esac; %s' % (
                servers.certificate("crl-of-ecdsa.pem"), servers.certificate("crl-empty.pem"), line % ca())
            compare("revoked since: " + name, server, loop(line, url, server.url("/bytes/1024"), url), works=False, reuses=True)


STAPLING = "ssl_stapling on; ssl_stapling_file %s;"


def test_staples():
    """Answers of the authority that the server sends along: good, expired, revoked, none."""
    if not harness.find_nginx():
        tally.skip("staples", "nginx is not installed")
        return
    # curl asks only about a leaf whose issuer is sent along.
    for leaf, staple in (("ecdsa", "ecdsa.ocsp"), ("ecdsa", "ecdsa-expired.ocsp"), ("ecdsa", None), ("must-staple", "must-staple.ocsp"), ("must-staple", None),
                         ("chain", "chain.ocsp"), ("chain", "chain-expired.ocsp"), ("chain", "chain-revoked.ocsp")):
        more = STAPLING % servers.certificate(staple) if staple else ""
        # What nginx sends is in the file until the worker reads it again.
        for protocols in ("TLSv1.3", "TLSv1.2") if harness.HEAVY else ("TLSv1.3",):
            with servers.TlsNginx(leaf, protocols, more=more) as server:
                url = server.url("/bytes/10")
                for name, line in (("curl --cert-status", "curl --cert-status -sS --cacert %s $URL"), ("curl", CURL), ("wget", WGET)):
                    compare("%s with %s, %s: %s" % (leaf, staple or "no staple", protocols, name), server, loop(line % ca(), url, url, url), works=False)


def test_staple_expired_since():
    """A staple that is valid for some seconds; curl lets each be 300 s older. A long test."""
    if not harness.HEAVY:
        return
    if not harness.find_nginx():
        tally.skip("staple expired since", "nginx is not installed")
        return

    def judge(case):
        name, line, end, file, server = case

        def renew():
            servers.make("staple", "chain", file, "GOOD", -1000, end)
            os.kill(server.process.pid, signal.SIGHUP)  # nginx reads the file again
            time.sleep(0.5)
        url = server.url("/bytes/10")
        pair = compare("staple expired since: " + name, server, loop(line % ca(), url, url, "run:sleep 7", url), works=False, reuses=True,
                       between=renew)
        tally.expect("staple expired since: %s: refused bare" % name, pair.bare_stats["requests"] == 2, pair.text())
    with contextlib.ExitStack() as stack:
        cases = []
        for name, line, end in (("curl", "curl --cert-status -sS --cacert %s $URL", -294), ("wget", WGET, 6)):
            file = "short-%d-%s.ocsp" % (os.getpid(), name)
            servers.make("staple", "chain", file, "GOOD", -1000, end)
            cases.append((name, line, end, file, stack.enter_context(servers.TlsNginx("chain", more=STAPLING % servers.certificate(file)))))
        side_by_side(judge, cases)


def test_bundles():
    """More authorities than one, and their order, are no reason to refuse."""
    with servers.TlsServer() as server:
        url = server.url("/bytes/10")
        both, one = servers.certificate("both-cas.pem"), servers.certificate(CA)
        for name, program in (("curl", CURL), ("wget", WGET), ("php", PHP)):
            line = "case $URL in */1024) %s;; *) %s;; esac" % (program % both, program % one)
            compare("two bundles: " + name, server, loop(line, url, server.url("/bytes/1024"), url), 1)
