/* Bad pointers, closed descriptors and wrong kinds: the errors of the kernel, at every stage. */
#include "tests/lib/probe.h"

#include <sys/uio.h>

static char *bad_pointer(void)
{
	return (char *)8;
}

static void try_all(const char *when, int fd)
{
	say("%s:", when);
	CALL(write(fd, bad_pointer(), 10));
	CALL(send(fd, bad_pointer(), 10, MSG_NOSIGNAL));
	CALL(send(fd, NULL, 10, MSG_NOSIGNAL));
	CALL(sendto(fd, bad_pointer(), 10, MSG_NOSIGNAL, NULL, 0));
	CALL(recv(fd, bad_pointer(), 10, MSG_DONTWAIT));
	CALL(recvfrom(fd, bad_pointer(), 10, MSG_DONTWAIT, NULL, NULL));
	CALL(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL)));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(listen(fd, 1) && errno != EINVAL);
	CALL(ftruncate(fd, 0));
	CALL(fsync(fd));
}

static void run_stages(void)
{
	int fd = probe_dial();

	try_all("connected", fd);
	probe_ask(fd, "/bytes/10");
	probe_settle();
	CALL(read(fd, bad_pointer(), 10));
	CALL(recv(fd, bad_pointer(), 10, MSG_PEEK));
	probe_drain(fd);
	CALL(read(fd, bad_pointer(), 10));
	CALL(recv(fd, bad_pointer(), 10, 0));
	CALL(close(fd));
	try_all("closed", fd);
	try_all("minus one", -1);
}

/* If a request's end lies outside of the memory, only its start goes out, or nothing. */
static void run_half_bad(void)
{
	long page = sysconf(_SC_PAGESIZE);
	int file = open("/dev/zero", O_RDWR), fd = probe_dial();
	char *memory = NULL;
	static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

	close(file);
	if (posix_memalign((void **)&memory, (size_t)page, (size_t)(2 * page)))
		return;
	memcpy(memory, request, sizeof request);
	CALL(write(fd, memory, sizeof request - 1));
	probe_drain(fd);
	CALL(close(fd));
	free(memory);
}

static void run_wrong_kind(void)
{
	int file = open("/dev/null", O_RDWR), pipes[2], pair[2];
	char byte = 'x';

	probe_exchange("/bytes/10");
	CALL(pipe(pipes));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CALL(send(file, &byte, 1, 0));
	CALL(recv(pipes[0], &byte, 1, 0));
	CALL(shutdown(file, SHUT_RDWR));
	CALL(connect(pair[0], (struct sockaddr *)&probe_server, sizeof probe_server));
	CALL(write(pipes[1], &byte, 1));
	CALL(read(pipes[0], &byte, 1));
	CALL(write(pair[0], &byte, 1));
	CALL(read(pair[1], &byte, 1));
	CALL(shutdown(pair[0], SHUT_WR));
	CALL(read(pair[1], &byte, 1));
	for (int i = 0; i < 2; i++) {
		CALL(close(pipes[i]));
		CALL(close(pair[i]));
	}
	CALL(close(file));
}

static void run_socket_arguments(void)
{
	CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	CALL(socket(AF_INET, 99, 0));
	CALL(socket(999, SOCK_STREAM, 0));
	CALL(socket(AF_INET, SOCK_STREAM | 0x10000000, 0));
	for (int i = 0; i < 2; i++) {
		int fd = (int)CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));

		CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(close(fd));
	}
}

/* A server in the same process: the shim leaves listening and accepted sockets alone. */
static void run_own_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = probe_server.sin_addr};
	socklen_t length = sizeof address;
	int listener = probe_socket(), client, accepted;
	char bytes[200] = "";

	CALL(bind(listener, (struct sockaddr *)&address, sizeof address));
	CALL(listen(listener, 5));
	CALL(getsockname(listener, (struct sockaddr *)&address, &length));
	for (int i = 0; i < 3; i++) {
		client = probe_socket();
		CALL(connect(client, (struct sockaddr *)&address, sizeof address));
		CALL(write(client, "GET / HTTP/1.0\r\n\r\n", 18));
		accepted = accept(listener, NULL, NULL);
		say("accepted %d, listener %d, client %d", accepted, listener, client);
		CALL(recv(accepted, bytes, 18, MSG_PEEK) > 0);
		CALL(read(accepted, bytes, sizeof bytes) >= 18);
		CALL(write(accepted, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 40));
		CALL(shutdown(accepted, SHUT_WR));
		probe_drain(client);
		CALL(close(client));
		CALL(read(accepted, bytes, sizeof bytes));
		CALL(close(accepted));
	}
	CALL(close(listener));
}

static const struct probe_case cases[] = {
	{"stages", run_stages},		{"half-bad", run_half_bad},
	{"wrong-kind", run_wrong_kind}, {"socket-arguments", run_socket_arguments},
	{"own-server", run_own_server},
};
PROBE_MAIN(cases)
