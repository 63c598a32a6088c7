/* See openssl.h. */
#include "shim/tls/openssl.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "shim/base/home.h"
#include "shim/connect/connect.h"
#include "shim/exchange/enter.h"
#include "shim/tls/channel.h"
#include "shim/tls/handshake.h"
#include "shim/tls/key_log.h"
#include "shim/tls/library.h"
#include "shim/tls/openssl_memory.h"
#include "shim/tls/recording.h"

/* libcurl's own BIO: it sends at once, in the same thread, on the socket that it connected last. */
#define CURL_BIO "OpenSSL CF BIO"
#define HTTP_1_1 "http/1.1"
/* The time is in the ClientHello; another thread of control makes the handshake. */
#define UNFIT_MODES (SSL_MODE_SEND_CLIENTHELLO_TIME | SSL_MODE_ASYNC)

/* Where an SSL keeps its handshake, and an SSL_CTX the program's key log callback. 0: none yet (libssl has 0 for
 * itself). */
static _Atomic(int) ssl_index, context_index;

static void free_handshake(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argument, void *more)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argument;
	(void)more;
	if (pointer)
		handshake_put(pointer);
}

static bool make_indexes(void)
{
	int none = 0;

	if (!atomic_load(&context_index))
		atomic_compare_exchange_strong(
			&context_index, &none,
			libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, NULL));
	none = 0;
	if (!atomic_load(&ssl_index))
		atomic_compare_exchange_strong(
			&ssl_index, &none,
			libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, free_handshake));
	return ssl_index > 0 && context_index > 0;
}

static void keylog(const SSL *ssl, const char *line)
{
	struct handshake *handshake = handshake_current;
	SSL_CTX_keylog_cb_func callback;

	if (handshake && handshake->library_session == ssl && handshake->phase == HANDSHAKE_RECORDED)
		key_log_note_line(handshake, line);
	callback = openssl_get_keylog(libssl.SSL_get_SSL_CTX(ssl));
	if (callback)
		callback(ssl, line);
}

void openssl_set_keylog(SSL_CTX *context, SSL_CTX_keylog_cb_func callback)
{
	if (libssl.SSL_CTX_get_keylog_callback(context) == keylog)
		libssl.SSL_CTX_set_ex_data(context, context_index, (void *)callback);
	else
		libssl.SSL_CTX_set_keylog_callback(context, callback);
}

SSL_CTX_keylog_cb_func openssl_get_keylog(const SSL_CTX *context)
{
	SSL_CTX_keylog_cb_func callback = libssl.SSL_CTX_get_keylog_callback(context);

	return callback == keylog ? (SSL_CTX_keylog_cb_func)libssl.SSL_CTX_get_ex_data(context, context_index)
				  : callback;
}

static void listen_to_keys(SSL *ssl)
{
	SSL_CTX *context = libssl.SSL_get_SSL_CTX(ssl);
	SSL_CTX_keylog_cb_func callback = libssl.SSL_CTX_get_keylog_callback(context);

	if (callback == keylog)
		return;
	libssl.SSL_CTX_set_ex_data(context, context_index, (void *)callback);
	libssl.SSL_CTX_set_keylog_callback(context, keylog);
}

/* The socket that its ClientHello will be sent on; -1: it can't be known before. */
static int descriptor_of(const SSL *ssl)
{
	BIO *bio = libssl.SSL_get_wbio(ssl);
	const char *name = bio ? libssl.BIO_method_name(bio) : NULL;
	int fd = libssl.SSL_get_wfd(ssl);

	if (fd < 0 && name && strcmp(name, CURL_BIO) == 0)
		fd = connect_last;
	return fd;
}

/* The socket of a handshake that is about to begin, locked, if it is one for us. */
static struct sock *enter_socket(const SSL *ssl)
{
	int fd = descriptor_of(ssl);

	return fd >= 0 ? handshake_enter(fd) : NULL;
}

int openssl_run(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	bool *swallows = sock_swallows;
	int result, saved;

	handshake_current = handshake;
	sock_swallows = handshake->phase == HANDSHAKE_PLAYED ? &handshake->script.differs : NULL;
	result = connect(ssl);
	saved = errno;
	handshake_current = NULL;
	sock_swallows = swallows;
	errno = saved;
	return result;
}

static bool has_other_protocol(const SSL *ssl)
{
	const unsigned char *protocol = NULL;
	unsigned length = 0;

	libssl.SSL_get0_alpn_selected(ssl, &protocol, &length);
	return length && (length != strlen(HTTP_1_1) || memcmp(protocol, HTTP_1_1, length));
}

static enum refusal why_not(SSL *ssl)
{
	if (has_other_protocol(ssl))
		return REFUSAL_HTTP2;
	if (libssl.SSL_session_reused(ssl))
		return REFUSAL_TLS_RESUMED;
	/* Bytes of the first answer may have been read with the last of the handshake. */
	return libssl.SSL_ctrl(ssl, SSL_CTRL_GET_READ_AHEAD, 0, NULL) ? REFUSAL_TLS_OPAQUE : REFUSAL_NONE;
}

