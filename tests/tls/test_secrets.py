"""Keys of kept connections: not in a core dump, not in memory that can be swapped out, and the program's limit for such
memory is respected."""
import glob
import os
import re
import tempfile

import harness
import programs
import secure
import servers
from broker_world import World
from secure import ca
from suite import tally

CORE = os.path.join(programs.FOLDER, "keeps_core.py")


def secrets_of(keylog):
    """{name: bytes} of the key log's lines that protect what is sent, and the keys that are made of them (RFC 8446 7.3)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
    found = {}
    with open(keylog) as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    for number, (label, _, secret) in enumerate(lines):
        secret = bytes.fromhex(secret)
        if label in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
            found["%s of handshake %d" % (label, number)] = secret
            for length in 16, 32:
                hash_ = hashes.SHA384() if len(secret) == 48 else hashes.SHA256()
                info = length.to_bytes(2, "big") + b"\x09tls13 key\x00"
                found["key of %d bytes by %s of handshake %d" % (length, label, number)] = HKDFExpand(hash_, length, info).derive(secret)
        elif label == "CLIENT_RANDOM":
            found["master secret of handshake %d" % number] = secret
    return found


def dump(version, preloaded, pool="shared"):
    """(secrets, the core dump's bytes or None)."""
    with servers.TlsServer("--max=" + version) as server, World() as world, tempfile.TemporaryDirectory() as folder:
        keylog = os.path.join(folder, "keys")
        line = 'cd "$0" && ulimit -c unlimited && exec "$@"'
        command = ["sh", "-c", line, folder, harness.PYTHON, CORE, ca(), keylog, server.url("/bytes/10")]
        if preloaded:
            secure.start_subject(world, command, 60, HOLDLINE_POOL=pool)
        else:
            harness.run(command, False, 60)
        cores = [path for path in glob.glob(os.path.join(folder, "*")) if path != keylog]
        if not cores:
            return {}, None
        with open(cores[0], "rb") as file:
            return secrets_of(keylog), file.read()


def left(secrets, core):
    """{kind of secret: places}: a replayed handshake has the secrets of the recorded one."""
    kinds = {secret: re.sub(" of handshake.*", "", name) for name, secret in secrets.items()}
    return {kind: sum(core.count(secret) for secret in kinds if kinds[secret] == kind) for kind in sorted(set(kinds.values()))}


def test_core_dump():
    """A kept connection, whose program has forgotten it, and dies: the dump has no more than what its library leaves in
    its own objects when it frees them (libssl of OpenSSL 3 the last connection's secrets, as bare)."""
    for version in "1.3", "1.2":
        secrets, core = dump(version, False)
        if core is None:
            tally.skip("core dump, TLS " + version, "this kernel writes none here")
            continue
        bare = left(secrets, core)
        for pool in "local", "shared":
            secrets, core = dump(version, True, pool)
            found = left(secrets, core or b"")
            tally.expect("core dump, TLS %s, %s pool" % (version, pool), core and all(found[kind] <= bare[kind] for kind in bare), "%s, bare %s" % (found, bare),
                         "%d kinds of secrets in %d MB" % (len(found), len(core or b"") >> 20))


def locked_kb(limit_kb):
    """What is locked of a program with a kept connection, and its log."""
    with servers.TlsServer() as server, tempfile.TemporaryDirectory() as folder:
        log, script = os.path.join(folder, "log"), os.path.join(programs.FOLDER, "urllib_own.py")
        line = 'ulimit -l %d && exec "$@"' % limit_kb
        code = ("import sys; sys.argv = sys.argv[1:]; exec(open(sys.argv[0]).read()); print(*[line.split()[1] for line in "
                "open('/proc/self/status') if line.startswith('VmLck')], file=sys.stderr)")
        command = ["sh", "-c", line, "sh", harness.PYTHON, "-c", code, script, ca(), server.url("/bytes/10")]
        with World() as world:
            outcome = secure.start_subject(world, command, 60, HOLDLINE_POOL="local", HOLDLINE_LOG=log)
        with open(log) as file:
            text = file.read()
    return outcome, int(re.findall(rb"\d+", outcome.errors)[-1]), text


def test_locked_memory():
    """A quarter of the program's limit at most, and the log says once what was not locked."""
    outcome, locked, log = locked_kb(8192)
    tally.expect("locked memory", outcome.status == 0 and 8 <= locked <= 2048 and "not locked" not in log, "%d kB locked\n%s %s" % (locked, outcome.errors.decode(), log))
    outcome, locked, log = locked_kb(16)
    tally.expect("locked memory, a small limit", outcome.status == 0 and locked <= 4 and log.count("not locked") == 1, "%d kB locked\n%s %s" % (
        locked, outcome.errors.decode(), log))
