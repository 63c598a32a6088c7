/*
 * What TLS costs a client's processor: tls_cost handshake|record CA HOST PORT N. Microseconds of this thread, last on
 * stderr: of a connection with its handshake, the median of N; or of 16 KiB of an answer of N times as many.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORD 16384
#define N_MAX 2000

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static SSL *dial(SSL_CTX *context, const struct sockaddr_in *address, const char *host)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *ssl = SSL_new(context);

	SSL_set1_host(ssl, host);
	SSL_set_fd(ssl, fd);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) || SSL_connect(ssl) != 1)
		exit(3);
	return ssl;
}

/* How long it took to read it. */
static double get(SSL *ssl, long length)
{
	static char bytes[RECORD];
	char request[200];
	double begin;
	int n;

	snprintf(request, sizeof(request), "GET /bytes/%ld HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", length);
	SSL_write(ssl, request, (int)strlen(request));
	begin = now();
	while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
		;
	begin = now() - begin;
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
	return begin;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[4]))};
	static double times[N_MAX];
	int n = argc > 5 ? atoi(argv[5]) : 1;

	SSL_CTX_load_verify_locations(context, argv[2], NULL);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	inet_pton(AF_INET, argv[3], &address.sin_addr);
	get(dial(context, &address, argv[3]), 10);
	if (strcmp(argv[1], "record") == 0) {
		fprintf(stderr, "%f\n", get(dial(context, &address, argv[3]), (long)n * RECORD) / n);
		return 0;
	}
	for (int i = 0; i < n && i < N_MAX; i++) {
		double begin = now();
		SSL *ssl = dial(context, &address, argv[3]);

		times[i] = now() - begin;
		get(ssl, 10);
	}
	qsort(times, (size_t)n, sizeof(*times), compare);
	fprintf(stderr, "%f\n", times[n / 2]);
	return 0;
}
