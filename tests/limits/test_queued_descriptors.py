"""Every use of a descriptor whose connect() waits for its turn."""
import tempfile

from cap import Capped, HOLDER, WAITING, compile_to
from harness import PYTHON
from suite import tally

EVENT_LOOP = """
import asyncio, sys
async def one():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(b"GET /sleep/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
async def main():
    results = await asyncio.gather(*(one() for _ in range(40)), return_exceptions=True)
    print([repr(result) for result in results if result])
asyncio.run(main())
"""


AT_WORK = {
    "calls on a placeholder": """
expect("again", s.connect_ex(("127.0.0.1", port)), errno.EALREADY)
expect("early peer", error_of(s.getpeername), "ENOTCONN")
expect("shutdown", error_of(s.shutdown, 2), "ENOTCONN")
expect("send", error_of(s.send, b"x"), "EAGAIN")
expect("recv", error_of(s.recv, 1), "EAGAIN")
options = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.IPPROTO_IP, socket.IP_TOS, 16), (socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
for option in options:
    s.setsockopt(*option)
    expect("option", s.getsockopt(*option[:2]), option[2])
expect("type", s.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), socket.IPPROTO_TCP)
await_turn()
for option in options:
    expect("option then", s.getsockopt(*option[:2]), option[2])
exchange()
""",
    "its turn comes unseen": """
time.sleep(1.2)
expect("FIONREAD", fcntl.ioctl(s, 0x541B, bytes(4)), bytes(4))
exchange()
""",
    "fork while it waits": """
epoll = select.epoll()
epoll.register(s, select.EPOLLOUT)
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    time.sleep(4)
    os._exit(0)
expect("turn", epoll.poll(8), [(s.fileno(), select.EPOLLOUT)])
exchange()
s.close()
# The child does not hold the place: it is free.
begin = time.monotonic()
s = socket.socket()
s.setblocking(False)
s.connect_ex(("127.0.0.1", port))
await_turn()
expect("soon", time.monotonic() - begin < 2, True)
os.kill(pid, 9)
""",
    "sends by sendfile": """
file = request_file()
send_in_turn(lambda: os.sendfile(s.fileno(), file, 0, len(request)))
""",
    "sendfile of nothing": """
expect("sendfile", error_of(os.sendfile, s.fileno(), request_file(), 0, 0), 0)
await_turn()
""",
    "sends by splice": """
pipe = request_pipe()
send_in_turn(lambda: os.splice(pipe, s.fileno(), len(request)))
""",
    "sends by dprintf": """
def send():
    n = libc.dprintf(s.fileno(), request)
    if n < 0:
        raise OSError(ctypes.get_errno(), "")
    return n
send_in_turn(send)
""",
    "receives by splice": """
ours, theirs = os.pipe()
expect("splice", error_of(os.splice, s.fileno(), theirs, 15), "EAGAIN")
await_turn()
expect("send", error_of(s.send, request), len(request))
poll_in(s)
expect("splice then", error_of(os.splice, s.fileno(), theirs, 15), 15)
expect("answer", os.read(ours, 15), b"HTTP/1.1 200 OK")
""",
    "a blocking sendfile waits": """
s.setblocking(True)
expect("sendfile", error_of(os.sendfile, s.fileno(), request_file(), 0, len(request)), len(request))
expect("answer", error_of(s.recv, 15), b"HTTP/1.1 200 OK")
""",
    "a blocking splice waits": """
s.setblocking(True)
expect("splice", error_of(os.splice, request_pipe(), s.fileno(), len(request)), len(request))
expect("answer", error_of(s.recv, 15), b"HTTP/1.1 200 OK")
""",
    "a blocking dprintf waits": """
s.setblocking(True)
expect("dprintf", libc.dprintf(s.fileno(), request), len(request))
expect("answer", error_of(s.recv, 15), b"HTTP/1.1 200 OK")
""",
    "poll tells of the connection": """
poll = select.poll()
poll.register(s, select.POLLIN | select.POLLOUT)
expect("turn", poll.poll(8000), [(s.fileno(), select.POLLOUT)])
exchange()
""",
    "epoll tells of the connection": """
epoll = select.epoll()
epoll.register(s, select.EPOLLIN | select.EPOLLOUT)
expect("turn", epoll.poll(8), [(s.fileno(), select.EPOLLOUT)])
exchange()
""",
    "a one-shot tells of the connection": """
epoll = select.epoll()
epoll.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT)
expect("turn", epoll.poll(8), [(s.fileno(), select.EPOLLOUT)])
expect("once", epoll.poll(0), [])
exchange()
""",
    "a child's is not connected": """
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    expect("flags", fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK, os.O_NONBLOCK)
    expect("child's peer", error_of(s.getpeername), "ENOTCONN")
    expect("child's recv", error_of(s.recv, 1), "ENOTCONN")
    expect("child's send", error_of(s.send, b"x"), "EPIPE")
    expect("child's poll", [event for _, event in poll_all(s)], [select.POLLOUT | select.POLLHUP])
    os._exit(0)
expect("child", os.waitpid(pid, 0)[1], 0)
expect("recv", error_of(s.recv, 1), "EAGAIN")
await_turn()
exchange()
""",
    "blocking sends wait": "s.setblocking(True)\nexchange()\n",
    "blocking receives wait": """
import threading
s.setblocking(True)
threading.Timer(1.4, lambda: s.sendall(request)).start()
expect("answer", error_of(s.recv, 15), b"HTTP/1.1 200 OK")
""",
    "a blocking connect waits on": """
s.setblocking(True)
expect("connect", s.connect_ex(("127.0.0.1", port)), 0)
exchange()
""",
}


