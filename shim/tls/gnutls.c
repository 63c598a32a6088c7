/* See gnutls.h. */
#include "shim/tls/gnutls.h"

#include <errno.h>
#include <string.h>

#include "shim/base/symbols.h"
#include "shim/kept/sessions.h"
#include "shim/tls/channel.h"
#include "shim/tls/gnutls_client.h"
#include "shim/tls/handshake.h"
#include "shim/tls/key_log.h"
#include "shim/tls/library.h"
#include "shim/tls/recording.h"

/* Its functions receive and send on one socket, at once, in the same thread. */
#define CURL_SONAME "libcurl-gnutls.so.4"
#define HTTP_1_1 "http/1.1"

bool gnutls_is_wanted(void)
{
	return sessions_are_wanted() && libgnutls_bind();
}

static int keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	struct gnutls_client *client = gnutls_client_find(session);
	struct handshake *handshake = handshake_current;

	if (handshake && handshake->library_session == session && handshake->phase == HANDSHAKE_RECORDED)
		key_log_note_secret(handshake, label, secret->data, secret->size);
	return client && client->keylog ? client->keylog(session, label, secret) : 0;
}

void gnutls_set_keylog(gnutls_session_t session, gnutls_keylog_func function)
{
	struct gnutls_client *client = gnutls_client_find(session);

	if (client && client->has_keylog)
		client->keylog = function;
	else
		libgnutls.gnutls_session_set_keylog_function(session, function);
}

gnutls_keylog_func gnutls_get_keylog(gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);

	return client && client->has_keylog ? client->keylog : libgnutls.gnutls_session_get_keylog_function(session);
}

static void listen_to_keys(struct gnutls_client *client)
{
	if (client->has_keylog)
		return;
	client->keylog = libgnutls.gnutls_session_get_keylog_function(client->session);
	client->has_keylog = true;
	libgnutls.gnutls_session_set_keylog_function(client->session, keylog);
}

/* The socket that a function of libcurl's receives on: it is called, and told that nothing has come. libcurl sends on
 * the same. */
static int ask_pull(const struct gnutls_client *client)
{
	gnutls_transport_ptr_t receives, sends;
	int fd = -1, saved = errno;
	char byte;

	libgnutls.gnutls_transport_get_ptr2(client->session, &receives, &sends);
	if (receives != sends)
		return -1;
	sock_asks = &fd;
	if (client->own_pull(receives, &byte, 1) >= 0)
		fd = -1;
	sock_asks = NULL;
	errno = saved;
	return fd;
}

bool gnutls_is_of_libcurl(const void *function)
{
	static const struct symbols_list nothing = {"", NULL, 0};
	uintptr_t begin, end, address = (uintptr_t)function;

	return symbols_bind_in(CURL_SONAME, &nothing, NULL, &begin, &end) == 1 && address >= begin && address < end;
}

/* The socket that it will send and receive on; -1: it can't be known. */
static int descriptor_of(const struct gnutls_client *client)
{
	int receives = -1, sends = -1;

	if (client->has_own_timeout)
		return -1;
	if (client->own_pull && client->has_own_push)
		return gnutls_is_of_libcurl((const void *)client->own_pull) ? ask_pull(client) : -1;
	if (client->own_pull || client->has_own_push)
		return -1;
	libgnutls.gnutls_transport_get_int2(client->session, &receives, &sends);
	return receives == sends ? sends : -1;
}

static int run(struct handshake *handshake, gnutls_session_t session)
{
	struct handshake_place outer = handshake_step_in(handshake);
	int result = libgnutls.gnutls_handshake(session);

	handshake_step_out(outer);
	return result;
}

static ssize_t shadow_push(gnutls_transport_ptr_t pointer, const void *bytes, size_t length)
{
	struct handshake *handshake = pointer;

	tls_script_sent(&handshake->script, bytes, length);
	return (ssize_t)length;
}

static ssize_t shadow_pull(gnutls_transport_ptr_t pointer, void *bytes, size_t length)
{
	struct handshake *handshake = pointer;
	size_t n = tls_script_read(&handshake->script, bytes, length);

	if (n)
		return (ssize_t)n;
	errno = EAGAIN;
	return -1;
}

static int shadow_wait(gnutls_transport_ptr_t pointer, unsigned timeout_ms)
{
	(void)pointer;
	(void)timeout_ms;
	return 1;
}

