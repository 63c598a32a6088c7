/*
 * libssl on memory BIOs, the bytes carried by the program: openssl_memory WAY CA URL... WAY is how it goes on once it
 * has sent its ClientHello: `plain` (asks libssl each time), `read` (SSL_read() makes the rest of the handshake),
 * `header` (reads a record's header first), `peek`, `names` (asks the socket what it is), `dup` (goes on with another
 * number), `close` (gives up, every other time), `free` (of the SSL, likewise), `shutdown` (of the socket), `epoll`
 * (edge-triggered, non-blocking), `fork` (the child goes on), `again` (asks libssl before anything has come),
 * `swapped` (two handshakes at once, sent in the other order), `drain` (reads until nothing is there), `whole` (asks
 * for whole records, MSG_WAITALL), `count` (waits until a header can be read, FIONREAD), `constant` (a BIO of what was
 * read, each time), `reader` (another thread receives), `waiter` (another thread has waited for it since it was
 * connected).
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct client {
	SSL *ssl;
	BIO *in, *out;
	int fd;
	bool is_asked; /* the ClientHello has been sent */
};

static const char *way;

static bool is_way(const char *name)
{
	return strcmp(way, name) == 0;
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		exit(3);
	fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		perror("connect");
	freeaddrinfo(found);
	return fd;
}

static void begin(struct client *client, SSL_CTX *context, const char *host, const char *port)
{
	client->fd = dial(host, port);
	client->ssl = SSL_new(context);
	client->in = BIO_new(BIO_s_mem());
	client->out = BIO_new(BIO_s_mem());
	client->is_asked = false;
	BIO_set_mem_eof_return(client->in, -1);
	SSL_set_bio(client->ssl, client->in, client->out);
	SSL_set_tlsext_host_name(client->ssl, host);
	SSL_set1_host(client->ssl, host);
	SSL_set_connect_state(client->ssl);
}

/* What poll(2) says, but for the wait. */
static void await(int fd, short events)
{
	static int set = -1;
	struct pollfd entry = {.fd = fd, .events = events};

	if (!is_way("epoll")) {
		poll(&entry, 1, 5000);
		return;
	}
	if (set < 0)
		set = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd});
	epoll_wait(set, &(struct epoll_event){0}, 1, 50);
}

static void flush(struct client *client)
{
	char bytes[20000];
	int length;

	while ((length = BIO_read(client->out, bytes, sizeof(bytes))) > 0)
		for (int at = 0; at < length;) {
			ssize_t n = send(client->fd, bytes + at, (size_t)(length - at), MSG_NOSIGNAL);

			if (n > 0)
				at += (int)n;
			else if (errno == EAGAIN)
				await(client->fd, POLLOUT);
			else
				return;
		}
}

/* Bounded: it is to fail rather than to hang. */
static void await_header(int fd)
{
	int n = 0;

	for (int i = 0; i < 5000 && n < 5; i++) {
		ioctl(fd, FIONREAD, &n);
		usleep(1000);
	}
	if (n < 5)
		printf("no header: %d\n", n);
}

struct read {
	int fd;
	char bytes[20000];
	ssize_t n;
};

static void *read_in_thread(void *argument)
{
	struct read *read = argument;

	read->n = recv(read->fd, read->bytes, sizeof(read->bytes), 0);
	return NULL;
}

static void *wait_in_thread(void *argument)
{
	struct pollfd entry = {.fd = *(int *)argument, .events = POLLIN};

	return (void *)(long)poll(&entry, 1, 5000);
}

static ssize_t take_record(int fd, char *bytes)
{
	ssize_t n = recv(fd, bytes, 5, MSG_WAITALL), length;

	if (n < 5) {
		printf("header: %zd\n", n);
		return n;
	}
	length = (unsigned char)bytes[3] << 8 | (unsigned char)bytes[4];
	n = recv(fd, bytes + 5, (size_t)length, MSG_WAITALL);
	if (n < length)
		printf("record: %zd of %zd\n", n, length);
	return n < 0 ? n : 5 + n;
}

/* What is there, by the way. */
static ssize_t take(struct client *client, char *bytes, size_t room)
{
	struct read read = {.fd = client->fd};
	pthread_t thread;
	ssize_t n, total;

	if (is_way("peek"))
		recv(client->fd, bytes, room, MSG_PEEK);
	if (is_way("count"))
		await_header(client->fd);
	if (is_way("reader")) {
		pthread_create(&thread, NULL, read_in_thread, &read);
		pthread_join(thread, NULL);
		memcpy(bytes, read.bytes, read.n > 0 ? (size_t)read.n : 0);
		return read.n;
	}
	if (is_way("whole"))
		return take_record(client->fd, bytes);
	if (is_way("header"))
		return recv(client->fd, bytes, 5, 0);
	total = n = recv(client->fd, bytes, room, 0);
	while (is_way("drain") && n > 0 &&
	       (n = recv(client->fd, bytes + total, room - (size_t)total, MSG_DONTWAIT)) > 0)
		total += n;
	return total;
}

