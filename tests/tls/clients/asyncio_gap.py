"""asyncio, while a ticker runs: asyncio_gap.py CA WAY WORD... WAY: streams, sock (a socket of its own, without asyncio's
TLS), aiohttp, uvloop, pycurl, select, poll, sets (select with sets as small as they may be), large_sets (as if there
were 2048 descriptors), fork (a child is made in the midst, and waits for something), child (... and goes on with it) or
thread (another one waits, and has begun to long before). A WORD is a URL to get, or `post:URL` (100 bytes), or
`big:URL` (300,000), or `quit:URL` (a post that is given up after 100 ms), or `ask:URL` of the server's control. Prints
the answers, and writes into GAP_FILE for how many seconds the loop was held at most."""
import asyncio
import ctypes
import io
import os
import queue
import select
import selectors
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request

CONTEXT = ssl.create_default_context(cafile=sys.argv[1])
BODIES = {"post": b"x" * 100, "quit": b"x" * 100, "big": b"y" * 300000}


def take_apart(word):
    kind, rest = word.split(":", 1)
    return (rest, BODIES[kind]) if kind in BODIES else (word, b"")


def request_of(word):
    url, body = take_apart(word)
    parts = urllib.parse.urlsplit(url)
    head = "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % ("POST" if body else "GET", parts.path, parts.netloc, len(body))
    return url, parts, head.encode() + body


def fork():
    if os.fork():
        return
    waiting = select.poll()
    waiting.register(os.pipe()[0])
    waiting.poll(400)
    os._exit(0)


