/*
 * libssl under settings that change: matrix_openssl FOLDER HOST PORT, with steps on standard input, a line each:
 * `LABEL|KEY=VALUE;...`. See matrix.py. Here are the settings that only C has: verify callbacks of both kinds, depth,
 * DANE, hosts, the time of the verification, security levels, and callbacks that watch.
 */
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/tls/clients/steps.h"

static const char REQUEST[] = "GET /bytes/20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
static const char *server_host, *server_port;
static char trace[8192]; /* what callbacks have seen in this step */

/* Once a step: a callback that refuses is asked again on a fresh connection. */
static void note(const char *format, const char *text, int number)
{
	char word[128];
	size_t used = strlen(trace);

	snprintf(word, sizeof(word), format, text, number);
	if (!strstr(trace, word))
		snprintf(trace + used, sizeof(trace) - used, "%s", word);
}

/* ---- callbacks ---- */

static void fetch_inside(void);

static int on_verify(int fine, X509_STORE_CTX *store)
{
	int depth = X509_STORE_CTX_get_error_depth(store);

	if (is("callback", "fetch") && depth == 0)
		fetch_inside();
	if (is("callback", "reject") || (is("callback", "reject-leaf") && depth == 0) ||
	    (is("callback", "reject-authority") && depth > 0)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	return is("callback", "accept") ? 1 : fine;
}

static int on_whole_verify(X509_STORE_CTX *store, void *data)
{
	(void)data;
	if (is("whole", "reject"))
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return is("whole", "accept") ? 1 : is("whole", "reject") ? 0 : X509_verify_cert(store);
}

static void on_info(const SSL *ssl, int where, int value)
{
	if (where & SSL_CB_ALERT)
		note("[alert %s %d]", SSL_alert_desc_string(value), where);
	else if (where & (SSL_CB_HANDSHAKE_DONE | SSL_CB_HANDSHAKE_START))
		note("[%s %d]", SSL_state_string(ssl), where);
}

static int on_status(SSL *ssl, void *data)
{
	const unsigned char *bytes;
	long length = SSL_get_tlsext_status_ocsp_resp(ssl, &bytes);

	(void)data;
	note("[%s %d]", "staple", (int)length);
	return !is("staple", "demand") || length > 0;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	note("[%s %d]", "session", SSL_SESSION_is_resumable(session));
	return 0;
}

static void on_keylog(const SSL *ssl, const char *line)
{
	char label[64];

	(void)ssl;
	snprintf(label, sizeof(label), "%.*s", (int)strcspn(line, " "), line);
	note("[key %s]", label, 0);
}

static int on_client_certificate(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
	(void)ssl, (void)certificate, (void)key;
	note("[%s]", "asked", 0);
	return 0;
}

/* ---- settings ---- */

static void set_trust(SSL_CTX *context)
{
	X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
	const char *value;

	SSL_CTX_load_verify_locations(context, file(get("ca") ? get("ca") : "ca.pem", ""), NULL);
	SSL_CTX_set_verify(context, is("verify", "none") ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
			   get("callback") ? on_verify : NULL);
	if (get("whole"))
		SSL_CTX_set_cert_verify_callback(context, on_whole_verify, NULL);
	if ((value = get("crl"))) {
		X509_LOOKUP *lookup = X509_STORE_add_lookup(SSL_CTX_get_cert_store(context), X509_LOOKUP_file());

		X509_load_crl_file(lookup, file(value, ""), X509_FILETYPE_PEM);
		X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK);
	}
	if ((value = get("depth")))
		SSL_CTX_set_verify_depth(context, atoi(value));
	if ((value = get("days"))) /* from now */
		X509_VERIFY_PARAM_set_time(parameters, time(NULL) + 86400L * atoi(value));
	if (get("strict"))
		X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
	if (get("partial"))
		X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
	if (is("purpose", "client"))
		X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_CLIENT);
	if ((value = get("auth_level")))
		X509_VERIFY_PARAM_set_auth_level(parameters, atoi(value));
}

