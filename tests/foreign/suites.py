"""Which foreign test suites are run, how each is built, and how its verdicts are read.

A suite is a list of jobs, each a command that runs one or many cases. What a suite leaves out, it says why.
"""
import dataclasses
import glob
import os
import typing

import harness
import sources
import verdicts

PYTHON = harness.python()
# Suites of their own trees are built without sanitizers and warnings, by the system's compiler.
BUILD_SETTINGS = {"CFLAGS": "-O1 -w", "CXXFLAGS": "-O0 -w", "MAKEFLAGS": "-s -j2"}
CMAKE = "mkdir -p b && cd b && cmake -DCMAKE_BUILD_TYPE=Release %s .. && make %s"


@dataclasses.dataclass
class Suite:
    name: str
    # Called with the tree: [(job, command)].
    jobs: typing.Callable
    read: typing.Callable
    package: str = ""
    build: str = ""
    folder: str = ""
    settings: dict = dataclasses.field(default_factory=dict)
    limit_s: int = 300
    n_at_once: int = 1
    # A variable that holds words put before the tested program, for a suite that clears the environment.
    wrapper: str = ""
    # Further settings for the shared world.
    shared: dict = dataclasses.field(default_factory=dict)
    # Whether the exit status of a job is a verdict of its own.
    status: bool = True
    # {case: reason} of differences that can't be avoided, each a known limit.
    limits: dict = dataclasses.field(default_factory=dict)

    def tree(self):
        """Where it runs, unpacked and built if it is not yet."""
        if not self.package:
            return harness.ROOT
        tree = sources.unpack(self.package)
        done = os.path.join(tree, ".holdline-built")
        if self.build and not os.path.exists(done):
            sources.build(tree, self.build, BUILD_SETTINGS)
            open(done, "w").close()
        return os.path.join(tree, self.folder)


def one(*command):
    return lambda tree: [("all", list(command))]


def each(pattern, *command, without=()):
    """A job a file; `without`: parts of the names of those left out."""
    return lambda tree: [(os.path.basename(path), [*command, os.path.relpath(path, tree)])
                         for path in sorted(glob.glob(os.path.join(tree, pattern))) if not any(word in path for word in without)]


def words(text, *command):
    return lambda tree: [(word, [*command, word]) for word in text.split()]


# The longest first, for several run at once. Left out: what neither opens a socket nor starts a process, of asyncio
# what is about its futures, queues and locks, and sockets of virtual machines (VSOCK), which wait forever for a peer in
# a namespace, also bare.
CPYTHON = """test_socket test_signal test_ssl test_imaplib test_xmlrpc test_subprocess test_asyncio.test_events
    test_asyncio.test_subprocess test_asyncio.test_unix_events test_asyncio.test_sock_lowlevel test_asyncio.test_sendfile
    test_asyncio.test_streams test_asyncio.test_server test_asyncio.test_base_events test_asyncio.test_selector_events
    test_asyncio.test_buffered_proto test_selectors test_poll test_threading test_ftplib test_poplib test_fork1 test_docxmlrpc
    test_os test_posix test_urllib2_localnet test_asyncore test_asynchat test_select test_epoll test_smtplib test_httpservers
    test_httplib test_urllib test_urllib2 test_socketserver test_wsgiref test_robotparser test_popen""".split()
# It lowers its soft limit and looks for open descriptors beyond: the connection to the broker is the first there.
LOWERED = "test_close_fds_when_max_fd_is_lowered"
CPYTHON_LIMITS = dict.fromkeys(["test_subprocess", "test_subprocess: %s (test.test_subprocess.POSIXProcessTestCase.%s)" % (LOWERED, LOWERED)],
                               "it looks beyond its limit of descriptors, where ours stand")
INSERTED = "its server looks at the bytes of an HTTP/1.0 request, which keep-alive is inserted into"
CURL_LIMITS = {"1 to 50: 47": INSERTED, "151 to 200: 181": INSERTED, "1050 to 1099: 1074": INSERTED,
               "1050 to 1099: 1078": "the server says keep-alive to HTTP/1.0 without being asked; the program sees close"}

