"""Real programs, and how each makes fresh HTTPS requests one after the other and prints the bodies."""
import functools
import os
import shutil
import subprocess

import harness
import servers
from harness import PYTHON

FOLDER = os.path.join(servers.HERE, "clients")
ANY = None


class Program:
    """`command(ca, urls)`. `most`: connections that all its requests may take with reuse; None: as many as it wants.
    `library`: whose TLS it is; "memory": OpenSSL's on memory BIOs, "both": OpenSSL's and GnuTLS's. `needs`: a program that must be there; `probe`: a command that then succeeds."""

    def __init__(self, name, library, command, most=1, needs=PYTHON, probe=None, each=False):
        self.name, self.library, self.command, self.most, self.needs, self.probe = name, library, command, most, needs, probe
        self.each = each  # a process for each request

    def missing(self):
        if not self.needs or not shutil.which(self.needs):
            return "%s is not installed" % (self.needs or "what it needs")
        if self.probe and harness.run(self.probe, False).status:
            return "its library is not installed"
        return None


def script(*interpreter):
    """INTERPRETER... NAME CA URL..."""
    return lambda ca, urls: [*interpreter[:-1], os.path.join(FOLDER, interpreter[-1]), ca, *urls]


@functools.lru_cache(None)
def build(name, *flags):
    return harness.compile_program("tls-" + name, ["tests/tls/clients/%s.c" % name], flags)


def built(name, flags, *arguments):
    """A program in C."""
    return lambda ca, urls: [build(name, *flags), *arguments, ca, *urls]


@functools.lru_cache(None)
def build_go():
    source, path = os.path.join(FOLDER, "https_get.go"), os.path.join(harness.BUILD, "tls-https_get")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        environment = dict(harness.environment(False), GOCACHE=os.path.join(harness.BUILD, "go-cache"), GOPROXY="off", GOFLAGS="", GO111MODULE="off",
                           CGO_ENABLED="0")
        subprocess.run(["go", "build", "-o", path, source], check=True, env=environment)
    return path


def shell(line):
    """A process for each URL: `line` has $CA and $URL."""
    return lambda ca, urls: ["sh", "-c", 'CA=$1; shift; for URL; do %s || exit; done' % line, "sh", ca, *urls]


def imports(module):
    return [PYTHON, "-c", "import " + module]


S_CLIENT = ('printf "GET %s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" "/${URL#*://*/}" | '
            'openssl s_client -quiet -ign_eof -verify_return_error -CAfile "$CA" -servername localhost -connect "$(echo "$URL" | cut -d/ -f3)" 2>/dev/null')
LIBCURL, LIBSSL = ("-lcurl",), ("-lssl", "-lcrypto")

# The first ten are the cases that other work begins with.
LIST = [
    Program("python urllib", "openssl", script(PYTHON, "urllib_own.py")),
    Program("python urllib, one context", "openssl", script(PYTHON, "urllib_shared.py")),
    Program("python http.client", "openssl", script(PYTHON, "http_client.py"), most=ANY),
    # Python 3.13 drops the former connection after it has made the next.
    Program("python requests", "openssl", script(PYTHON, "requests_get.py"), most=2, probe=imports("requests")),
    Program("python aiohttp", "memory", script(PYTHON, "aiohttp_get.py"), probe=imports("aiohttp")),
    Program("python asyncio streams", "memory", script(PYTHON, "asyncio_streams.py")),
    Program("python memory BIOs", "memory", script(PYTHON, "memory_bio.py")),
    Program("pyOpenSSL", "openssl", script(PYTHON, "pyopenssl.py"), most=ANY, probe=imports("OpenSSL")),
    Program("php file_get_contents", "openssl", script("php", "file_get_contents.php"), needs="php"),
    Program("php curl", "openssl", script("php", "curl.php"), needs="php", probe=["php", "-r", "exit(!function_exists('curl_init'));"]),
    Program("php fopen, feof", "openssl", script("php", "fopen_feof.php"), needs="php"),
    Program("perl LWP", "openssl", script("perl", "lwp.pl"), needs="perl", probe=["perl", "-MLWP::Protocol::https", "-e", "1"]),
    Program("perl IO::Socket::SSL", "openssl", script("perl", "io_socket_ssl.pl"), needs="perl", probe=["perl", "-MIO::Socket::SSL", "-e", "1"]),
    Program("ruby Net::HTTP", "openssl", script("ruby", "net_http.rb"), needs="ruby"),
    Program("ruby open-uri", "openssl", script("ruby", "open_uri.rb"), needs="ruby"),
    Program("libcurl easy", "openssl", built("libcurl_easy", LIBCURL), needs="curl-config"),
    Program("libcurl multi", "openssl", built("libcurl_multi", LIBCURL), needs="curl-config"),
    Program("curl", "openssl", lambda ca, urls: ["curl", "-sS", "-H", "Connection: close", "--cacert", ca, *urls], needs="curl"),
    Program("curl, keep-alive", "openssl", lambda ca, urls: ["curl", "-sS", "--cacert", ca, *urls], needs="curl"),
    Program("pycurl and urllib", "both", script(PYTHON, "pycurl_and_urllib.py"), most=2, probe=imports("pycurl")),
    Program("openssl: SSL_write first", "openssl", built("openssl_direct", LIBSSL, "write"), most=ANY, needs=harness.CC),
    Program("openssl: BIO_new_ssl_connect", "openssl", built("openssl_direct", LIBSSL, "bio"), most=ANY, needs=harness.CC),
    Program("openssl: two BIOs", "openssl", built("openssl_direct", LIBSSL, "rbio"), most=ANY, needs=harness.CC),
    Program("openssl: BIO pairs", "memory", built("openssl_direct", LIBSSL, "pairs"), most=ANY, needs=harness.CC),
    Program("openssl: kernel TLS wanted", "openssl", built("openssl_direct", LIBSSL, "ktls"), most=ANY, needs=harness.CC),
    Program("node", "own", script("node", "agent_false.js"), most=ANY, needs="node"),
    Program("go", "own", lambda ca, urls: [build_go(), ca, *urls], most=ANY, needs="go"),
    # A process for each request.
    Program("loop of curl", "openssl", shell('curl -sS --cacert "$CA" "$URL"'), needs="curl", each=True),
    Program("loop of python", "openssl", shell('%s %s/urllib_own.py "$CA" "$URL"' % (PYTHON, FOLDER)), each=True),
    Program("loop of php", "openssl", shell('php %s/file_get_contents.php "$CA" "$URL"' % FOLDER), needs="php", each=True),
    Program("loop of perl", "openssl", shell('perl %s/lwp.pl "$CA" "$URL"' % FOLDER), needs="perl", each=True,
            probe=["perl", "-MLWP::Protocol::https", "-e", "1"]),
    Program("loop of wget", "gnutls", shell('wget -q -O - --ca-certificate="$CA" "$URL"'), needs="wget", each=True),
    Program("loop of s_client", "openssl", shell(S_CLIENT), most=ANY, needs="openssl", each=True),
    Program("curl --tcp-fastopen", "openssl", shell('curl -sS --tcp-fastopen --cacert "$CA" "$URL"'), most=ANY, needs="curl", each=True),
]


def ls_remote(ca, url):
    """git, three times."""
    return ["sh", "-c", 'for i in 1 2 3; do GIT_SSL_CAINFO=$1 git ls-remote "$2" || exit; done', "sh", ca, url]