static void set_protocol(SSL_CTX *context)
{
	const char *value;

	if ((value = get("only"))) {
		SSL_CTX_set_min_proto_version(context, strcmp(value, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
		SSL_CTX_set_max_proto_version(context, strcmp(value, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
	}
	if ((value = get("ciphers")))
		SSL_CTX_set_cipher_list(context, value);
	if ((value = get("suites")))
		SSL_CTX_set_ciphersuites(context, value);
	if ((value = get("groups")))
		SSL_CTX_set1_groups_list(context, value);
	if ((value = get("signatures")))
		SSL_CTX_set1_sigalgs_list(context, value);
	if ((value = get("level")))
		SSL_CTX_set_security_level(context, atoi(value));
	if (is("alpn", "http/1.1"))
		SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9);
	if (is("alpn", "h2"))
		SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	if ((value = get("certificate"))) {
		SSL_CTX_use_certificate_chain_file(context, file(value, ".pem"));
		SSL_CTX_use_PrivateKey_file(context, file(value, ".key"), SSL_FILETYPE_PEM);
	}
	if (get("read_ahead"))
		SSL_CTX_set_read_ahead(context, 1);
	if (get("no_ticket"))
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	if (get("no_compat"))
		SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	if (get("hello_time"))
		SSL_CTX_set_mode(context, SSL_MODE_SEND_CLIENTHELLO_TIME);
	if (get("pha"))
		SSL_CTX_set_post_handshake_auth(context, 1);
}

static void set_watchers(SSL_CTX *context)
{
	if (get("watch"))
		SSL_CTX_set_info_callback(context, on_info);
	if (get("watch_sessions")) {
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(context, on_session);
	}
	if (get("keylog"))
		SSL_CTX_set_keylog_callback(context, on_keylog);
	if (get("staple")) {
		SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp);
		SSL_CTX_set_tlsext_status_cb(context, on_status);
	}
	if (get("ask"))
		SSL_CTX_set_client_cert_cb(context, on_client_certificate);
}

/* DANE (RFC 6698): the digest of a leaf of ours, which may be another's. */
static void set_dane(SSL *ssl)
{
	unsigned char digest[32];
	unsigned length;
	BIO *bio = BIO_new_file(file(get("dane"), ".pem"), "r");
	X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	X509_digest(leaf, EVP_sha256(), digest, &length);
	SSL_dane_enable(ssl, "localhost");
	if (SSL_dane_tlsa_add(ssl, 3, 0, 1, digest, length) <= 0)
		note("[%s]", "no TLSA", 0);
	X509_free(leaf);
	BIO_free(bio);
}

static SSL *make_ssl(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);
	const char *name = get("name") ? get("name") : "localhost";

	SSL_set_fd(ssl, fd);
	if (!is("sni", "no"))
		SSL_set_tlsext_host_name(ssl, name);
	if (!is("check", "no"))
		SSL_set1_host(ssl, name);
	if (get("host"))
		SSL_add1_host(ssl, get("host"));
	if (get("dane"))
		set_dane(ssl);
	return ssl;
}

/* ---- a step ---- */

static void print_error(const char *what, SSL *ssl, int result)
{
	unsigned long error = ERR_get_error();

	printf("%s: %d, %s, verify %s", what, SSL_get_error(ssl, result),
	       ERR_reason_error_string(error) ? ERR_reason_error_string(error) : "no reason",
	       X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	ERR_clear_error();
}

static void print_connection(SSL *ssl)
{
	const unsigned char *alpn;
	unsigned alpn_length, length = 0;
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	X509 *leaf = SSL_get1_peer_certificate(ssl);
	STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl), *verified = SSL_get0_verified_chain(ssl);
	int key_type = 0;
	const char *peer_name = SSL_get0_peername(ssl);

	if (leaf)
		X509_digest(leaf, EVP_sha256(), digest, &length);
	SSL_get0_alpn_selected(ssl, &alpn, &alpn_length);
	SSL_get_peer_signature_nid(ssl, &key_type);
	printf("%s, %s, alpn %.*s, leaf %02x%02x%02x%02x, sent %d, verified %d, verify %ld, peer name %s, signature %d, group %d, bits %d, reused %d, "
	       "staple type %ld, state %s",
	       SSL_get_version(ssl), SSL_get_cipher(ssl), (int)alpn_length, alpn ? (const char *)alpn : "", digest[0],
	       digest[1], digest[2], digest[3], sent ? sk_X509_num(sent) : -1, verified ? sk_X509_num(verified) : -1,
	       SSL_get_verify_result(ssl), peer_name ? peer_name : "none", key_type, (int)SSL_get_negotiated_group(ssl),
	       SSL_get_cipher_bits(ssl, NULL), SSL_session_reused(ssl), SSL_get_tlsext_status_type(ssl),
	       SSL_state_string_long(ssl));
	X509_free(leaf);
}

static void exchange(SSL *ssl)
{
	char answer[4096], *body;
	size_t used = 0;
	int n;

	/* A server that refuses our certificate may have hung up by now: what matters is the read. */
	SSL_write(ssl, REQUEST, sizeof(REQUEST) - 1);
	while (used < sizeof(answer) - 1 && (n = SSL_read(ssl, answer + used, (int)(sizeof(answer) - 1 - used))) > 0)
		used += (size_t)n;
	answer[used] = '\0';
	body = strstr(answer, "\r\n\r\n");
	printf(", end %d, shutdown %d; %s", SSL_get_error(ssl, n), SSL_get_shutdown(ssl), body ? body + 4 : answer);
	if (get("export")) {
		unsigned char material[16];
		printf(" export %d",
		       SSL_export_keying_material(ssl, material, sizeof(material), "EXPERIMENTAL", 12, NULL, 0, 0));
	}
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		exit(3);
	fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(fd, found->ai_addr, found->ai_addrlen))
		exit(4);
	freeaddrinfo(found);
	return fd;
}

static bool has_fetched; /* in this step: a callback that refuses is asked again */

/* A verify callback that makes a request itself, as those do that ask the authority about a certificate. */
static void fetch_inside(void)
{
	const char *outer = settings;
	char answer[4096];

	if (has_fetched)
		return;
	has_fetched = true;
	int fd = dial(server_host, server_port), n;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	settings = "";
	set_trust(context);
	SSL *ssl = make_ssl(context, fd);
	if (SSL_connect(ssl) == 1) {
		SSL_write(ssl, REQUEST, sizeof(REQUEST) - 1);
		while ((n = SSL_read(ssl, answer, sizeof(answer))) > 0)
			note("[%s %d]", "inside", answer[n - 1]);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
	settings = outer;
}

static void step(const char *host, const char *port)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int fd = dial(host, port), result;

	trace[0] = '\0';
	has_fetched = false;
	if (get("dane"))
		SSL_CTX_dane_enable(context);
	set_trust(context);
	set_protocol(context);
	set_watchers(context);
	SSL *ssl = make_ssl(context, fd);
	ERR_clear_error();
	result = SSL_connect(ssl);
	if (result != 1) {
		print_error("connect", ssl, result);
	} else {
		print_connection(ssl);
		exchange(ssl);
		SSL_shutdown(ssl);
	}
	printf(" %s\n", trace);
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	folder = argv[1];
	server_host = argv[2];
	server_port = argv[3];
	while (next_step())
		step(argv[2], argv[3]);
	return 0;
}