LIST = [
    # The two that take longest begin first. The soft limit of descriptors is below the hard one, as on most machines:
    # where they are equal, ours stand among the program's.
    Suite("CPython", words(" ".join(CPYTHON), "sh", "-c", 'ulimit -Sn 1024; exec %s -m test -v --timeout 200 -i "*VSOCK*" "$0"' % PYTHON),
          verdicts.unittest, limit_s=240, n_at_once=4, limits=CPYTHON_LIMITS),
    # Cases of HTTP with numbers 1 to 200 and 1000 to 1099, with proxies, pipes and time-outs; the rest of 803 (of 1,587
    # of all protocols) would take the hour alone. runtests.pl leaves out what needs TLS, a name server or other
    # libraries.
    Suite("curl", lambda tree: [("%d to %d" % (first, first + 49), ["perl", "runtests.pl", "-a", "-n", "-am", *map(str, range(first, first + 50)),
                                                                  "HTTP", "!flaky", "!TLS", "!HTTPS", "!FTP"]) for first in (1, 51, 101, 151, 1000, 1050)],
          verdicts.curl, "curl",
          "./configure --quiet --without-ssl --disable-shared --disable-ldap --disable-manual --without-libpsl --without-brotli "
          "--without-zstd --without-nghttp2 --without-libidn2 --without-librtmp --without-libssh2 && make && make -C tests", "tests",
          limit_s=150, status=False, limits=CURL_LIMITS),
    # libevent itself disables the tests that wait for a late name server.
    Suite("libevent", one("b/bin/regress"), verdicts.tinytest, "libevent",
          CMAKE % ("-DEVENT__DISABLE_OPENSSL=ON -DEVENT__DISABLE_BENCHMARK=ON -DEVENT__DISABLE_SAMPLES=ON -DEVENT__LIBRARY_TYPE=STATIC", "regress")),
    # It refuses to be run by root: a user namespace gives us another number.
    Suite("libuv", one("unshare", "--user", "--map-user=1000", "--map-group=1000", "b/uv_run_tests"), verdicts.tap, "libuv1",
          CMAKE % ("-DLIBUV_BUILD_BENCH=OFF", "uv_run_tests"), status=False),
    # Its own server is another process, with a port of its own; without TLS, which is opaque to us.
    Suite("neon", words("socket session request auth basic redirect", "sh", "-c", './"$0"'), verdicts.neon, "neon27",
          "./configure --quiet --without-ssl --with-expat && make && make -C test socket session request auth basic redirect", "test",
          {"TEST_QUIET": "0", "SRCDIR": "."}),
    # Left out: what neither opens a descriptor nor starts a process, but burns a minute (locks, random numbers).
    Suite("APR", words("""testdup testenv testfile testfilecopy testfileinfo testdir testpipe testpoll testproc testprocmutex testshm
                       testsleep testsock testsockets testsockopt testtemp testthread testuser""", "./testall"), verdicts.abts, "apr",
          "./configure --quiet && make && make -C test", "test"),
    # Its Live tests ask name servers of the internet.
    Suite("c-ares", one("./arestest", "--gtest_filter=-*Live*:*Container*"), verdicts.googletest, "c-ares",
          "./configure --quiet --enable-tests --disable-shared && make && make -C test arestest", "test"),
    # Without Metalink and TLS, which are not built in. Each case has a server of one thread in the test's own process,
    # which waits at its end for the connection that the broker still keeps: for the idle timeout.
    Suite("wget", each("Test-*.py", PYTHON, without=("metalink", "https", "pinnedpubkey", "hsts")), verdicts.status_only, "wget",
          "./configure --quiet --without-ssl --disable-nls --disable-iri --without-libpsl && make -C lib && make -C src", "testenv",
          {"WGETRC": "/dev/null", "MAKE_CHECK": "True", "PYTHONPATH": ".", "WGET_PATH": "../../src/wget"}, 20,
          wrapper="VALGRIND_TESTS", shared={"HOLDLINE_IDLE_CONN_TIMEOUT": "500ms"}),
    # HTTP::Tiny, IO::Socket and libnet of the distribution, with the interpreter that is installed.
    Suite("Perl core", lambda tree: [job for folder in ("cpan/HTTP-Tiny", "dist/IO", "cpan/libnet", "cpan/Socket")
                                     for job in each(folder + "/t/*.t", "sh", "-c", 'cd "${0%%/t/*}" && perl -Ilib "t/${0##*/}"')(tree)],
          verdicts.tap, "perl", limit_s=60, n_at_once=2),
    Suite("LWP", each("t/*/*.t", "perl", "-Ilib"), verdicts.tap, "libwww-perl", limit_s=60, n_at_once=2),
    Suite("Ruby", words("test_http.rb test_http_request.rb test_httpheader.rb test_httpresponse.rb test_https_proxy.rb test_buffered_io.rb",
                        "sh", "-c", 'exec ruby -Itool/lib -Itest test/runner.rb -v --tty=no test/net/http/"$0"'), verdicts.ruby, "ruby3.1", limit_s=120),
    Suite("Ruby sockets", words("socket open-uri drb webrick", "sh", "-c", 'exec ruby -Itool/lib -Itest test/runner.rb -v --tty=no test/"$0"'),
          verdicts.ruby, "ruby3.1", limit_s=200),
    # Tests of Debian's version with the node that is installed. Without TLS and HTTP/2.
    Suite("Node http", each("test/parallel/test-http-*.js", "node", without=("http2",)), verdicts.status_only, "nodejs", limit_s=8, n_at_once=3),
    Suite("PHP http", one("php", "run-tests.php", "-q", "--no-color", "--no-progress", "--offline", "-p", "/usr/bin/php", "ext/standard/tests/http", "ext/curl/tests"),
          verdicts.php, "php8.2", settings={"TEST_PHP_EXECUTABLE": "/usr/bin/php", "NO_INTERACTION": "1"}, limit_s=150, status=False,
          limits={"all: ext/standard/tests/http/ghsa-hgf5-96fm-v528-00%d.phpt" % n: "its server looks for the bytes of `Connection: close`" for n in (2, 3)}),
]
