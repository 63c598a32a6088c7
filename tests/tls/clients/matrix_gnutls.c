/*
 * libgnutls under settings that change: matrix_gnutls FOLDER HOST PORT, with steps on standard input, a line each:
 * `LABEL|KEY=VALUE;...`. See matrix.py.
 */
#include <gnutls/gnutls.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tls/clients/steps.h"

static bool was_asked; /* in this step */

/* The program's own judgement, in the handshake. */
static int on_verify(gnutls_session_t session)
{
	unsigned status = 0, n = 0;
	const char *name = get("name") ? get("name") : "localhost";

	gnutls_certificate_get_peers(session, &n);
	gnutls_certificate_verify_peers3(session, is("check", "no") ? NULL : name, &status);
	/* One that refuses is asked again on a fresh connection. */
	if (!was_asked)
		printf("(asked: %u certificates, status %#x) ", n, status);
	was_asked = true;
	if (is("callback", "accept"))
		return 0;
	return is("callback", "reject") || status ? -1 : 0;
}

static gnutls_certificate_credentials_t make_credentials(void)
{
	gnutls_certificate_credentials_t credentials;

	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_certificate_set_x509_trust_file(credentials, file(get("ca") ? get("ca") : "ca.pem", ""),
					       GNUTLS_X509_FMT_PEM);
	if (get("crl"))
		gnutls_certificate_set_x509_crl_file(credentials, file(get("crl"), ""), GNUTLS_X509_FMT_PEM);
	if (get("certificate"))
		gnutls_certificate_set_x509_key_file(credentials, file(get("certificate"), ".pem"),
						     file(get("certificate"), ".key"), GNUTLS_X509_FMT_PEM);
	if (is("time", "ignored"))
		gnutls_certificate_set_verify_flags(credentials, GNUTLS_VERIFY_DISABLE_TIME_CHECKS);
	if (get("depth"))
		gnutls_certificate_set_verify_limits(credentials, 16384, (unsigned)atoi(get("depth")));
	if (get("callback"))
		gnutls_certificate_set_verify_function(credentials, on_verify);
	return credentials;
}

static void set(gnutls_session_t session)
{
	const char *name = get("name") ? get("name") : "localhost", *priority = get("priority");

	if (priority)
		gnutls_priority_set_direct(session, priority, NULL);
	else
		gnutls_set_default_priority(session);
	if (!is("sni", "no"))
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
	if (get("alpn")) {
		gnutls_datum_t protocol = {(unsigned char *)get("alpn"), (unsigned)strlen(get("alpn"))};
		gnutls_alpn_set_protocols(session, &protocol, 1, is("mandatory", "1") ? GNUTLS_ALPN_MANDATORY : 0);
	}
	if (!get("callback") && !is("verify", "none"))
		gnutls_session_set_verify_cert(session, is("check", "no") ? NULL : name, 0);
}

static void exchange(gnutls_session_t session)
{
	static const char REQUEST[] = "GET /bytes/20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char answer[4096], *body;
	size_t used = 0;
	ssize_t n;

	gnutls_record_send(session, REQUEST, sizeof(REQUEST) - 1);
	/* A ticket may come before the answer. */
	while ((n = gnutls_record_recv(session, answer + used, sizeof(answer) - 1 - used)) > 0 || n == GNUTLS_E_AGAIN ||
	       n == GNUTLS_E_INTERRUPTED)
		used += n > 0 ? (size_t)n : 0;
	answer[used] = '\0';
	body = strstr(answer, "\r\n\r\n");
	printf(", end %zd; %s", n, body ? body + 4 : answer);
	gnutls_bye(session, GNUTLS_SHUT_WR);
}

static void print_connection(gnutls_session_t session)
{
	char *description = gnutls_session_get_desc(session);
	gnutls_datum_t alpn = {0};
	unsigned n = 0;

	gnutls_certificate_get_peers(session, &n);
	gnutls_alpn_get_selected_protocol(session, &alpn);
	printf("%s, alpn %.*s, %u certificates, resumed %d, staple %d, asked %d", description, (int)alpn.size,
	       (const char *)alpn.data, n, gnutls_session_is_resumed(session),
	       gnutls_ocsp_status_request_is_checked(session, 0),
	       gnutls_certificate_client_get_request_status(session));
	gnutls_free(description);
}

static void step(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	gnutls_certificate_credentials_t credentials = make_credentials();
	gnutls_session_t session;
	int fd, result;

	if (getaddrinfo(host, port, &hints, &found))
		exit(3);
	fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		exit(4);
	freeaddrinfo(found);
	was_asked = false;
	gnutls_init(&session, GNUTLS_CLIENT);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	set(session);
	gnutls_transport_set_int(session, fd);
	do {
		result = gnutls_handshake(session);
	} while (result < 0 && !gnutls_error_is_fatal(result));
	if (result < 0) {
		unsigned status = gnutls_session_get_verify_cert_status(session);
		printf("handshake: %s, status %#x", gnutls_strerror(result),
		       result == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR ? status : 0);
	} else {
		print_connection(session);
		exchange(session);
	}
	printf("\n");
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	folder = argv[1];
	while (next_step())
		step(argv[2], argv[3]);
	return 0;
}
