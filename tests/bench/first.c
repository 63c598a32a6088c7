/*
 * The first exchange of a process: a GET on a connection of its own, or on one that another process lends it, by no
 * more calls than that takes. What any library between the two adds can be told from the difference.
 *
 * first lend PATH PORT: lends a connection to 127.0.0.1:PORT to who asks at PATH. first bare|borrow PATH PORT: one GET
 * of /bytes/10; prints its microseconds.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* As long as Holdline's own: a question, an answer, the memory that a process and its broker share. */
#define QUESTION_LENGTH 272
#define ANSWER_LENGTH 56
#define MEMORY_LENGTH 345224
#define FIRST_HIGH 1024

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct sockaddr_un lender = {.sun_family = AF_UNIX};

static void must(int is_true, const char *what)
{
	if (is_true)
		return;
	perror(what);
	exit(1);
}

static void give(int fd, int memory, int connection)
{
	char answer[ANSWER_LENGTH] = "", control[CMSG_SPACE(2 * sizeof(int))] = "";
	int fds[2] = {memory, connection};
	struct iovec iov = {answer, sizeof(answer)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	must(sendmsg(fd, &message, MSG_NOSIGNAL) > 0, "sendmsg");
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

/* Ends with its standard input. */
static void lend(void)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), epoll = epoll_create1(0), memory = memfd_create("first", 0);
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	struct epoll_event event;
	char question[QUESTION_LENGTH];

	must(ftruncate(memory, MEMORY_LENGTH) == 0, "ftruncate");
	must(connect(connection, (struct sockaddr *)&server, sizeof(server)) == 0, "connect");
	must(bind(listener, (struct sockaddr *)&lender, sizeof(lender)) == 0 && listen(listener, 16) == 0, "bind");
	watch(epoll, listener);
	watch(epoll, STDIN_FILENO);
	while (epoll_wait(epoll, &event, 1, -1) > 0 && event.data.fd != STDIN_FILENO) {
		int fd = event.data.fd;
		ssize_t n;

		if (fd == listener)
			watch(epoll, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK));
		n = recv(fd, question, sizeof(question), MSG_DONTWAIT);
		if (n > 0)
			give(fd, memory, connection);
		else if (n == 0)
			close(fd);
	}
	unlink(lender.sun_path);
}

/* Leaves the connection at the program's own number, and the link above those that it uses. */
static volatile char *borrow(int fd)
{
	char question[QUESTION_LENGTH] = "", control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec iov = {question, sizeof(question)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct ucred peer;
	socklen_t length = sizeof(peer);
	int link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fds[2];
	void *memory;

	must(connect(link, (struct sockaddr *)&lender, sizeof(lender)) == 0, "connect");
	must(getsockopt(link, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0, "getsockopt");
	must(send(link, question, sizeof(question), 0) > 0, "send");
	must(fcntl(link, F_DUPFD_CLOEXEC, FIRST_HIGH) == FIRST_HIGH, "fcntl");
	close(link);
	must(recvmsg(FIRST_HIGH, &message, 0) > 0, "recvmsg");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	memory = mmap(NULL, MEMORY_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	must(memory != MAP_FAILED && dup3(fds[1], fd, 0) == fd, "mmap");
	close(fds[0]);
	close(fds[1]);
	return memory;
}

static void exchange(int fd)
{
	static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\n";
	char answer[4096];

	must(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0, "send");
	must(recv(fd, answer, sizeof(answer), 0) > 0, "recv");
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	volatile char *memory = NULL;
	int fd;

	if (argc != 4)
		return 2;
	strncpy(lender.sun_path, argv[2], sizeof(lender.sun_path) - 1);
	server.sin_port = htons((unsigned short)atoi(argv[3]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (strcmp(argv[1], "lend") == 0) {
		lend();
		return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (strcmp(argv[1], "borrow") == 0)
		memory = borrow(fd);
	else
		must(connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0, "connect");
	exchange(fd);
	if (memory)
		memory[0] = 1;
	close(fd);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.3f\n", (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3);
	return 0;
}
