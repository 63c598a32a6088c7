"""`holdline report`: as text, JSON and as a page that a browser shows."""
import html.parser
import os
import re
import shutil
import struct
import tempfile
import zlib

import harness
from run_world import World, client
from suite import tally


def make_report(world, nginx, *flags):
    _, report = world.report(["sh", "-c", "curl -s http://127.0.0.1:1/; for i in 1 2 3 4 5 6; do curl -s -o /dev/null -d x %s; %s %d 20 exit; sleep 0.1; done" %
                              (nginx.url("/bytes/10"), client(), nginx.port)], *flags)
    return report


class Nesting(html.parser.HTMLParser):
    """Which tags are open, and which were closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def test_report():
    with World() as world, harness.Nginx() as nginx:
        make_report(world, nginx)
        outcome = world.holdline("report", world.path("run.json"))
        text = outcome.output.decode()
        tally.expect("tables", outcome.status == 0 and re.search(r"^holdline: sh -c", text) and "of 127 connects were served" in text and
                     re.search(r"^127\.0\.0\.1:%d +126 " % nginx.port, text, re.M) and "fetch_one (client.c:" in text and
                     re.search(r"^ECONNREFUSED +1$", text, re.M), text)
        with open(world.path("run.json"), "rb") as file:
            piped = world.holdline("report", "-", stdin=file.read())
        tally.expect("from standard input", piped.output == outcome.output, piped.output.decode())
        page = world.path("page.html")
        outcome = world.holdline("report", "--html", page, world.path("run.json"))
        with open(page) as file:
            text = file.read()
        tally.expect("a page", outcome.status == 0 and not outcome.output and text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n") and
                     "fetch_one" in text and "<svg" in text, text[:2000])
        nesting = Nesting()
        nesting.feed(text)
        tally.expect("whose tags are closed", not nesting.open and not nesting.wrong, "%s %s" % (nesting.open, nesting.wrong))
        tally.expect("that needs nothing else", not re.search(r"<script|<link|<img|@import|url\(|\bsrc=|\bhref=|https?://(?!127)", text), text)
        tally.expect("to standard output", world.holdline("report", "--html", "-", world.path("run.json")).output.decode() == text, "another page")
        with open(world.path("broken.json"), "w") as file:
            file.write("{")
        with open(world.path("other.json"), "w") as file:
            file.write('{"schema_version": 2}')
        for arguments, status, said in ([], 2, "usage"), (["a", "b"], 2, "usage"), (["--frob", "a"], 2, "usage"), (["/nonexistent"], 1, "No such file"), \
                (["/"], 1, "directory"), ([world.path("broken.json")], 1, "not a report"), ([world.path("other.json")], 1, "not a report"), \
                (["--html", "/nonexistent/page", world.path("run.json")], 1, "No such file"), (["--help"], 0, "usage"):
            outcome = world.holdline("report", *arguments)
            text = (outcome.output + outcome.errors).decode()
            tally.expect("report %s" % arguments, outcome.status == status and said in text, "%s %s" % (outcome.status, text))


def brightness(path):
    """Mean of a PNG's samples, 0 to 255 (8 bits each, not interlaced: RFC 2083), and how many different ones."""
    with open(path, "rb") as file:
        data = file.read()
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    assert (depth, interlaced) == (8, 0), "a PNG of another kind"
    size, at, packed = {0: 1, 2: 3, 6: 4}[colour], 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    raw, stride, before, total, seen = zlib.decompress(packed), width * size, bytes(width * size), 0, set()
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride):
            a, b, c = line[x - size] if x >= size else 0, before[x], before[x - size] if x >= size else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[x] = (line[x] + (0, a, b, (a + b) // 2, nearest)[kind]) & 255
        before = bytes(line)
        total += sum(before[:stride:size])
        seen.update(before[::size])
    return total / (width * height), len(seen)


def test_browser():
    """The page in Chromium, light and dark, without a network."""
    browser = shutil.which("chromium")
    if not harness.HEAVY and not browser:
        tally.skip("browser", "Chromium is only installed for `make torture`")
        return
    with World() as world, harness.Nginx() as nginx:
        make_report(world, nginx)
        world.holdline("report", "--html", world.path("page.html"), world.path("run.json"))
        shades = {}
        for scheme, number in ("light", 1), ("dark", 0):
            picture = world.path(scheme + ".png")
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                       "--disable-sync", "--no-first-run", "--hide-scrollbars", "--user-data-dir=" + tempfile.mkdtemp(dir=world.folder),
                       "--blink-settings=preferredColorScheme=%d" % number, "--window-size=500,700", "--screenshot=" + picture,
                       "file://" + world.path("page.html")]
            outcome = harness.run(["unshare", "-rn", *command], False, 120)
            if not os.path.exists(picture):
                outcome = harness.run(command, False, 120)
            if not tally.expect("a picture, %s" % scheme, os.path.exists(picture), outcome.errors.decode()[-500:]):
                return
            shades[scheme] = brightness(picture)
        tally.expect("light is light, dark is dark, neither is empty", shades["light"][0] > 200 and shades["dark"][0] < 80 and
                     min(shade[1] for shade in shades.values()) > 30, str(shades))
