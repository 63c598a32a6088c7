/*
 * libgnutls by its many ways: gnutls_ways WAY CA URL... See the table of ways below.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4

static const char *way;
static gnutls_certificate_credentials_t credentials;
static gnutls_datum_t ticket;
static __thread unsigned n_asked;
static unsigned n_lines;

static bool is(const char *name)
{
	return strcmp(way, name) == 0;
}

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

/* Random numbers, keys and bytes on a socket that are none of the handshake's. */
static void use_library(void)
{
	static const char hello[] = "\x16\x03\x01\x00\x02zz";
	gnutls_privkey_t key;
	char bytes[16];
	int pair[2];

	gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof(bytes));
	gnutls_privkey_init(&key);
	gnutls_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_privkey_deinit(key);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		exit(5);
	if (send(pair[0], hello, sizeof(hello), 0) != (ssize_t)sizeof(hello) ||
	    recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT) != (ssize_t)sizeof(hello))
		printf("(lost) ");
	close(pair[0]);
	close(pair[1]);
}

static int on_verify(gnutls_session_t session)
{
	unsigned status = 0;

	use_library();
	gnutls_certificate_verify_peers3(session, "localhost", &status);
	if (is("later") && n_asked++ == 0)
		return GNUTLS_E_AGAIN;
	return status ? -1 : 0;
}

static int on_key(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	(void)session;
	printf("(%s %u) ", label, secret->size);
	return 0;
}

static int on_message(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
		      const gnutls_datum_t *message)
{
	(void)session;
	(void)when;
	(void)message;
	printf("(%u %u) ", type, incoming);
	return is("ticket-refused") ? GNUTLS_E_MEMORY_ERROR : 0;
}

static void on_log(int level, const char *line)
{
	(void)level;
	n_lines += line != NULL;
}

static ssize_t push(gnutls_transport_ptr_t pointer, const void *bytes, size_t length)
{
	return send((int)(long)pointer, bytes, length, 0);
}

static ssize_t pull(gnutls_transport_ptr_t pointer, void *bytes, size_t length)
{
	return recv((int)(long)pointer, bytes, length, 0);
}

static void set_priority(gnutls_session_t session)
{
	gnutls_priority_t priority;

	if (is("object")) {
		gnutls_priority_init(&priority, "NORMAL:-GROUP-ALL:+GROUP-SECP256R1", NULL);
		gnutls_priority_set(session, priority);
		gnutls_priority_deinit(priority);
	} else if (is("append")) {
		gnutls_set_default_priority_append(session, "-VERS-TLS1.1", NULL, 0);
	} else {
		gnutls_set_default_priority(session);
	}
}

static void set(gnutls_session_t session, int fd)
{
	set_priority(session);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", strlen("localhost"));
	if (is("judge"))
		gnutls_session_set_verify_function(session, on_verify);
	else if (!is("later") && !is("judges"))
		gnutls_session_set_verify_cert(session, "localhost", 0);
	if (is("timeout"))
		gnutls_handshake_set_timeout(session, 2000);
	if (is("keylog"))
		gnutls_session_set_keylog_function(session, on_key);
	if (is("hook"))
		gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_POST, on_message);
	if (is("ticket-hook") || is("ticket-refused"))
		gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_BOTH,
						   on_message);
	if (is("ticket") && ticket.size)
		gnutls_session_set_data(session, ticket.data, ticket.size);
	if (is("small"))
		gnutls_record_set_max_recv_size(session, 4096);
	gnutls_transport_set_int(session, fd);
	if (is("functions")) {
		gnutls_transport_set_push_function(session, push);
		gnutls_transport_set_pull_function(session, pull);
	}
}

static void await(int fd, gnutls_session_t session)
{
	struct pollfd entry = {.fd = fd, .events = gnutls_record_get_direction(session) ? POLLOUT : POLLIN};

	if (poll(&entry, 1, 10000) == 0)
		exit(6);
}

static int shake_hands(gnutls_session_t session, int fd)
{
	int result;

	while ((result = gnutls_handshake(session)) < 0 && !gnutls_error_is_fatal(result))
		if (is("nonblock"))
			await(fd, session);
	return result;
}

static void look_at(gnutls_session_t session)
{
	char bytes[32];

	if (is("export"))
		gnutls_prf_rfc5705(session, 5, "label", 0, NULL, sizeof(bytes), bytes);
	if (is("ticket")) {
		gnutls_free(ticket.data);
		gnutls_session_get_data2(session, &ticket);
	}
}

static void exchange(gnutls_session_t session, int fd, const char *path)
{
	char bytes[1500];
	ssize_t n;
	int length = snprintf(bytes, sizeof(bytes), "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

	gnutls_record_send(session, bytes, (size_t)length);
	while ((n = gnutls_record_recv(session, bytes, sizeof(bytes))) > 0 || (n < 0 && !gnutls_error_is_fatal((int)n)))
		if (n > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
		else if (is("nonblock"))
			await(fd, session);
	printf("(end %zd)\n", n);
	gnutls_bye(session, GNUTLS_SHUT_RDWR);
}

/* In a child, where the way says so. */
static void exchange_somewhere(gnutls_session_t session, int fd, const char *path)
{
	pid_t child = is("fork") ? (fflush(stdout), fork()) : 0;

	if (child) {
		waitpid(child, NULL, 0);
		return;
	}
	exchange(session, fd, path);
	if (is("fork")) {
		fflush(stdout);
		_exit(0);
	}
}

static void get_url(char *url)
{
	char *host = strstr(url, "://") + 3, *port = strchr(host, ':'), *path = strchr(host, '/');
	gnutls_session_t session;
	int fd, result;

	host = strndup(host, (size_t)(port - host));
	port = strndup(port + 1, (size_t)(path - port - 1));
	fd = dial(host, port);
	if (is("nonblock"))
		fcntl(fd, F_SETFL, O_NONBLOCK);
	n_asked = 0;
	gnutls_init(&session, GNUTLS_CLIENT | (is("nonblock") ? GNUTLS_NONBLOCK : 0));
	set(session, fd);
	result = shake_hands(session, fd);
	if (result < 0) {
		printf("handshake: %s\n", gnutls_strerror(result));
	} else {
		look_at(session);
		exchange_somewhere(session, fd, path + 1);
	}
	gnutls_deinit(session);
	close(fd);
	free(host);
	free(port);
}

static void *get_urls(void *urls)
{
	for (char **url = urls; *url; url++)
		get_url(*url);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc < 4)
		return 2;
	way = argv[1];
	if (is("log")) {
		gnutls_global_set_log_function(on_log);
		gnutls_global_set_log_level(2);
	}
	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_certificate_set_x509_trust_file(credentials, argv[2], GNUTLS_X509_FMT_PEM);
	if (is("later") || is("judges"))
		gnutls_certificate_set_verify_function(credentials, on_verify);
	for (unsigned i = 0; i < THREADS && is("threads"); i++)
		if (pthread_create(&threads[i], NULL, get_urls, argv + 3))
			return 4;
	for (unsigned i = 0; i < THREADS && is("threads"); i++)
		pthread_join(threads[i], NULL);
	if (!is("threads"))
		get_urls(argv + 3);
	gnutls_certificate_free_credentials(credentials);
	gnutls_free(ticket.data);
	if (is("log"))
		printf("%u lines\n", n_lines);
	return 0;
}
