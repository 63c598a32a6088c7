"""Which requests share a connection, by settings and by circumstances: each row is a session of clients/who.py."""
import os
import re
import socket

import harness

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients", "who.py")
MARK, NODELAY = "%d:%d:7" % (socket.SOL_SOCKET, 36), "%d:%d:1" % (socket.IPPROTO_TCP, socket.TCP_NODELAY)
RCVBUF, TOS = "%d:%d:30000" % (socket.SOL_SOCKET, socket.SO_RCVBUF), "%d:%d:16" % (socket.IPPROTO_IP, socket.IP_TOS)

# name, words, connections of the answers in turn ("." does not care), settings
ROWS = [
    ("plain", "get get get", "1 1 1", {}),
    ("client closes first", "keep keep keep", "1 1 1", {}),
    ("both", "get keep get keep", "1 1 1 1", {}),
    ("three at once, twice", "three three get", "a b c a/b/c a/b/c a/b/c a/b/c", {}),
    ("a POST never on a used connection", "get get post", "1 1 2", {}),
    ("what a POST dialled serves GETs", "post get get post get post", "1 1 1 2 2 3", {}),
    ("a POST in between", "get get get post post post get get get", "1 1 1 2 3 4 4 4 4", {}),
    ("POSTs alone", "post post post post post post post post", "1 2 3 4 5 6 7 8", {}),
    ("POSTs alone, then GETs", "post post post post post post post post get get post get", "1 2 3 4 5 6 7 8 9 9 10 10", {}),
    ("a POST by choice", "get post post get", "1 1 1 1", {"HOLDLINE_UNSAFE_METHODS": "reuse"}),
    ("a POST on a young connection", "get post post get post", "1 1 1 1 1", {"HOLDLINE_UNSAFE_METHODS": "young"}),
    ("a POST on an older one", "get post sleep=1.1 post get post", "1 1 2 2 2", {"HOLDLINE_UNSAFE_METHODS": "young"}),
    ("young is less than a quarter of what is announced", "path=/keep-alive/2 get path=/who post sleep=0.7 post get",
     ". 1 2 2", {"HOLDLINE_UNSAFE_METHODS": "young"}),
    ("mode off", "get get keep", "1 2 3", {"HOLDLINE_MODE": "off"}),
    ("mode observe", "get get keep", "1 2 3", {"HOLDLINE_MODE": "observe"}),
    ("no rewriting", "get get keep keep", "1 2 3 3", {"HOLDLINE_REWRITE": "off"}),
    ("a bad setting is native", "get get", "1 2", {"HOLDLINE_MODE": "sideways"}),
    ("a bad duration is native", "get get", "1 2", {"HOLDLINE_IDLE_CONN_TIMEOUT": "soon"}),
    ("idle timeout", "get sleep=0.3 get get", "1 2 2", {"HOLDLINE_IDLE_CONN_TIMEOUT": "100ms"}),
    ("within the idle timeout", "get sleep=0.1 get", "1 1", {"HOLDLINE_IDLE_CONN_TIMEOUT": "2s"}),
    ("no idle timeout", "get sleep=0.1 get", "1 1", {"HOLDLINE_IDLE_CONN_TIMEOUT": "0"}),
    ("requests of a connection", "get get get get get", "1 1 1 2 2", {"HOLDLINE_MAX_CONN_REQUESTS": "3"}),
    ("age of a connection", "get get sleep=0.5 get get", "1 1 2 2", {"HOLDLINE_MAX_CONN_AGE": "300ms"}),
    ("one idle connection a host", "three get get get", "a b c a/b/c = =", {"HOLDLINE_MAX_IDLE_CONNS_PER_HOST": "1"}),
    ("one idle connection in all", "three get get", "a b c a/b/c =", {"HOLDLINE_MAX_IDLE_CONNS": "1"}),
    ("what the server says", "path=/keep-alive/60 get path=/who get", ". 1", {}),
    ("NTLM binds a connection", "get path=/ntlm get path=/who get", "1 . 2", {}),
    ("credentials that bind", "field=Authorization:\\x20NTLM\\x20abc get field= get", "1 2", {}),
    ("ordinary credentials", "field=Authorization:\\x20Bearer\\x20abc get field= get", "1 1", {}),
    ("an upgrade", "get raw=GET\\x20/upgrade\\x20HTTP/1.1\\r\\nConnection:\\x20Upgrade\\r\\nUpgrade:\\x20echo\\r\\n\\r\\n get get", "1 . 2/3 2/3", {}),
    ("an offer to upgrade that is passed over", "field=Upgrade:\\x20h2c keep keep field= get", "1 1 1", {}),
    ("no HTTP", "get raw=EHLO\\r\\n get", "1 . 1/2/3", {}),
    ("surplus bytes", "path=/surplus get path=/who get", ". 2", {}),
    ("contradictory lengths", "path=/both-lengths get path=/who get", ". 2", {}),
    ("the server closes", "path=/close-header get path=/who get get", ". 2 2", {}),
    ("a late 408", "path=/status/408 get path=/who get", ". 2", {}),
    ("an error is an answer", "path=/status/500 get path=/who get", ". 1", {}),
    ("options before connecting", "get option=%s get get option= get" % RCVBUF, "1 2 2 1", {}),
    ("TOS before connecting", "get option=%s get get option= get" % TOS, "1 2 2 1", {}),
    ("TCP_NODELAY before connecting", "option=%s get get" % NODELAY, "1 1", {}),
    ("TCP_NODELAY after connecting", "late=%s get get late= get" % NODELAY, "1 1 1", {}),
    ("TCP Fast Open by option", "option=%d:30:1 get get keep get" % socket.IPPROTO_TCP, "1 1 1 1", {}),
    ("TCP Fast Open by flag", "fastopen fastopen get fastopen", "1 1 2 1", {}),
    ("a bound address", "get bind=127.0.0.3 get get", "1 2 2", {}),
    ("another address of the same host", "get to=127.0.0.2 get", "1 refused", {}),
    ("connected in vain", "get nobody get", "1 1/2", {}),
    ("commands in between", "system get system get system get", "1 1 1", {}),
    ("a command beside", "system-beside=0.3 get get get sleep=0.5 get system-beside=0.1 get", "1 1 1 1 1", {}),
    ("HEAD", "head head get", ". . 1", {}),
]
# A call that the kernel refuses changes nothing. Each is one of clients/who.py's REFUSED.
ROWS += [("refused: " + call, "refused=%s get get keep get" % call, "1 1 1 1", {}) for call in """fastopen fastopen-late zerocopy filter peek-offset ulp
    zerocopy-receive shutdown-how listen connect-other connect-short connect-family bind signal owner sendfile splice stream seccomp
    unshare""".split()]


