/* A program with a plugin that asks by HTTPS and is unloaded while its connections are kept: unloads PLUGIN CA URL...
 * Each URL is asked twice by a plugin that is loaded anew. Between them the program connects itself, when what was
 * kept has been idle for too long. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef const char *ask_function(const char *ca, int port, const char *request);

static int port_of(const char *url)
{
	return atoi(strrchr(url, ':') + 1);
}

static void ask(ask_function *function, const char *ca, const char *url)
{
	char request[512];
	const char *answer, *body;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		 strchr(strrchr(url, ':'), '/'));
	answer = function(ca, port_of(url), request);
	body = answer ? strstr(answer, "\r\n\r\n") : NULL;
	printf("%s\n", body ? body + 4 : "failed");
}

static void connect_itself(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		puts("not connected");
	close(fd);
}

int main(int count, char **arguments)
{
	for (int i = 3; i < count; i++) {
		void *plugin = dlopen(arguments[1], RTLD_NOW);
		ask_function *function = plugin ? (ask_function *)dlsym(plugin, "plugin_ask") : NULL;

		if (!function) {
			printf("no plugin: %s\n", dlerror());
			return 1;
		}
		ask(function, arguments[2], arguments[i]);
		ask(function, arguments[2], arguments[i]);
		dlclose(plugin);
		usleep(2200000);
		connect_itself(port_of(arguments[i]));
	}
	return 0;
}