static int shadow_keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	(void)session;
	(void)label;
	(void)secret;
	return 0;
}

/* The program judges in its own session; a shadow does not ask it. */
static int shadow_verify(gnutls_session_t session)
{
	(void)session;
	return 0;
}

/* What the program is to find of the certificate, in its handshake or behind it. One that it might refuse is not shown
 * to it: the server may have a better one by now. */
static bool is_trusted(const struct gnutls_client *client, gnutls_session_t shadow)
{
	unsigned status = 0;

	return client->judge == GNUTLS_JUDGE_LIBRARY ||
	       (libgnutls.gnutls_certificate_verify_peers2(shadow, &status) == 0 && !status);
}

/* A shadow of the program's session repeats the recorded handshake to its end, away from any socket. True: so will the
 * program's session, byte for byte, as far as the library is to judge. */
static bool rehearse(struct gnutls_client *client, struct handshake *handshake, unsigned i)
{
	gnutls_session_t shadow = client->shadows[i];

	libgnutls.gnutls_transport_set_ptr(shadow, handshake);
	libgnutls.gnutls_transport_set_push_function(shadow, shadow_push);
	libgnutls.gnutls_transport_set_pull_function(shadow, shadow_pull);
	libgnutls.gnutls_transport_set_pull_timeout_function(shadow, shadow_wait);
	libgnutls.gnutls_session_set_keylog_function(shadow, shadow_keylog);
	if (client->judge != GNUTLS_JUDGE_LIBRARY)
		libgnutls.gnutls_session_set_verify_function(shadow, shadow_verify);
	if (run(handshake, shadow) < 0 || !handshake_was_played(handshake) || !is_trusted(client, shadow))
		return false;
	handshake_play_again(handshake);
	return true;
}

static bool has_other_protocol(gnutls_session_t session)
{
	gnutls_datum_t protocol = {NULL, 0};

	return libgnutls.gnutls_alpn_get_selected_protocol(session, &protocol) == 0 && protocol.size &&
	       (protocol.size != strlen(HTTP_1_1) || memcmp(protocol.data, HTTP_1_1, protocol.size) != 0);
}

static enum refusal why_not(gnutls_session_t session)
{
	if (has_other_protocol(session))
		return REFUSAL_HTTP2;
	if (libgnutls.gnutls_session_is_resumed(session))
		return REFUSAL_TLS_RESUMED;
	return REFUSAL_NONE;
}

static struct recording_facts facts_of(gnutls_session_t session)
{
	struct recording_facts facts = {
		.why_not = why_not(session),
		.asks_certificate = libgnutls.gnutls_certificate_client_get_request_status(session) != 0,
		.has_client_certificate = libgnutls.gnutls_certificate_get_ours(session) != NULL};
	unsigned n = 0;
	const gnutls_datum_t *chain = libgnutls.gnutls_certificate_get_peers(session, &n);

	if (!n || !chain || libgnutls.gnutls_hash_fast(GNUTLS_DIG_SHA256, chain[0].data, chain[0].size, facts.leaf) < 0)
		facts.why_not = REFUSAL_TLS_OPAQUE;
	return facts;
}

static void forget(struct gnutls_client *client)
{
	struct handshake *handshake = client->handshake;

	client->handshake = NULL;
	handshake_put(handshake);
}

/* The genuine one, recorded; it may take several calls. */
static int record(struct gnutls_client *client)
{
	struct handshake *handshake = client->handshake;
	int result = run(handshake, client->session);

	if (result == GNUTLS_E_SUCCESS) {
		struct recording_facts facts = facts_of(client->session);

		recording_conclude(handshake, &facts);
		forget(client);
	}
	return result;
}

/* What is recorded is there at once, which poll(2) does not know: of a handshake with a timeout, and a ticket, for
 * which a program waits a moment (gnutls_session_get_data2()). */
static int wait_for_record(gnutls_transport_ptr_t pointer, unsigned timeout_ms)
{
	int fd = (int)(intptr_t)pointer;
	bool is_ready = handshake_current && handshake_current->phase == HANDSHAKE_PLAYED;
	struct sock *sock = is_ready ? NULL : sock_enter(fd);

	if (sock) {
		is_ready = sock->transport && channel_of(sock->transport)->library == &library_gnutls &&
			   channel_of(sock->transport)->ready_length;
		sock_leave(sock);
	}
	return is_ready ? 1 : libgnutls.gnutls_system_recv_timeout(pointer, timeout_ms);
}

