/* PORT N: so many requests, each on a connection of its own, as simple clients make them; prints the answers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char request[] = "GET /bytes/1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char bytes[4096];
	ssize_t n;

	if (argc != 3)
		return 2;
	server.sin_port = htons((unsigned short)atoi(argv[1]));
	for (int i = atoi(argv[2]); i > 0; i--) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0 ||
		    write(fd, request, strlen(request)) != (ssize_t)strlen(request))
			return 1;
		while ((n = read(fd, bytes, sizeof(bytes))) > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
		close(fd);
	}
	return 0;
}
