"""A queued descriptor that is handed to a program or thread that cannot wait."""
import tempfile

from cap import Capped, HOLDER, WAITING, compile_to
from harness import PYTHON
from suite import tally

# A program that inherits a queued descriptor, knows only its number, and sends a request on it.
HEIR = """
import select, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
def ready(event):
    poll = select.poll()
    poll.register(s, event)
    return poll.poll(8000) == [(s.fileno(), event)]
fine = s.family == socket.AF_INET and ready(select.POLLOUT) and s.send(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n") > 0
if not fine or not ready(select.POLLIN) or s.recv(15) != b"HTTP/1.1 200 OK":
    print("heir", s, fine, file=sys.stderr)
    sys.exit(1)
"""

# Each of these hands the descriptor to an owner that can't wait. The turn never comes, so it must get a connection at
# once.
LET_THROUGH = {
    "exec": "s.set_inheritable(True)\nos.execv(sys.executable, heir(s.fileno()))\n",
    "exec that fails": """
s.set_inheritable(True)
expect("exec", error_of(os.execv, "/no/such/program", ["x"]), "ENOENT")
exchange()
""",
    "posix_spawn": """
s.set_inheritable(True)
pid = os.posix_spawn(sys.executable, heir(s.fileno()), os.environ)
expect("heir", os.waitpid(pid, 0)[1], 0)
""",
    "posix_spawn without the library": """
s.set_inheritable(True)
pid = os.posix_spawn(sys.executable, heir(s.fileno()), {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"})
expect("heir", os.waitpid(pid, 0)[1], 0)
""",
    "system": """
s.set_inheritable(True)
expect("heir", os.system(shell_line(s.fileno())), 0)
""",
    "popen": """
s.set_inheritable(True)
libc.popen.restype, libc.pclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
expect("heir", libc.pclose(libc.popen(shell_line(s.fileno()).encode(), b"r")), 0)
""",
    "vfork and exec": """
expect("heir", subprocess.run(heir(s.fileno()), pass_fds=[s.fileno()]).returncode, 0)
expect("the parent's", error_of(s.recv, 1), "EAGAIN")
""",
    "vfork, dup2 and exec": """
expect("heir", subprocess.run(heir(0), stdin=s).returncode, 0)
expect("the parent's", error_of(s.recv, 1), "EAGAIN")
""",
    "SCM_RIGHTS": """
here, there = socket.socketpair()
socket.send_fds(here, [b"x"], [s.fileno()])
ask(socket.recv_fds(there, 1, 1)[1][0])
""",
    "pidfd_getfd": """
ask(libc.syscall(438, os.pidfd_open(os.getpid()), s.fileno(), 0))
""",
    "unshare": """
expect("unshare", libc.unshare(0x400), 0)
ask(s.fileno())
""",
    "an option": """
s.setsockopt(socket.SOL_SOCKET, 60, 1)
expect("SO_ZEROCOPY", s.getsockopt(socket.SOL_SOCKET, 60), 1)
exchange()
""",
    "signals": """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(s, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
expect("poll", [event for _, event in poll_all(s)], [select.POLLOUT])
signal.sigtimedwait([signal.SIGIO], 0)
expect("send", error_of(s.send, request), len(request))
expect("answer", answer_on(s), b"HTTP/1.1 200 OK")
expect("signal", signal.sigtimedwait([signal.SIGIO], 8) is not None, True)
""",
    "a standard stream": """
os.dup2(s.fileno(), 0)
ask(0)
""",
}

# These start programs that do not inherit the descriptor: it stays queued.
KEPT_WAITING = {
    "exec without it": 'subprocess.run(["true"], close_fds=False)\n',
    "system without it": 'os.system("true")\n',
    "posix_spawn without it": 'os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)\n',
}

