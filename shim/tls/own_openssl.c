/* Handshakes of our own with OpenSSL; see library.h. The session is an SSL on two memory BIOs. */
#include <stdatomic.h>
#include <string.h>

#include "shim/tls/handshake.h"
#include "shim/tls/key_log.h"
#include "shim/tls/libssl.h"
#include "shim/tls/library.h"

static _Atomic(SSL_CTX *) own_context;
/* Where a session has its handshake's record. */
static int record_index(void)
{
	static _Atomic(int) index = -1;
	int made = atomic_load(&index), none = -1;

	if (made >= 0)
		return made;
	made = libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL);
	/* Of two that are made at once one is lost. */
	return atomic_compare_exchange_strong(&index, &none, made) ? made : none;
}

static void keylog(const SSL *ssl, const char *line)
{
	struct handshake *record = libssl.SSL_get_ex_data(ssl, record_index());

	if (record)
		key_log_note_line(record, line);
}

/* The certificate is compared, not verified: the program has. */
static SSL_CTX *context(void)
{
	SSL_CTX *made = atomic_load(&own_context), *none = NULL;

	if (made)
		return made;
	made = libssl.SSL_CTX_new(libssl.TLS_client_method());
	if (!made)
		return NULL;
	libssl.SSL_CTX_set_verify(made, SSL_VERIFY_NONE, NULL);
	libssl.SSL_CTX_set_keylog_callback(made, keylog);
	libssl.SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
	/* Of two that are made at once one is lost. */
	return atomic_compare_exchange_strong(&own_context, &none, made) ? made : none;
}

static bool set_up(SSL *ssl, const struct tls_state *like, const struct tls_suite *suite)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	bool done = libssl.SSL_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, like->version, NULL) > 0 &&
		    libssl.SSL_ctrl(ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, like->version, NULL) > 0;

	if (like->version == TLS_1_3)
		done &= libssl.SSL_set_ciphersuites(ssl, suite->name) > 0;
	else
		done &= libssl.SSL_set_cipher_list(ssl, suite->name) > 0;
	if (like->server_name[0])
		done &= libssl.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
					(void *)like->server_name) > 0;
	if (like->offers_alpn)
		done &= libssl.SSL_set_alpn_protos(ssl, alpn, sizeof(alpn) - 1) == 0;
	return done;
}

static SSL *ssl_of(struct own_session *session)
{
	return (SSL *)(void *)session;
}

static void own_close(struct own_session *session)
{
	libssl.SSL_set_quiet_shutdown(ssl_of(session), 1);
	libssl.SSL_free(ssl_of(session));
}

static int set_record(SSL *ssl, struct handshake *record)
{
	return libssl.SSL_set_ex_data(ssl, record_index(), record);
}

static SSL *open_ssl(const struct tls_state *like, const struct tls_suite *suite, struct handshake *record)
{
	SSL_CTX *own = context();
	SSL *ssl = own ? libssl.SSL_new(own) : NULL;
	BIO *in, *out;

	if (!ssl)
		return NULL;
	in = libssl.BIO_new(libssl.BIO_s_mem());
	out = libssl.BIO_new(libssl.BIO_s_mem());
	libssl.SSL_set_bio(ssl, in, out);
	libssl.SSL_set_connect_state(ssl);
	if (in && out && set_record(ssl, record) && set_up(ssl, like, suite))
		return ssl;
	own_close((struct own_session *)(void *)ssl);
	return NULL;
}

static struct own_session *own_open(const struct tls_state *like, const struct tls_suite *suite,
				    struct handshake *record)
{
	SSL *ssl;

	libssl.ERR_set_mark();
	ssl = open_ssl(like, suite, record);
	libssl.ERR_pop_to_mark();
	return (struct own_session *)(void *)ssl;
}

static int own_step(struct own_session *session)
{
	SSL *ssl = ssl_of(session);
	int result;

	libssl.ERR_set_mark();
	result = libssl.SSL_do_handshake(ssl);
	if (result != 1)
		result = libssl.SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
	libssl.ERR_pop_to_mark();
	return result;
}

static size_t own_take(struct own_session *session, uint8_t *bytes, size_t room)
{
	int n = libssl.BIO_read(libssl.SSL_get_wbio(ssl_of(session)), bytes, (int)room);

	return n > 0 ? (size_t)n : 0;
}

static bool own_give(struct own_session *session, const uint8_t *record, size_t length)
{
	return libssl.BIO_write(libssl.SSL_get_rbio(ssl_of(session)), record, (int)length) == (int)length;
}

static bool own_leaf(struct own_session *session, uint8_t leaf[TLS_DIGEST_LENGTH])
{
	X509 *certificate = libssl.SSL_get1_peer_certificate(ssl_of(session));
	unsigned length = TLS_DIGEST_LENGTH;
	bool done;

	if (!certificate)
		return false;
	done = libssl.X509_digest(certificate, libssl.EVP_sha256(), leaf, &length) > 0;
	libssl.X509_free(certificate);
	return done;
}

static uint64_t identity(void)
{
	return libssl.OpenSSL_version_num();
}

const struct library library_openssl = {
	.crypto = &libssl_crypto,
	.pin = libssl_pin,
	.identity = identity,
	.own_open = own_open,
	.own_step = own_step,
	.own_take = own_take,
	.own_give = own_give,
	.own_leaf = own_leaf,
	.own_close = own_close,
};