class OwnSets(selectors.SelectSelector):
    """Behind the sets lies no memory."""
    PAGE = 4096
    PROT_NONE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS = 0, 3, 0x22

    def __init__(self, least):
        super().__init__()
        self.least, self.libc = least, ctypes.CDLL(None, use_errno=True)
        self.libc.mmap.restype = ctypes.c_void_p
        self.ends = [self.make_end() for _ in range(2)]

    def make_end(self):
        begin = self.libc.mmap(None, ctypes.c_size_t(2 * self.PAGE), self.PROT_READ_WRITE, self.MAP_PRIVATE_ANONYMOUS, -1, ctypes.c_long(0))
        end = begin + self.PAGE
        self.libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(self.PAGE), self.PROT_NONE)
        return end

    def _select(self, readers, writers, _, timeout=None):
        n = max([self.least, *(fd + 1 for fd in [*readers, *writers])])
        size = (n + 63) // 64 * 8
        sets = [(ctypes.c_ubyte * size).from_address(end - size) for end in self.ends]
        for wanted, bits in zip((readers, writers), sets):
            ctypes.memset(bits, 0, size)
            for fd in wanted:
                bits[fd // 8] |= 1 << fd % 8
        limit = None if timeout is None else (ctypes.c_long * 2)(int(timeout), int(timeout % 1 * 1000000))
        if self.libc.select(n, sets[0], sets[1], None, limit) < 0:
            raise OSError(ctypes.get_errno(), "select")
        return [[fd for fd in wanted if bits[fd // 8] >> fd % 8 & 1] for wanted, bits in zip((readers, writers), sets)] + [[]]


async def by_streams(word):
    _, parts, request = request_of(word)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=CONTEXT)
    writer.write(request)
    if sys.argv[2] == "fork" and request.startswith(b"POST"):
        await asyncio.sleep(0.03)
        fork()
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n\r\n", 1)[1]


async def by_sock(word):
    """ssl.SSLSocket on a descriptor, as programs use it that have a loop of their own."""
    _, parts, request = request_of(word)
    loop = asyncio.get_running_loop()

    async def ready(connection, wants_write):
        add, remove = (loop.add_writer, loop.remove_writer) if wants_write else (loop.add_reader, loop.remove_reader)
        event = asyncio.Event()
        add(connection, event.set)
        await event.wait()
        remove(connection)

    async def do(call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                await ready(connection, False)
            except ssl.SSLWantWriteError:
                await ready(connection, True)

    plain = socket.socket()
    plain.setblocking(False)
    await loop.sock_connect(plain, ("127.0.0.1" if parts.hostname == "localhost" else parts.hostname, parts.port))
    connection = CONTEXT.wrap_socket(plain, server_hostname=parts.hostname, do_handshake_on_connect=False)
    await do(connection.do_handshake)
    while request:
        request = request[await do(connection.send, request):]
    answer = b""
    while True:
        try:
            piece = await do(connection.recv, 65536)
        except ssl.SSLEOFError:
            piece = b""
        if not piece:
            break
        answer += piece
    connection.close()
    return answer.split(b"\r\n\r\n", 1)[1]


async def by_aiohttp(word):
    import aiohttp
    url, body = take_apart(word)
    connector = aiohttp.TCPConnector(force_close=True, ssl=CONTEXT)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with (session.post(url, data=body) if body else session.get(url)) as answer:
            return await answer.read()


def tell(longest):
    with open(os.environ["GAP_FILE"], "w") as file:
        file.write("%.3f" % longest)


class Pycurl:
    """libcurl's multi interface; here the ticker is the loop."""

    def __init__(self):
        import pycurl
        self.pycurl, self.multi, self.longest = pycurl, pycurl.CurlMulti(), 0

    def get(self, word):
        url, body = take_apart(word)
        easy, answer = self.pycurl.Curl(), io.BytesIO()
        easy.setopt(easy.URL, url)
        easy.setopt(easy.CAINFO, sys.argv[1])
        easy.setopt(easy.FORBID_REUSE, True)
        easy.setopt(easy.WRITEFUNCTION, answer.write)
        easy.setopt(easy.HTTPHEADER, ["Expect:", "Connection: close"])
        if body:
            easy.setopt(easy.POSTFIELDS, body)
        self.multi.add_handle(easy)
        running = 1
        while running:
            begin = time.monotonic()
            _, running = self.multi.perform()
            self.longest = max(self.longest, time.monotonic() - begin)
            self.multi.select(0.05)
        _, _, failed = self.multi.info_read()
        self.multi.remove_handle(easy)
        return failed[0][2].encode() if failed else answer.getvalue()


def main_of_pycurl():
    loop = Pycurl()
    for word in sys.argv[3:]:
        answer = loop.get(word)
        print(len(answer), answer[:30])
    tell(loop.longest)


def main_of_thread():
    events, waiting = queue.Queue(), select.epoll()

    def wait():
        while True:
            events.put(waiting.poll())

    threading.Thread(target=wait, daemon=True).start()
    for word in sys.argv[3:]:
        _, parts, request = request_of(word)
        connection = CONTEXT.wrap_socket(socket.create_connection((parts.hostname, parts.port)), server_hostname=parts.hostname)
        connection.setblocking(False)
        # It waits by itself as well.
        ready = select.poll()
        ready.register(connection, select.POLLOUT)
        ready.poll()
        waiting.register(connection, select.EPOLLIN | select.EPOLLONESHOT)
        connection.send(request)

        def wait_for_thread():
            waiting.modify(connection, select.EPOLLIN | select.EPOLLONESHOT)
            events.get(timeout=5)
        answer = read_all(connection, wait_for_thread)
        connection.close()
        print(len(answer), answer[:30])
    tell(0)


def read_all(connection, wait):
    answer, piece = b"", b"x"
    while piece:
        try:
            piece = connection.recv(65536)
            answer += piece
        except ssl.SSLWantReadError:
            wait()
    return answer.split(b"\r\n\r\n", 1)[1]


def main_of_child():
    for word in sys.argv[3:]:
        _, parts, request = request_of(word)
        connection = CONTEXT.wrap_socket(socket.create_connection((parts.hostname, parts.port)), server_hostname=parts.hostname)
        connection.setblocking(False)
        select.select([], [connection], [])
        connection.send(request)
        child = os.fork() if request.startswith(b"POST") else None
        if not child:
            answer = read_all(connection, lambda: select.select([connection], [], [], 5))
            print(len(answer), answer[:30], flush=True)
        if child == 0:
            os._exit(0)
        elif child:
            os.waitpid(child, 0)
        connection.close()
    tell(0)


async def make(by, word):
    if word.startswith("ask:"):
        urllib.request.urlopen(word[4:]).read()
        return b"asked"
    if not word.startswith("quit:"):
        return await by(word)
    try:
        return await asyncio.wait_for(by(word), 0.1)
    except asyncio.TimeoutError:
        return b"given up"


async def main():
    by = {"sock": by_sock, "aiohttp": by_aiohttp}.get(sys.argv[2], by_streams)
    longest = 0

    async def tick():
        nonlocal longest
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    ticker = asyncio.create_task(tick())
    for word in sys.argv[3:]:
        answer = await make(by, word)
        print(len(answer), answer[:30])
    ticker.cancel()
    tell(longest)


if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.install()
if sys.argv[2] == "pycurl":
    main_of_pycurl()
elif sys.argv[2] == "thread":
    main_of_thread()
elif sys.argv[2] == "child":
    main_of_child()
elif sys.argv[2] == "select":
    asyncio.set_event_loop(asyncio.SelectorEventLoop(selectors.SelectSelector()))
    asyncio.get_event_loop().run_until_complete(main())
elif sys.argv[2] in ("sets", "large_sets"):
    asyncio.set_event_loop(asyncio.SelectorEventLoop(OwnSets(2048 if sys.argv[2] == "large_sets" else 1)))
    asyncio.get_event_loop().run_until_complete(main())
elif sys.argv[2] == "poll":
    asyncio.set_event_loop(asyncio.SelectorEventLoop(selectors.PollSelector()))
    asyncio.get_event_loop().run_until_complete(main())
else:
    asyncio.run(main())