/* False: the end. */
static bool fill(struct client *client)
{
	char bytes[20000];
	ssize_t n;

	await(client->fd, POLLIN);
	n = take(client, bytes, sizeof(bytes));
	if (n > 0 && is_way("constant")) {
		static char kept[20000];

		memcpy(kept, bytes, (size_t)n);
		client->in = BIO_new_mem_buf(kept, (int)n);
		BIO_set_mem_eof_return(client->in, -1);
		SSL_set0_rbio(client->ssl, client->in);
	} else if (n > 0) {
		BIO_write(client->in, bytes, (int)n);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		BIO_set_mem_eof_return(client->in, 0);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* What the socket says of itself, that does not differ from run to run. */
static void show_names(int fd)
{
	struct sockaddr_in name;
	socklen_t length = sizeof(name);
	int value = -1, error = -1, type = -1, waiting = -1;

	getpeername(fd, (struct sockaddr *)&name, &length);
	printf("peer: family %d, length %d, ", name.sin_family, (int)length);
	length = sizeof(name);
	getsockname(fd, (struct sockaddr *)&name, &length);
	printf("local: family %d, length %d\n", name.sin_family, (int)length);
	printf("nodelay: %d, ", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	length = sizeof(value);
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length);
	length = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	length = sizeof(type);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &length);
	printf("%d, error %d, domain %d\n", value, error, type);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	printf("flags: %o\n", fcntl(fd, F_GETFL) & ~02000000);
	await(fd, POLLIN);
	ioctl(fd, FIONREAD, &waiting);
	printf("readable: %d\n", waiting > 0);
}

/* The ClientHello has been sent. False: this one is given up. */
static bool go_on(struct client *client)
{
	static int n;
	int fd = client->fd;

	client->is_asked = true;
	if (is_way("names")) {
		show_names(fd);
	} else if (is_way("dup")) {
		client->fd = dup(fd);
		close(fd);
	} else if (is_way("close") && n++ % 2 == 0) {
		return false;
	} else if (is_way("shutdown") && n++ % 2 == 0) {
		shutdown(fd, SHUT_RDWR);
		return false;
	} else if (is_way("free") && n++ % 2 == 0) {
		SSL_free(client->ssl);
		client->ssl = NULL;
		return false;
	} else if (is_way("epoll")) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
	} else if (is_way("again")) {
		printf("again: %d\n", SSL_do_handshake(client->ssl));
	}
	return true;
}

/* SSL_do_handshake(), or SSL_read() where that is the way. */
static bool shake_hands(struct client *client)
{
	char byte;

	for (;;) {
		int result = !is_way("read") || !client->is_asked ? SSL_do_handshake(client->ssl)
								  : SSL_read(client->ssl, &byte, 0);

		flush(client);
		if (SSL_is_init_finished(client->ssl))
			return true;
		if (SSL_get_error(client->ssl, result) != SSL_ERROR_WANT_READ) {
			printf("handshake: %d %s\n", SSL_get_error(client->ssl, result),
			       ERR_reason_error_string(ERR_get_error()));
			return false;
		}
		if (!client->is_asked && !go_on(client))
			return false;
		fill(client);
	}
}

static void exchange(struct client *client, const char *request)
{
	char bytes[3000];
	int n;

	SSL_write(client->ssl, request, (int)strlen(request));
	flush(client);
	for (;;) {
		n = SSL_read(client->ssl, bytes, sizeof(bytes));
		if (n > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
		else if (SSL_get_error(client->ssl, n) != SSL_ERROR_WANT_READ || !fill(client))
			break;
	}
	printf("\nend: %d, %s, %s, verified %ld\n", SSL_get_error(client->ssl, n), SSL_get_version(client->ssl),
	       SSL_get_cipher(client->ssl), SSL_get_verify_result(client->ssl));
	SSL_shutdown(client->ssl);
	flush(client);
}

static void end(struct client *client)
{
	SSL_free(client->ssl);
	close(client->fd);
}

static void get(struct client *client, const char *request)
{
	pid_t child = 0;
	pthread_t waiter = 0;
	void *n_ready = (void *)1;

	if (is_way("waiter")) {
		pthread_create(&waiter, NULL, wait_in_thread, &client->fd);
		usleep(50000);
	}

	if (is_way("fork")) {
		SSL_do_handshake(client->ssl);
		flush(client);
		client->is_asked = true;
		fflush(stdout);
		child = fork();
	}
	if (child) {
		close(client->fd);
		waitpid(child, NULL, 0);
		return;
	}
	if (shake_hands(client))
		exchange(client, request);
	if (waiter)
		pthread_join(waiter, &n_ready);
	if (!n_ready)
		puts("its waiter was not woken");
	end(client);
	if (is_way("fork")) {
		fflush(stdout);
		_exit(0);
	}
}

/* Both have made their ClientHello before one is sent. */
static void get_swapped(struct client *first, SSL_CTX *context, const char *host, const char *port, const char *request)
{
	struct client second;

	begin(&second, context, host, port);
	SSL_do_handshake(first->ssl);
	SSL_do_handshake(second.ssl);
	flush(&second);
	flush(first);
	get(first, request);
	get(&second, request);
}

int main(int argc, char **argv)
{
	way = argv[1];
	for (int i = 3; i < argc; i++) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		char host[100], port[10], path[1000], request[1300];
		struct client client;

		if (sscanf(argv[i], "https://%99[^:]:%9[0-9]%999s", host, port, path) != 3)
			return 2;
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", path,
			 host, port);
		SSL_CTX_load_verify_locations(context, argv[2], NULL);
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		begin(&client, context, host, port);
		if (is_way("swapped"))
			get_swapped(&client, context, host, port, request);
		else
			get(&client, request);
		SSL_CTX_free(context);
	}
	return 0;
}