def check(expected, answers):
    """Numbers name connections in the order of their first use; 1/2 is a choice; a dot matches any; = is the previous
    one."""
    letters, words, last = {}, expected.split(), None
    if len(words) != len(answers):
        return False
    for word, answer in zip(words, answers):
        match = re.match(r"connection (\d+) ", answer)
        if word == ".":
            continue
        if not match:
            return False
        last, previous = match.group(1), last
        if word == "=":
            if last != previous:
                return False
        elif word.isalpha() and len(word) == 1:
            if match.group(1) in letters.values():
                return False
            letters[word] = match.group(1)
        elif match.group(1) not in [letters.get(choice, choice) for choice in word.split("/")]:
            return False
    return True


def run(tally, preloaded):
    for name, words, expected, settings in ROWS:
        if "refused" in expected:
            continue
        with harness.Server() as server:
            arguments = [word.replace("\\x20", " ") if word.startswith("field=") else word for word in words.split()]
            outcome = harness.run([harness.python(), CLIENT, str(server.port), *arguments], preloaded, 20, **settings)
        answers = outcome.output.decode("latin-1").splitlines()
        tally.expect("settings: " + name, outcome.status == 0 and (check(expected, answers) or not preloaded) and not outcome.errors,
                     "expected %s, got %s\n%s" % (expected, answers, outcome.errors.decode()))


# The forms in which a server may see a request that was edited.
EDITS = [
    ("close is blanked", b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
     b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection:      \r\n\r\n"),
    ("in any case", b"GET /echo HTTP/1.1\r\nHost: x\r\ncONNECTION:cLoSe\r\n\r\n", b"GET /echo HTTP/1.1\r\nHost: x\r\ncONNECTION:     \r\n\r\n"),
    ("keep-alive is inserted", b"GET /echo HTTP/1.0\r\nHost: x\r\n\r\n", b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\nHost: x\r\n\r\n"),
    ("not into kept 1.1", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", None),
    ("not with Upgrade", b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n", None),
    ("not a signed field", b"GET /echo HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=connection;host, "
     b"Signature=00\r\nConnection: close\r\n\r\n", None),
    ("not in a body", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\nConnection: close\r\n\r\nx", None),
    ("not another field", b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Connection: close\r\nConnection2: close\r\n\r\n", None),
]

EDIT_CLIENT = """
import socket, sys
request = bytes.fromhex(sys.argv[2])
for pieces in ([request], [request[i:i + 7] for i in range(0, len(request), 7)]):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for piece in pieces:
        assert s.send(piece) == len(piece)
    answer = b""
    while b"\\r\\n\\r\\n" not in answer or len(answer.split(b"\\r\\n\\r\\n", 1)[1]) < int(answer.split(b"Content-Length: ")[1].split(b"\\r")[0]):
        answer += s.recv(65536)
    s.close()
    print(answer.split(b"\\r\\n\\r\\n", 1)[1].hex())
"""


def run_edits(tally, preloaded):
    for name, sent, seen in EDITS:
        with harness.Server() as server:
            outcome = harness.run([harness.python(), "-c", EDIT_CLIENT, str(server.port), sent.hex()], preloaded, 10)
        whole, _, split = outcome.output.decode().partition("\n")
        answers = [bytes.fromhex(whole), bytes.fromhex(split.strip())]
        # A token split over several writes may be left alone, or be edited as well.
        good = answers[0] == (seen if seen and preloaded else sent) and answers[1] in (sent, seen)
        tally.expect("edits: " + name, outcome.status == 0 and good, "the server saw %s\n%s" % (answers, outcome.errors.decode()))
