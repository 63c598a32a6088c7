/*
 * libssl by its seldom ways: openssl_direct WAY CA URL... WAY: `write` (SSL_write() makes the handshake), `bio` (a BIO
 * chain connects by itself), `rbio` (two BIOs over one socket), `pairs` (BIO pairs that the program copies), `ktls`.
 */
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *way;

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &found))
		exit(3);
	for (struct addrinfo *at = found; at; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM, 0);
		if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
			break;
		close(fd);
	}
	freeaddrinfo(found);
	return fd;
}

static SSL_CTX *make_context(const char *ca)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	SSL_CTX_load_verify_locations(context, ca, NULL);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (strcmp(way, "ktls") == 0)
		SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
	return context;
}

static void read_all(BIO *bio)
{
	char bytes[1500];
	int n;

	while ((n = BIO_read(bio, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, (size_t)n, stdout);
}

static void get_by_bio(SSL_CTX *context, const char *host, const char *port, const char *request)
{
	BIO *bio = BIO_new_ssl_connect(context);
	SSL *ssl;

	BIO_get_ssl(bio, &ssl);
	SSL_set_tlsext_host_name(ssl, host);
	SSL_set1_host(ssl, host);
	BIO_set_conn_hostname(bio, host);
	BIO_set_conn_port(bio, port);
	if (BIO_write(bio, request, (int)strlen(request)) <= 0)
		ERR_print_errors_fp(stdout);
	read_all(bio);
	BIO_free_all(bio);
}

/* Copies between the network's half of a pair and the socket. */
static void pump(BIO *network, int fd)
{
	char bytes[4096];
	int n;

	while ((n = BIO_read(network, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			return;
	if (BIO_ctrl_get_write_guarantee(network) >= sizeof(bytes) && (n = (int)read(fd, bytes, sizeof(bytes))) > 0)
		BIO_write(network, bytes, n);
	else if (n == 0)
		BIO_shutdown_wr(network);
}

static void get_by_pairs(SSL *ssl, int fd, const char *request)
{
	BIO *internal, *network;
	char bytes[1500];
	int n;

	BIO_new_bio_pair(&internal, 0, &network, 0);
	SSL_set_bio(ssl, internal, internal);
	while (SSL_connect(ssl) != 1)
		pump(network, fd);
	SSL_write(ssl, request, (int)strlen(request));
	while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0 || SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ)
		if (n > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
		else
			pump(network, fd);
	BIO_free(network);
}

static void get(SSL_CTX *context, const char *host, const char *port, const char *request)
{
	int fd = dial(host, port), n;
	SSL *ssl = SSL_new(context);
	char bytes[1500];

	SSL_set_tlsext_host_name(ssl, host);
	SSL_set1_host(ssl, host);
	if (strcmp(way, "pairs") == 0) {
		get_by_pairs(ssl, fd, request);
	} else {
		if (strcmp(way, "rbio") == 0)
			SSL_set_bio(ssl, BIO_new_socket(fd, BIO_NOCLOSE), BIO_new_socket(fd, BIO_NOCLOSE));
		else
			SSL_set_fd(ssl, fd);
		SSL_set_connect_state(ssl);
		if (SSL_write(ssl, request, (int)strlen(request)) <= 0)
			ERR_print_errors_fp(stdout);
		while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
		printf("\nend: %d, %s, %s\n", SSL_get_error(ssl, n), SSL_get_version(ssl), SSL_get_cipher(ssl));
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	close(fd);
}

int main(int argc, char **argv)
{
	way = argv[1];
	for (int i = 3; i < argc; i++) {
		SSL_CTX *context = make_context(argv[2]);
		char host[100], port[10], path[1000], request[1300];

		if (sscanf(argv[i], "https://%99[^:]:%9[0-9]%999s", host, port, path) != 3)
			return 2;
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", path,
			 host, port);
		if (strcmp(way, "bio") == 0)
			get_by_bio(context, host, port, request);
		else
			get(context, host, port, request);
		SSL_CTX_free(context);
	}
	return 0;
}
