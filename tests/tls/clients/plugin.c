/* A plugin that asks by HTTPS: with GnuTLS, or with OpenSSL where PLUGIN_OPENSSL is defined. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef PLUGIN_OPENSSL
#include <openssl/ssl.h>
#else
#include <gnutls/gnutls.h>
#endif

static int connect_to(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		exit(2);
	return fd;
}

/* What the server answers to `request`, in static memory; NULL: it failed. */
const char *plugin_ask(const char *ca, int port, const char *request);

#ifdef PLUGIN_OPENSSL
const char *plugin_ask(const char *ca, int port, const char *request)
{
	static char answer[4096];
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	int fd = connect_to(port), n, total = 0;

	SSL_CTX_load_verify_locations(context, ca, NULL);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(context);
	SSL_set_tlsext_host_name(ssl, "localhost");
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, (int)strlen(request)) <= 0)
		return NULL;
	while ((n = SSL_read(ssl, answer + total, (int)sizeof(answer) - 1 - total)) > 0)
		total += n;
	answer[total] = '\0';
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
	return answer;
}
#else
const char *plugin_ask(const char *ca, int port, const char *request)
{
	static char answer[4096];
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	int fd = connect_to(port), total = 0, result;
	ssize_t n;

	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_certificate_set_x509_trust_file(credentials, ca, GNUTLS_X509_FMT_PEM);
	gnutls_init(&session, GNUTLS_CLIENT);
	gnutls_set_default_priority(session);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", 9);
	gnutls_session_set_verify_cert(session, "localhost", 0);
	gnutls_transport_set_int(session, fd);
	do
		result = gnutls_handshake(session);
	while (result < 0 && !gnutls_error_is_fatal(result));
	if (result < 0 || gnutls_record_send(session, request, strlen(request)) <= 0)
		return NULL;
	do {
		n = gnutls_record_recv(session, answer + total, sizeof(answer) - 1 - (size_t)total);
		total += n > 0 ? (int)n : 0;
	} while (n > 0 || n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
	answer[total] = '\0';
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	return answer;
}
#endif