/* The program's session repeats the recorded handshake, and judges. There is no way back: what it says is final. */
static int play(struct gnutls_client *client)
{
	struct handshake *handshake = client->handshake;
	int result;

	client->judge_waits = false;
	result = run(handshake, client->session);
	if (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED) {
		if (client->judge_waits)
			return result;
		/* It waits for what does not come. */
		result = GNUTLS_E_PULL_ERROR;
	}
	if (result == GNUTLS_E_SUCCESS && !handshake_conclude_played(handshake))
		result = GNUTLS_E_PUSH_ERROR;
	if (result < 0)
		handshake_refuse(handshake);
	forget(client);
	return result;
}

/* Where the server has asked for a certificate, no program's that has one: a key may be in hardware, or asked for by a
 * function of the program. */
static bool may_be_played(const struct gnutls_client *client, const struct tls_state *state)
{
	gnutls_datum_t own;
	void *credentials = NULL;

	if (!state || !state->asks_certificate)
		return state != NULL;
	return !atomic_load(&gnutls_client_has_retriever) &&
	       libgnutls.gnutls_credentials_get(client->session, GNUTLS_CRD_CERTIFICATE, &credentials) == 0 &&
	       libgnutls.gnutls_certificate_get_crt_raw(credentials, 0, 0, &own) < 0;
}

/* Takes the socket locked, and leaves it unlocked. */
static int begin_on(struct gnutls_client *client, struct sock *sock)
{
	struct handshake *handshake = handshake_take(&library_gnutls, client->session);
	bool is_played, is_attached = true;

	client->handshake = handshake;
	if (!handshake) {
		sock_leave(sock);
		gnutls_client_end_putting_aside(client, true);
		return libgnutls.gnutls_handshake(client->session);
	}
	is_played = may_be_played(client, handshake_tentative(sock)) && handshake_begin_playing(handshake, sock);
	if (!is_played)
		is_attached = handshake_begin_recording(handshake, sock);
	sock_leave(sock);
	/* A session that is offered for resumption would make another handshake. */
	gnutls_client_end_putting_aside(client, !is_attached);
	if (is_played &&
	    (rehearse(client, handshake, 0) || (handshake_try_other(handshake) && rehearse(client, handshake, 1)))) {
		if (!client->own_pull)
			libgnutls.gnutls_transport_set_pull_timeout_function(client->session, wait_for_record);
		return play(client);
	}
	if (is_played)
		handshake_give_up_playing(handshake);
	if (!is_attached) {
		forget(client);
		return libgnutls.gnutls_handshake(client->session);
	}
	listen_to_keys(client);
	return record(client);
}

static int begin(struct gnutls_client *client)
{
	struct sock *sock = NULL;
	int result;

	client->fd = client->is_opaque || atomic_load(&gnutls_client_all_opaque) ? -1 : descriptor_of(client);
	if (client->fd >= 0)
		sock = handshake_enter(client->fd);
	client->has_begun = true;
	if (sock) {
		result = begin_on(client, sock);
	} else {
		gnutls_client_end_putting_aside(client, true);
		result = libgnutls.gnutls_handshake(client->session);
	}
	gnutls_client_drop_shadows(client);
	return result;
}

static int go(struct gnutls_client *client)
{
	if (client->handshake)
		return client->handshake->phase == HANDSHAKE_PLAYED ? play(client) : record(client);
	return client->has_begun ? libgnutls.gnutls_handshake(client->session) : begin(client);
}

int gnutls_shake_hands(gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);
	struct handshake_place outer;
	int result;

	if (!client)
		return libgnutls.gnutls_handshake(session);
	/* A judge of the program may shake hands itself. */
	outer = handshake_step_in(NULL);
	result = go(client);
	handshake_step_out(outer);
	return result;
}

void gnutls_bind_to_connection(gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);
	struct sock *sock = client && client->fd >= 0 ? sock_enter(client->fd) : NULL;

	if (!sock)
		return;
	if (sock->transport && channel_of(sock->transport)->library_session == session)
		channel_of(sock->transport)->unfit = REFUSAL_AUTH_BOUND;
	sock_leave(sock);
}
