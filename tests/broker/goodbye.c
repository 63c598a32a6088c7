/* A library that keeps a connection, and sends a last request over it from its destructor. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int connection = -1;

static void ask(const char *path)
{
	char bytes[1000];
	int n = sprintf(bytes, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	ssize_t sent = send(connection, bytes, (size_t)n, MSG_NOSIGNAL);
	ssize_t received = recv(connection, bytes, sizeof bytes, 0);

	printf("%s: sent %d, answered %d\n", path, sent == n, received > 0);
	fflush(stdout);
}

void hello(int port);
void hello(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connection = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0)
		ask("/bytes/10");
}

__attribute__((destructor)) static void say_goodbye(void)
{
	if (connection >= 0)
		ask("/bytes/20");
}
