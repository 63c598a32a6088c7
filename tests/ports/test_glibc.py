"""The library that was built here in other releases of Debian, and what is built there."""
import os
import re
import shutil
import subprocess

import harness
import roots
from suite import tally

OLDEST = (2, 31)  # of Debian 11
RELEASES = {"debian-11": "bullseye", "debian-13": "trixie"}
# Debian 11 has OpenSSL 1.1.1 and GnuTLS 3.7.1.
WITHOUT_TLS = {"debian-11"}


def test_symbol_versions():
    """The library needs no symbol of a newer glibc: the loader would refuse it, and the program with it."""
    listed = subprocess.run(["objdump", "-T", harness.SHIM.split(":")[-1]], check=True, stdout=subprocess.PIPE, text=True).stdout
    versions = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([\d.]+)", listed)}
    tally.expect("it names some versions", len(versions) > 2, listed)
    tally.expect("none is newer than 2.31", max(versions) <= OLDEST, max(versions))


def reused(root, product):
    """How many of three requests of curl were served by a kept connection."""
    script = """python3 -c '
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"a\\n")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8123), Handler).serve_forever()' & server=$!
for i in 1 2 3 4 5 6 7 8 9; do curl -s http://127.0.0.1:8123/ >/dev/null && break; sleep 0.2; done
u=http://127.0.0.1:8123/
LD_PRELOAD=%s/libholdline.so HOLDLINE_LOG=/tmp/log curl -sH 'Connection: close' $u $u $u
kill $server; cat /tmp/log""" % product
    status, text = roots.run(root, ["sh", "-c", script], 60)
    found = re.search(r"reused=(\d+)", text)
    return int(found.group(1)) if status == 0 and found and text.startswith("a\na\na\n") else text


def look_at(name):
    if not roots.is_asked():
        return
    if not shutil.which("mmdebstrap") or not roots.mirror():
        tally.skip(name, "no mmdebstrap, or no mirror of Debian")
        return
    root = roots.make(name, RELEASES[name], roots.PACKAGES)
    product = roots.give_product(root)
    tally.expect(name + ": two of three are reused", reused(root, product) == 2, reused(root, product))
    roots.expect_suite(name + ": contract, library from here", roots.run(root, ["tests/contract/run", "--world=local"], 900, BUILD=product), 1300)
    own = os.path.join(harness.ROOT, "build", "own")
    settings = ["BUILD=build/own", "LTO=", "CFLAGS=-O1 -g"] + (["TLS="] if name in WITHOUT_TLS else [])
    status, text = roots.run(root, ["make", "-j2", *settings, "all", "build/own/unit-tests"], 900)
    errors = "\n".join(line for line in text.splitlines() if re.search(r"error: |undefined|\*\*\*", line))
    if not tally.expect(name + ": it builds", status == 0, errors[:3000]):
        return
    roots.expect_suite(name + ": unit tests", roots.run(root, ["build/own/unit-tests"], 300), 2000)
    roots.expect_suite(name + ": contract, library from there", roots.run(root, ["tests/contract/run", "--world=local"], 900, BUILD=own), 1300)


def test_debian_11():
    look_at("debian-11")


def test_debian_11_plugin():
    """What a program has by a plug-in alone, or by us alone."""
    if not roots.is_asked():
        return
    if not shutil.which("mmdebstrap") or not roots.mirror():
        tally.skip("plug-in", "no mmdebstrap, or no mirror of Debian")
        return
    root = roots.make("debian-11", RELEASES["debian-11"], roots.PACKAGES)
    product = roots.give_product(root)
    place = os.path.join(harness.ROOT, "build")
    script = "cd %s && gcc -D_GNU_SOURCE -o host tests/ports/plugin_host.c && gcc -D_GNU_SOURCE -shared -fPIC -o plugin.so tests/ports/plugin.c -ldl -lrt" % harness.ROOT
    built = roots.run(root, ["sh", "-c", script.replace("-o ", "-o %s/" % place)], 60)
    bare = roots.run(root, [place + "/host", place + "/plugin.so"], 20)
    tally.expect("plug-in: bare", built[0] == 0 and bare == (0, "dlopen 1\naio_read 10\n"), (built, bare))
    preloaded = roots.run(root, [place + "/host", place + "/plugin.so"], 20, LD_PRELOAD=product + "/libholdline.so")
    tally.expect("plug-in: preloaded", preloaded == (0, bare[1] + "closefrom leaves 0\n"), preloaded)


def test_debian_13():
    look_at("debian-13")
