/*
 * A library whose constructor runs before those of preloaded libraries, as with every library that a program needs, and
 * which allocates and uses the network there. EARLY_PORT has the server's port.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int early_bytes;
int early_kept_fd = -1;
void *volatile early_block;

static int dial(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&address, sizeof address) ? -1 : fd;
}

static int ask(int fd)
{
	static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

	return write(fd, request, sizeof request - 1) < 0 ? -1 : 0;
}

__attribute__((constructor)) static void early(void)
{
	const char *port = getenv("EARLY_PORT");
	char bytes[1000];
	long n;
	int fd;

	early_block = malloc(10);
	if (!port)
		return;
	for (int i = 0; i < 2; i++) {
		fd = dial(atoi(port));
		if (fd < 0 || ask(fd))
			return;
		while ((n = read(fd, bytes, sizeof bytes)) > 0)
			early_bytes += (int)n;
		close(fd);
	}
	early_kept_fd = dial(atoi(port));
	if (early_kept_fd >= 0)
		ask(early_kept_fd);
}
