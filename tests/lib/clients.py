"""The clients that are known to work, unmodified programs: how each is told to make its requests, one after the
other."""
import os
import shutil

import harness

CLIENTS = os.path.join(harness.ROOT, "tests", "integration", "clients")
PYTHON = harness.python()


def script(interpreter, name):
    """A client of our own: INTERPRETER NAME PORT PATH..."""
    return lambda server, paths: [*interpreter.split(), os.path.join(CLIENTS, name), str(server.port), *paths]


def urls(*command):
    """A client that takes URLs after its options."""
    return lambda server, paths: [*command, *map(server.url, paths)]


def unread_urls(*command):
    """curl, its answers thrown away."""
    return lambda server, paths: [*command, *(word for path in paths for word in ("-o", "/dev/null", server.url(path)))]


def shell(line):
    """A shell line for each path, with $url, $port and $path: a process a request."""
    def command(server, paths):
        return ["sh", "-c", "; ".join("url=%s path=%s port=%d; %s" % (server.url(path), path, server.port, line) for path in paths)]
    return command


class Client:
    """`most`: connections that all requests may take preloaded; None: as many as bare. `needs`: a program that must be
    installed. `on`: n for nginx, s for the test server. `probe`: a command that succeeds where the client's library is
    there."""

    def __init__(self, name, needs, command, most=1, heavy=False, on="ns", probe=None):
        self.name, self.needs, self.command, self.most, self.heavy, self.on, self.probe = name, needs, command, most, heavy, on, probe


REQUEST = "GET $path HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
FIELDS_OFF = " | sed '1,/^\\r$/d'"
LIST = [
    Client("curl-close", "curl", urls("curl", "-sS", "-H", "Connection: close")),
    Client("curl-1.0", "curl", urls("curl", "-sS", "--http1.0")),
    Client("curl-keep", "curl", urls("curl", "-sS")),
    Client("curl-post", "curl", urls("curl", "-sS", "-H", "Connection: close", "-d", "id=1"), most=None, on="s"),
    Client("curl-head", "curl", urls("curl", "-sS", "-I", "-H", "Connection: close"), on="s"),
    Client("curl-parallel", "curl", unread_urls("curl", "--no-progress-meter", "-Z", "-H", "Connection: close"), most=7),
    Client("curl-each", "curl", shell("curl -sS $url"), most=None),
    # wget doesn't read the trailers of a chunked answer: unread bytes end that connection.
    Client("wget", "wget", urls("wget", "-q", "-O", "-", "--no-http-keep-alive"), most=2),
    Client("wget-timeouts", "wget", urls("wget", "-q", "-T", "5", "-O", "-", "--no-http-keep-alive"), most=2),
    Client("python-urllib", PYTHON, script(PYTHON, "urllib_loop.py")),
    Client("python-http.client", PYTHON, script(PYTHON, "http_client.py")),
    Client("python-http.client-close", PYTHON, script(PYTHON, "http_client_close.py")),
    Client("python-asyncio", PYTHON, script(PYTHON, "asyncio_streams.py")),
    Client("python-asyncio-gather", PYTHON, script(PYTHON, "asyncio_gather.py"), most=7, on="s"),
    Client("python-threads", PYTHON, script(PYTHON, "threads_urllib.py"), most=7),
    Client("python-subprocess", PYTHON, script(PYTHON, "subprocess_amid.py"), most=None),
    Client("perl-http-tiny", "perl", script("perl", "http_tiny.pl")),
    # bash's printf >&3 writes through stdout's stream, inside libc, where no wrapper sees it: native, never reused.
    Client("bash-dev-tcp", "bash", script("bash", "dev_tcp.sh"), most=None, on="n"),
    Client("bash-dev-tcp-cat", "bash", script("bash", "dev_tcp_cat.sh"), most=None, on="n"),
    Client("nc-N", "nc", shell('printf "%s" | nc -N 127.0.0.1 $port%s' % (REQUEST, FIELDS_OFF)), most=None),
    Client("nc", "nc", shell('printf "%s" | nc 127.0.0.1 $port%s' % (REQUEST, FIELDS_OFF)), most=None),
    Client("python-requests", PYTHON, script(PYTHON, "requests_get.py"), heavy=True, probe=[PYTHON, "-c", "import requests"]),
    Client("php-file_get_contents", "php", script("php", "file_get_contents.php"), heavy=True),
    Client("php-curl", "php", script("php", "curl.php"), heavy=True, probe=["php", "-r", "exit(!function_exists('curl_init'));"]),
    Client("perl-lwp", "perl", script("perl", "lwp.pl"), heavy=True, probe=["perl", "-MLWP::UserAgent", "-e", "1"]),
    Client("ruby-net-http", "ruby", script("ruby", "net_http.rb"), heavy=True),
    Client("node-agent-false", "node", script("node", "agent_false.js"), heavy=True),
    Client("node-agent-close", "node", script("node", "agent_close.js"), heavy=True),
    Client("java-HttpURLConnection", "java", script("java -Dhttp.keepAlive=false", "Loop.java"), heavy=True),
]


def missing(client):
    if not shutil.which(client.needs):
        return client.needs + " is not installed"
    if client.probe and harness.run(client.probe, False).status:
        return "its library is not installed"
    return None
