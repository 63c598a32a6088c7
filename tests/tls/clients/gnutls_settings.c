/*
 * libgnutls with one seldom setting: gnutls_settings SETTING CA URL... The settings are in the table below. `refuse`: a
 * judge of the program's own refuses each second certificate; the server is told why.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/socket.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static gnutls_certificate_credentials_t credentials;
static unsigned n_sessions;

static void set_random(gnutls_session_t session)
{
	unsigned char bytes[32];
	gnutls_datum_t random = {bytes, sizeof(bytes)};

	gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof(bytes));
	gnutls_handshake_set_random(session, &random);
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level, const void *read,
		     const void *write, size_t size)
{
	(void)session;
	printf("(%d %d %d %zu) ", level, read != NULL, write != NULL, size);
	return 0;
}

static void set_secret(gnutls_session_t session)
{
	gnutls_handshake_set_secret_function(session, on_secret);
}

static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level, gnutls_alert_level_t severity,
		    gnutls_alert_description_t what)
{
	(void)session;
	(void)level;
	printf("(%d %d) ", severity, what);
	return 0;
}

static void set_alert_read(gnutls_session_t session)
{
	gnutls_alert_set_read_function(session, on_alert);
}

static void set_id(gnutls_session_t session)
{
	gnutls_datum_t id = {(unsigned char *)"0123456789abcdef0123456789abcdef", 32};

	printf("(%d) ", gnutls_session_set_id(session, &id) == 0);
}

static int parse(gnutls_session_t session, const unsigned char *bytes, size_t length)
{
	(void)session;
	(void)bytes;
	(void)length;
	return 0;
}

static int extend(gnutls_session_t session, gnutls_buffer_t to)
{
	(void)session;
	return gnutls_buffer_append_data(to, "x", 1) < 0 ? -1 : 1;
}

static void set_extension(gnutls_session_t session)
{
	gnutls_session_ext_register(session, "one of ours", 0xfff0, GNUTLS_EXT_TLS, parse, extend, NULL, NULL, NULL, 0);
}

static void set_private(gnutls_session_t session)
{
	gnutls_handshake_set_private_extensions(session, 1);
}

static int receive_supplement(gnutls_session_t session, const unsigned char *bytes, size_t length)
{
	return parse(session, bytes, length);
}

static int send_supplement(gnutls_session_t session, gnutls_buffer_t to)
{
	(void)session;
	(void)to;
	return 0;
}

static void set_supplement(gnutls_session_t session)
{
	gnutls_session_supplemental_register(session, "one of ours", 0xfff1, receive_supplement, send_supplement, 0);
}

static void set_heartbeat(gnutls_session_t session)
{
	gnutls_heartbeat_enable(session, GNUTLS_HB_PEER_ALLOWED_TO_SEND);
}

static int wait_for(gnutls_transport_ptr_t pointer, unsigned timeout_ms)
{
	return gnutls_system_recv_timeout(pointer, timeout_ms);
}

static void set_wait(gnutls_session_t session)
{
	gnutls_transport_set_pull_timeout_function(session, wait_for);
}

static int get_errno(gnutls_transport_ptr_t pointer)
{
	(void)pointer;
	return 0;
}

static void set_errno(gnutls_session_t session)
{
	gnutls_transport_set_errno_function(session, get_errno);
}

static void set_nobody(gnutls_session_t session)
{
	gnutls_anon_client_credentials_t nobody;

	gnutls_anon_allocate_client_credentials(&nobody);
	gnutls_credentials_set(session, GNUTLS_CRD_ANON, nobody);
}

static void set_verify2(gnutls_session_t session)
{
	static gnutls_typed_vdata_st name = {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)"localhost", 0};

	gnutls_session_set_verify_cert2(session, &name, 1, 0);
}

static void set_wrong_verify2(gnutls_session_t session)
{
	static gnutls_typed_vdata_st name = {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)"wrong.test", 0};

	if (n_sessions % 2)
		gnutls_session_set_verify_cert2(session, &name, 1, 0);
}

static void set_sizes(gnutls_session_t session)
{
	gnutls_record_set_max_size(session, 2048);
	gnutls_dh_set_prime_bits(session, 1024);
	gnutls_session_ticket_enable_client(session);
}

static int refuse(gnutls_session_t session)
{
	(void)session;
	return n_sessions % 2 ? -1 : 0;
}

static void set_refuse(gnutls_session_t session)
{
	gnutls_session_set_verify_function(session, refuse);
}

static const struct {
	const char *name;
	void (*set)(gnutls_session_t session);
} settings[] = {
	{"random", set_random},
	{"secret", set_secret},
	{"alert", set_alert_read},
	{"id", set_id},
	{"extension", set_extension},
	{"private", set_private},
	{"supplement", set_supplement},
	{"heartbeat", set_heartbeat},
	{"wait", set_wait},
	{"errno", set_errno},
	{"nobody", set_nobody},
	{"verify2", set_verify2},
	{"wrong-verify2", set_wrong_verify2},
	{"sizes", set_sizes},
	{"refuse", set_refuse},
};

static void apply(gnutls_session_t session, const char *name)
{
	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].name, name) == 0)
			return settings[i].set(session);
	exit(2);
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		exit(3);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		exit(4);
	freeaddrinfo(found);
	return fd;
}

static void exchange(gnutls_session_t session, const char *path)
{
	char bytes[1500];
	ssize_t n;
	int length = snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

	gnutls_record_send(session, bytes, (size_t)length);
	while ((n = gnutls_record_recv(session, bytes, sizeof(bytes))) > 0 || (n < 0 && !gnutls_error_is_fatal((int)n)))
		if (n > 0)
			fwrite(bytes, 1, (size_t)n, stdout);
	printf("(end %zd)\n", n);
	gnutls_bye(session, GNUTLS_SHUT_RDWR);
}

/* The server is told, and asked nothing. */
static void complain(gnutls_session_t session, int fd, int result)
{
	char bytes[100];

	printf("handshake: %s\n", gnutls_strerror(result));
	printf("alert: %d\n", gnutls_alert_send_appropriate(session, result));
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

static void get_url(const char *url, const char *setting)
{
	char host[100], port[10], path[1000];
	gnutls_session_t session;
	int fd, result;

	if (sscanf(url, "https://%99[^:]:%9[0-9]%999s", host, port, path) != 3)
		exit(2);
	fd = dial(host, port);
	gnutls_init(&session, GNUTLS_CLIENT);
	gnutls_set_default_priority(session);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_server_name_set(session, GNUTLS_NAME_DNS, host, strlen(host));
	gnutls_session_set_verify_cert(session, host, 0);
	gnutls_transport_set_int(session, fd);
	apply(session, setting);
	do
		result = gnutls_handshake(session);
	while (result < 0 && !gnutls_error_is_fatal(result));
	if (result < 0)
		complain(session, fd, result);
	else
		exchange(session, path);
	gnutls_deinit(session);
	close(fd);
	n_sessions++;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_certificate_set_x509_trust_file(credentials, argv[2], GNUTLS_X509_FMT_PEM);
	for (char **url = argv + 3; *url; url++)
		get_url(*url, argv[1]);
	gnutls_certificate_free_credentials(credentials);
	return 0;
}