struct recording_facts openssl_facts(SSL *ssl)
{
	X509 *certificate = libssl.SSL_get1_peer_certificate(ssl);
	struct recording_facts facts = {.why_not = why_not(ssl),
					.has_client_certificate = libssl.SSL_get_certificate(ssl) != NULL};
	unsigned length = sizeof(facts.leaf);

	if (!certificate) {
		facts.why_not = REFUSAL_TLS_OPAQUE;
		return facts;
	}
	libssl.X509_digest(certificate, libssl.EVP_sha256(), facts.leaf, &length);
	libssl.X509_free(certificate);
	return facts;
}

void openssl_remember(SSL *ssl, struct handshake *handshake)
{
	libssl.SSL_set_ex_data(ssl, ssl_index, handshake);
	listen_to_keys(ssl);
}

void openssl_forget(SSL *ssl, struct handshake *handshake)
{
	libssl.SSL_set_ex_data(ssl, ssl_index, NULL);
	handshake_put(handshake);
}

/* The genuine one, recorded; it may take several calls. */
static int record(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	int result = openssl_run(handshake, ssl, connect), saved = errno;

	if (result == 1) {
		struct recording_facts facts = openssl_facts(ssl);

		recording_conclude(handshake, &facts);
		openssl_forget(ssl, handshake);
	}
	errno = saved;
	return result;
}

/* Lets the library repeat the recorded one, and judge. True: it has, and says yes. */
static bool play(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	bool is_accepted;

	libssl.ERR_set_mark();
	is_accepted = openssl_run(handshake, ssl, connect) == 1 && handshake_conclude_played(handshake);
	if (!is_accepted)
		libssl.SSL_clear(ssl);
	libssl.ERR_pop_to_mark();
	return is_accepted;
}

bool openssl_may_play(const SSL *ssl, const struct tls_state *state)
{
	return state && !(state->asks_certificate && libssl.SSL_get_certificate(ssl));
}

static int begin_on(SSL *ssl, struct sock *sock, int (*connect)(SSL *ssl))
{
	struct handshake *handshake = handshake_take(&library_openssl, ssl);
	SSL_SESSION *session;
	bool is_played, is_attached = true;
	int saved;

	if (!handshake) {
		sock_leave(sock);
		return connect(ssl);
	}
	/* A session that is offered for resumption would make another handshake. */
	session = libssl.SSL_get1_session(ssl);
	if (session)
		libssl.SSL_set_session(ssl, NULL);
	is_played = openssl_may_play(ssl, handshake_tentative(sock)) && handshake_begin_playing(handshake, sock);
	if (!is_played)
		is_attached = handshake_begin_recording(handshake, sock);
	sock_leave(sock);
	if (is_played &&
	    (play(handshake, ssl, connect) || (handshake_try_other(handshake) && play(handshake, ssl, connect)))) {
		handshake_put(handshake);
		if (session)
			libssl.SSL_SESSION_free(session);
		return 1;
	}
	saved = errno;
	if (is_played)
		handshake_give_up_playing(handshake);
	if (session)
		libssl.SSL_SESSION_free(session);
	errno = saved;
	if (!is_attached) {
		handshake_put(handshake);
		return connect(ssl);
	}
	openssl_remember(ssl, handshake);
	return record(handshake, ssl, connect);
}

static int begin(SSL *ssl, int (*connect)(SSL *ssl))
{
	struct sock *sock;

	if (libssl.SSL_is_server(ssl) || !libssl.SSL_in_before(ssl) ||
	    (libssl.SSL_ctrl(ssl, SSL_CTRL_MODE, 0, NULL) & UNFIT_MODES))
		return connect(ssl);
	if (openssl_memory_is_used(ssl))
		return openssl_memory_begin(ssl, connect);
	sock = enter_socket(ssl);
	return sock ? begin_on(ssl, sock, connect) : connect(ssl);
}

static int go(SSL *ssl, int (*connect)(SSL *ssl))
{
	struct handshake *handshake = libssl.SSL_get_ex_data(ssl, ssl_index);

	if (handshake && handshake->is_offline)
		return openssl_memory_go_on(handshake, ssl, connect);
	return handshake ? record(handshake, ssl, connect) : begin(ssl, connect);
}

int openssl_shake_hands(SSL *ssl, int (*connect)(SSL *ssl))
{
	struct handshake *outer = handshake_current;
	bool *swallows = sock_swallows;
	int result, saved;

	/* SSL_connect() calls SSL_do_handshake(). */
	if (outer && outer->library_session == ssl)
		return connect(ssl);
	if (!make_indexes())
		return connect(ssl);
	/* A callback of the program may shake hands itself. */
	handshake_current = NULL;
	sock_swallows = NULL;
	result = go(ssl, connect);
	saved = errno;
	handshake_current = outer;
	sock_swallows = swallows;
	errno = saved;
	return result;
}

void openssl_bind_to_connection(const SSL *ssl)
{
	int fd = libssl.SSL_get_wfd(ssl);
	struct sock *sock = fd >= 0 ? sock_enter(fd) : NULL;

	if (!sock)
		return;
	if (sock->transport && channel_of(sock->transport)->library_session == ssl)
		channel_of(sock->transport)->unfit = REFUSAL_AUTH_BOUND;
	sock_leave(sock);
}
