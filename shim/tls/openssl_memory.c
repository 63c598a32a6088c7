/* See openssl_memory.h. */
#include "shim/tls/openssl_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "shim/kept/sessions.h"
#include "shim/tls/channel.h"
#include "shim/tls/expected.h"
#include "shim/tls/library.h"
#include "shim/tls/offline.h"
#include "shim/tls/openssl.h"
#include "shim/tls/recording.h"

#define MEMORY_BIO "memory buffer"
#define PIECE 4096

static bool is_memory(BIO *bio)
{
	const char *name = bio ? libssl.BIO_method_name(bio) : NULL;

	return name && strcmp(name, MEMORY_BIO) == 0;
}

/* What is read from memory of the program's can't be emptied (BIO_new_mem_buf(3)). */
bool openssl_memory_is_used(const SSL *ssl)
{
	return sessions_are_wanted() && is_memory(libssl.SSL_get_wbio(ssl)) && is_memory(libssl.SSL_get_rbio(ssl)) &&
	       !libssl.BIO_test_flags(libssl.SSL_get_rbio(ssl), BIO_FLAGS_MEM_RDONLY);
}

/* What the program has not taken out of it, or the library. */
static size_t look_into(BIO *bio, const uint8_t **bytes)
{
	char *data = NULL;
	long length = libssl.BIO_ctrl(bio, BIO_CTRL_INFO, 0, (char *)&data);

	*bytes = (const uint8_t *)data;
	return length > 0 && data ? (size_t)length : 0;
}

static void empty(const SSL *ssl)
{
	libssl.BIO_ctrl(libssl.SSL_get_rbio(ssl), BIO_CTRL_RESET, 0, NULL);
	libssl.BIO_ctrl(libssl.SSL_get_wbio(ssl), BIO_CTRL_RESET, 0, NULL);
}

/* Its last bytes are in the program's hands: they are those of the recording's end. */
static void conclude(struct handshake *handshake, SSL *ssl)
{
	struct recording_facts facts = openssl_facts(ssl);
	const uint8_t *bytes;
	size_t length = look_into(libssl.SSL_get_wbio(ssl), &bytes);

	/* Something came that was not of the handshake. */
	if (look_into(libssl.SSL_get_rbio(ssl), &bytes))
		facts.why_not = REFUSAL_TLS_OPAQUE;
	look_into(libssl.SSL_get_wbio(ssl), &bytes);
	recording_note_last_flight(handshake, bytes, length);
	recording_conclude(handshake, &facts);
	openssl_forget(ssl, handshake);
}

static int record(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	int result = openssl_run(handshake, ssl, connect), saved = errno;

	if (result == 1)
		conclude(handshake, ssl);
	errno = saved;
	return result;
}

int openssl_memory_begin(SSL *ssl, int (*connect)(SSL *ssl))
{
	struct handshake *handshake = handshake_take(&library_openssl, ssl);
	const uint8_t *hello;
	size_t length;
	int result, saved;

	if (!handshake)
		return connect(ssl);
	handshake->is_offline = true;
	handshake->carrier = (unsigned long)pthread_self();
	openssl_remember(ssl, handshake);
	result = record(handshake, ssl, connect);
	saved = errno;
	length = look_into(libssl.SSL_get_wbio(ssl), &hello);
	if (result != 1 && (!length || !handshake_note_hello(handshake, hello, length) || !expected_add(handshake)))
		openssl_forget(ssl, handshake);
	errno = saved;
	return result;
}

/* The library reads and writes until it has the recording's end, or wants something else. */
static bool carry(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	BIO *in = libssl.SSL_get_rbio(ssl), *out = libssl.SSL_get_wbio(ssl);
	uint8_t piece[PIECE];

	for (;;) {
		int result = openssl_run(handshake, ssl, connect), n;
		size_t length;

		while ((n = libssl.BIO_read(out, piece, sizeof(piece))) > 0)
			tls_script_sent(&handshake->script, piece, (size_t)n);
		if (result == 1)
			return true;
		if (libssl.SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ)
			return false;
		length = tls_script_read(&handshake->script, piece, sizeof(piece));
		if (!length)
			return false;
		for (; length; length = tls_script_read(&handshake->script, piece, sizeof(piece)))
			if (libssl.BIO_write(in, piece, (int)length) != (int)length)
				return false;
	}
}

/* True: the library says yes to it. */
static bool play(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	bool is_accepted;

	libssl.ERR_set_mark();
	is_accepted = carry(handshake, ssl, connect) && handshake_conclude_played(handshake);
	if (!is_accepted) {
		libssl.SSL_clear(ssl);
		empty(ssl);
	}
	libssl.ERR_pop_to_mark();
	return is_accepted;
}

/* A session that is offered would make another handshake. */
static void start_anew(SSL *ssl)
{
	SSL_SESSION *session = libssl.SSL_get1_session(ssl);

	libssl.SSL_clear(ssl);
	if (session) {
		libssl.SSL_set_session(ssl, NULL);
		libssl.SSL_SESSION_free(session);
	}
	empty(ssl);
}

static int play_or_record(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	start_anew(ssl);
	if (openssl_may_play(ssl, handshake->script.state) && play(handshake, ssl, connect)) {
		openssl_forget(ssl, handshake);
		return 1;
	}
	handshake_give_up_playing(handshake);
	return record(handshake, ssl, connect);
}

int openssl_memory_go_on(struct handshake *handshake, SSL *ssl, int (*connect)(SSL *ssl))
{
	struct channel *channel = handshake->channel;

	/* (Until something has come, it is none of the library's business.) */
	if (!channel || channel->phase != CHANNEL_AWAITING || !channel->has_shown || !openssl_memory_is_used(ssl))
		return record(handshake, ssl, connect);
	/* Where that fails, there is nobody who would answer. */
	if (!offline_begin_playing(handshake))
		return record(handshake, ssl, connect);
	return play_or_record(handshake, ssl, connect);
}