SIGNALLED = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static sigjmp_buf before;
static int jumps;
static void handle(int number) { if (jumps) siglongjmp(before, number); }
static struct sockaddr_in server;
static int dial(int fd) { return connect(fd, (void *)&server, sizeof(server)) < 0 ? errno : 0; }
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = argc > 2 && strcmp(argv[2], "restart") == 0 ? SA_RESTART : 0};
	char answer[13] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	sigaction(SIGALRM, &action, NULL);
	jumps = strcmp(argv[2], "jump") == 0;
	ualarm(200000, 0);
	if (!sigsetjmp(before, 1))
		printf("%s ", strerrorname_np(dial(fd)));
	if (jumps) {
		fd = socket(AF_INET, SOCK_STREAM, 0); /* the other one is left as it is */
		printf("%s ", strerrorname_np(dial(fd)));
	} else if (strcmp(argv[2], "interrupt") == 0) {
		printf("%s ", strerrorname_np(dial(fd)));
	}
	dprintf(fd, "GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\n");
	if (read(fd, answer, 12) < 0)
		perror("read");
	puts(answer);
	return 0;
}
"""


# A thread is inside epoll_wait() before there is anything to wait for.
INSIDE = """
import select, socket, sys, threading, time
port, epoll, told = int(sys.argv[1]), select.epoll(), []
thread = threading.Thread(target=lambda: told.extend(epoll.poll(8)))
thread.start()
time.sleep(0.2)
s = socket.socket()
s.setblocking(False)
s.connect_ex(("127.0.0.1", port))
epoll.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP)
thread.join()
if told != [(s.fileno(), select.EPOLLOUT)]:
    print(told)
s.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
s.settimeout(8)
if s.recv(15) != b"HTTP/1.1 200 OK":
    print("no answer")
"""


@tally.timed
def test_cap_descriptors():
    with Capped(4) as (world, server):
        outcome = world.run([PYTHON, "-c", EVENT_LOOP, str(server.port)], 40)
        stats = server.stats()
        tally.expect("cap 4, an event loop with 40 at once", outcome.output == b"[]\n" and stats["peak"] <= 4 and stats["requests"] == 40,
                     "%s %s %s" % (outcome.output, outcome.errors.decode(), stats), "%(connections)d connections, at most %(peak)d" % stats)
    with tempfile.TemporaryDirectory() as folder:
        program = compile_to(folder, "signalled", SIGNALLED)
        waiters = [(name, [PYTHON, "-c", WAITING + code], b"") for name, code in AT_WORK.items()]
        waiters += [("a thread inside epoll_wait()", [PYTHON, "-c", INSIDE], b""), ("a signal, SA_RESTART", [program, "restart"], b"0 HTTP/1.1 200\n"),
                    ("a signal", [program, "interrupt"], b"EINTR 0 HTTP/1.1 200\n"),
                    ("longjmp while it waits", [program, "jump"], b"0 HTTP/1.1 200\n")]
        for name, command, expected in waiters:
            with Capped(1) as (world, server):
                holder = world.start([PYTHON, "-c", HOLDER.replace("sys.stdin.read()", "time.sleep(0.8)"), str(server.port), "1"])
                holder.stdout.readline()
                at = 1 if command[0] == program else len(command)
                outcome = world.run(command[:at] + [str(server.port)] + command[at:], 15)
                holder.communicate()
                tally.expect_in_time("waiting: " + name, (outcome.status, outcome.output) == (0, expected), "%s %s %s" % (
                    outcome.status, outcome.output, outcome.errors.decode()))