STRANGERS = r"""
#include <aio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\n", answer[16];
static struct aiocb control(int fd, int operation, void *bytes, size_t length)
{
	return (struct aiocb){.aio_fildes = fd, .aio_lio_opcode = operation, .aio_buf = bytes, .aio_nbytes = length};
}
static void finish(struct aiocb *one)
{
	while (aio_error(one) == EINPROGRESS)
		aio_suspend((const struct aiocb *[]){one}, 1, NULL);
	printf("%zd ", aio_return(one));
}
static void await(int fd, short events) { poll(&(struct pollfd){.fd = fd, .events = events}, 1, 8000); }
int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct aiocb write_it = control(fd, LIO_WRITE, request, sizeof(request) - 1), read_it = control(fd, LIO_READ, answer, 15);
	FILE *stream;
	if (connect(fd, (void *)&server, sizeof(server)) == 0 || errno != EINPROGRESS)
		return 1;
	if (strcmp(argv[2], "fdopen") == 0) {
		stream = fdopen(fd, "r+");
		await(fd, POLLOUT);
		fputs(request, stream);
		printf("%d ", fflush(stream));
		await(fd, POLLIN);
		fgets(answer, sizeof(answer), stream);
	} else if (strcmp(argv[2], "aio") == 0) {
		aio_write(&write_it);
		finish(&write_it);
		await(fd, POLLIN);
		aio_read(&read_it);
		finish(&read_it);
	} else {
		lio_listio(LIO_WAIT, (struct aiocb *[]){&write_it}, 1, NULL);
		finish(&write_it);
		await(fd, POLLIN);
		lio_listio(LIO_WAIT, (struct aiocb *[]){&read_it}, 1, NULL);
		finish(&read_it);
	}
	puts(answer);
	return 0;
}
"""


HEIRS = """
def heir(fd):
    return [sys.executable, "-c", sys.argv[2], str(fd)]
def shell_line(fd):
    import shlex
    return "exec " + shlex.join(heir(fd))
def ask(fd):
    other = socket.socket(fileno=os.dup(fd))
    expect("family", other.family, socket.AF_INET)
    expect("writable", poll_all(other, select.POLLOUT), [(other.fileno(), select.POLLOUT)])
    expect("send", error_of(other.send, request), len(request))
    expect("answer", answer_on(other), b"HTTP/1.1 200 OK")
"""


def while_held(name, expected, n_connections, command):
    """Runs a program while another one holds every connection that is allowed; afterwards the next program gets its
    turn."""
    with Capped(1) as (world, server):
        holder = world.start([PYTHON, "-c", HOLDER, str(server.port), "1"])
        holder.stdout.readline()
        outcome = world.run([word if word is not int else str(server.port) for word in command], 15)
        stats = server.stats()
        holder.communicate("")
        after = world.run(["curl", "-sS", "-m", "8", server.url("/bytes/10")])
        tally.expect("let through: " + name, (outcome.status, outcome.output, stats["connections"], after.status) == (0, expected, n_connections, 0),
                     "%s %s %s %s %s" % (outcome.status, outcome.output, stats, outcome.errors.decode(), after.errors))


def test_cap_hand_over():
    """A descriptor whose new owner can't be queued gets a connection beyond the limit."""
    for name, code in LET_THROUGH.items():
        while_held(name, b"", 2, [PYTHON, "-c", WAITING + HEIRS + code, int, HEIR])
    for name, code in KEPT_WAITING.items():
        while_held(name, b"", 1, [PYTHON, "-c", WAITING + code + 'expect("recv", error_of(s.recv, 1), "EAGAIN")\n', int])
    with tempfile.TemporaryDirectory() as folder:
        program = compile_to(folder, "strangers", STRANGERS)
        for name, expected in ("fdopen", b"0 HTTP/1.1 200 OK\n"), ("aio", b"35 15 HTTP/1.1 200 OK\n"), ("lio", b"35 15 HTTP/1.1 200 OK\n"):
            while_held(name, expected, 2, [program, int, name])
