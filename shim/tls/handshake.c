/* See handshake.h. */
#include "shim/tls/handshake.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/lease.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/identity.h"
#include "shim/tls/channel.h"
#include "shim/tls/expected.h"
#include "shim/tls/library.h"

/* A client without a certificate sends only its Finished at the end: type, length, verify_data (RFC 8446 4.4.4). */
#define MESSAGE_HEADER 4u
#define MESSAGE_CERTIFICATE 11

__thread struct handshake *handshake_current __attribute__((tls_model("initial-exec")));

static struct guard_lock lock; /* covers `free_ones` */
static struct handshake *free_ones;

static void forget_recorded(struct handshake *handshake)
{
	handshake->secrets = 0;
	tls_recorder_begin(&handshake->recorder);
}

struct handshake *handshake_take(const struct library *library, void *library_session)
{
	struct handshake *handshake = NULL;

	if (guard_lock_try(&lock)) {
		handshake = free_ones;
		if (handshake)
			free_ones = handshake->next_free;
		guard_unlock(&lock);
	}
	if (!handshake) {
		handshake =
			libc.mmap(NULL, sizeof(*handshake), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (handshake == MAP_FAILED)
			return NULL;
		libc.madvise(handshake, sizeof(*handshake), MADV_DONTDUMP);
	}
	library->pin();
	handshake->library = library;
	handshake->library_session = library_session;
	handshake->phase = HANDSHAKE_RECORDED;
	handshake->channel = NULL;
	handshake->is_offline = false;
	forget_recorded(handshake);
	return handshake;
}

void handshake_put(struct handshake *handshake)
{
	struct tls_recorder *recorder = &handshake->recorder;

	if (handshake->is_offline)
		expected_remove(handshake);
	if (handshake->channel)
		handshake->channel->handshake = NULL;
	explicit_bzero(handshake->secret, sizeof(handshake->secret));
	explicit_bzero(handshake->master, sizeof(handshake->master));
	explicit_bzero(recorder->random, recorder->random_length);
	handshake->phase = HANDSHAKE_OVER;
	handshake->channel = NULL;
	if (!guard_lock_try(&lock))
		return;
	handshake->next_free = free_ones;
	free_ones = handshake;
	guard_unlock(&lock);
}

struct handshake_place handshake_step_in(struct handshake *handshake)
{
	struct handshake_place outer = {handshake_current, sock_swallows};

	handshake_current = handshake;
	sock_swallows = handshake && handshake->phase == HANDSHAKE_PLAYED ? &handshake->script.differs : NULL;
	return outer;
}

void handshake_step_out(struct handshake_place outer)
{
	handshake_current = outer.current;
	sock_swallows = outer.swallows;
}

struct sock *handshake_enter(int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return NULL;
	/* Left by a handshake that was begun here and never sent anything. */
	if (handshake_is_wanted(sock) && sock->transport && !sock_is_translated(sock))
		channel_detach(sock);
	if (handshake_is_wanted(sock) && !sock->transport)
		return sock;
	sock_leave(sock);
	return NULL;
}

static int digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}

static size_t read_hex(const char *text, uint8_t *bytes, size_t room)
{
	size_t n = 0;

	for (; n < room && digit(text[0]) >= 0 && digit(text[1]) >= 0; text += 2)
		bytes[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
	return digit(text[0]) < 0 ? n : 0;
}

void handshake_note_secret(struct handshake *handshake, const char *label, const uint8_t *secret, size_t length)
{
	static const struct {
		const char *label;
		enum handshake_secret secret;
	} known[] = {{"CLIENT_TRAFFIC_SECRET_0", HANDSHAKE_HAS_CLIENT},
		     {"SERVER_TRAFFIC_SECRET_0", HANDSHAKE_HAS_SERVER},
		     {"CLIENT_RANDOM", HANDSHAKE_HAS_MASTER}};

	if (!length || length > TLS_HASH_MAX)
		return;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(label, known[i].label) != 0)
			continue;
		memcpy(i < 2 ? handshake->secret[i] : handshake->master, secret, length);
		handshake->secrets |= known[i].secret;
		handshake->secret_length = length;
	}
}

/* LABEL CLIENT_RANDOM SECRET, the latter two in hexadecimal. */
void handshake_note_line(struct handshake *handshake, const char *line)
{
	const char *first = strchr(line, ' '), *last = strrchr(line, ' ');
	uint8_t secret[TLS_HASH_MAX];
	char label[64];
	size_t length;

	if (!first || (size_t)(first - line) >= sizeof(label))
		return;
	memcpy(label, line, (size_t)(first - line));
	label[first - line] = '\0';
	length = read_hex(last + 1, secret, sizeof(secret));
	handshake_note_secret(handshake, label, secret, length);
	explicit_bzero(secret, sizeof(secret));
}

bool handshake_is_carried_here(const struct handshake *handshake)
{
	return handshake->is_offline && handshake->phase == HANDSHAKE_RECORDED &&
	       handshake->carrier == (unsigned long)pthread_self();
}

/* The first so many bytes of the program's buffers. */
static void visit_bytes(const struct transfer *transfer, size_t length, struct handshake *handshake,
			void (*visit)(struct handshake *handshake, const uint8_t *bytes, size_t length))
{
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n && length; i++) {
		size_t part = vector[i].iov_len < length ? vector[i].iov_len : length;

		visit(handshake, vector[i].iov_base, part);
		length -= part;
	}
}

static void record_sent(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	handshake->channel->sent += length;
	tls_recorder_sent(&handshake->recorder, bytes, length);
}

static void record_received(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	handshake->channel->received += length;
	tls_recorder_received(&handshake->recorder, bytes, length);
}

static void play_sent(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	tls_script_sent(&handshake->script, bytes, length);
}

ssize_t handshake_send(struct handshake *handshake, struct transfer *transfer)
{
	size_t total = transfer_length(transfer);
	ssize_t n;

	if (handshake->phase == HANDSHAKE_PLAYED) {
		visit_bytes(transfer, total, handshake, play_sent);
		return (ssize_t)total;
	}
	if (handshake->channel->phase == CHANNEL_DEAD) {
		errno = handshake->channel->error;
		return -1;
	}
	n = transfer_call_kernel(transfer);
	if (n > 0)
		visit_bytes(transfer, (size_t)n, handshake, record_sent);
	return n;
}

/* Into the first buffer: a library has one. */
static ssize_t play(struct handshake *handshake, const struct transfer *transfer)
{
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);
	size_t length = n ? tls_script_read(&handshake->script, vector->iov_base, vector->iov_len) : 0;

	if (length)
		return (ssize_t)length;
	errno = EAGAIN;
	return -1;
}

ssize_t handshake_receive(struct handshake *handshake, struct transfer *transfer)
{
	ssize_t n;

	if (handshake->phase == HANDSHAKE_PLAYED)
		return play(handshake, transfer);
	if (handshake->channel->phase == CHANNEL_DEAD) {
		errno = handshake->channel->error;
		return -1;
	}
	n = transfer_call_kernel(transfer);
	if (n > 0 && !(transfer->flags & MSG_PEEK))
		visit_bytes(transfer, (size_t)n, handshake, record_received);
	return n;
}

void handshake_drew(char kind, const void *bytes, size_t length)
{
	if (handshake_current && handshake_current->phase == HANDSHAKE_RECORDED)
		tls_recorder_drew(&handshake_current->recorder, kind, bytes, length);
}

const uint8_t *handshake_draw(char kind, size_t *length)
{
	if (!handshake_current || handshake_current->phase != HANDSHAKE_PLAYED)
		return NULL;
	return tls_script_draw(&handshake_current->script, kind, length);
}

/* Both sides' keys, which are the wire's as well. */
static bool fill_keys(const struct handshake *handshake, const struct tls_suite *suite, struct tls_state *state)
{
	struct tls_server_hello hello;

	if (suite->version == TLS_1_3) {
		if ((handshake->secrets & (HANDSHAKE_HAS_CLIENT | HANDSHAKE_HAS_SERVER)) !=
			    (HANDSHAKE_HAS_CLIENT | HANDSHAKE_HAS_SERVER) ||
		    handshake->secret_length != suite->hash_length)
			return false;
		memcpy(state->program_secret, handshake->secret, sizeof(state->program_secret));
		memcpy(state->wire_secret, handshake->secret, sizeof(state->wire_secret));
		return true;
	}
	if (!(handshake->secrets & HANDSHAKE_HAS_MASTER) ||
	    !tls_server_hello_find(tls_state_at(state, state->server), state->server.length, &hello) ||
	    !tls_keys_of_master(handshake->library->crypto, suite, handshake->master,
				tls_state_at(state, state->client) + 11, hello.random, &state->program_key[TLS_CLIENT],
				&state->program_key[TLS_SERVER]))
		return false;
	memcpy(state->wire_key, state->program_key, sizeof(state->wire_key));
	/* The Finished messages were records 0. */
	atomic_store(&state->write_number, 1);
	state->read_number = 1;
	return true;
}

/* What the client's last record says: it is compared in plain where its nonce is random. */
static bool fill_finished(const struct tls_crypto *crypto, const struct tls_suite *suite, struct tls_state *state)
{
	const uint8_t *record = tls_state_at(state, state->client) + state->last_flight;
	size_t length = state->client.length - state->last_flight;
	struct tls_seal seal = {0};
	uint8_t bytes[TLS_RECORD_MAX];
	struct tls_content content;
	bool done;

	if (suite->version == TLS_1_3) {
		state->asks_certificate = length > tls_record_overhead(suite) + MESSAGE_HEADER + suite->hash_length + 1;
		return true;
	}
	state->asks_certificate =
		tls_flight_has_message(tls_state_at(state, state->client), state->last_flight, MESSAGE_CERTIFICATE);
	state->explicit_base = tls_record_explicit_nonce(suite, record);
	done = tls_seal_begin(&seal, crypto, suite, &state->program_key[TLS_CLIENT], false) &&
	       tls_record_open(&seal, 0, record, length, bytes, &content) && content.type == TLS_HANDSHAKE &&
	       tls_state_add(state, bytes, content.length, &state->finished);
	tls_seal_free(&seal);
	return done;
}

static bool read_hello(const struct library *library, const uint8_t *bytes, size_t length, struct tls_hello *hello)
{
	uint64_t salt = library->identity();

	return tls_hello_read(library->crypto, bytes, length, (const uint8_t *)&salt, sizeof(salt), hello) ==
	       TLS_HELLO_FINE;
}

static bool fill_hello(const struct library *library, struct tls_state *state)
{
	struct tls_hello hello;

	if (!read_hello(library, tls_state_at(state, state->client), state->client.length, &hello))
		return false;
	memcpy(state->digest, hello.digest, sizeof(state->digest));
	memcpy(state->server_name, hello.server_name, sizeof(state->server_name));
	state->offers_alpn = hello.offers_alpn;
	return true;
}

/* Or why it can't be repeated. */
static enum refusal fill_state(const struct handshake *handshake, const struct handshake_facts *facts,
			       struct tls_state *state)
{
	const struct tls_suite *suite;

	if (!tls_recorder_save(&handshake->recorder, state))
		return REFUSAL_TLS_OPAQUE;
	suite = tls_suite_find(state->version, state->suite);
	if (!suite)
		return REFUSAL_TLS_VERSION;
	memcpy(state->leaf, facts->leaf, sizeof(state->leaf));
	if (!fill_keys(handshake, suite, state) || !fill_finished(handshake->library->crypto, suite, state) ||
	    !fill_hello(handshake->library, state))
		return REFUSAL_TLS_OPAQUE;
	state->asks_certificate |= facts->asks_certificate;
	return state->asks_certificate && facts->has_client_certificate ? REFUSAL_CLIENT_CERTIFICATE : REFUSAL_NONE;
}

/* The wire of the connection's first program; NULL: it can't be kept, for `why`. */
static struct wire *make_wire(const struct handshake *handshake, const struct handshake_facts *facts, enum refusal *why)
{
	struct wire *wire = wire_take();

	*why = REFUSAL_ERROR;
	if (!wire)
		return NULL;
	if (wire_make_state(wire))
		*why = fill_state(handshake, facts, wire->state);
	if (*why == REFUSAL_NONE && wire_share_state(wire) && wire_begin(wire, handshake->library->crypto)) {
		wire->is_donor = true;
		wire->sent = handshake->channel->sent;
		wire->received = handshake->channel->received;
		return wire;
	}
	wire_put(wire);
	if (*why == REFUSAL_NONE)
		*why = REFUSAL_ERROR;
	return NULL;
}

/* The socket that a channel is on, locked; NULL: it has gone. */
static struct sock *enter(const struct channel *channel, int fd)
{
	struct sock *sock = sock_enter(fd);

	if (sock && sock->transport != &channel->transport) {
		sock_leave(sock);
		sock = NULL;
	}
	return sock;
}

void handshake_note_last_flight(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	tls_recorder_sent(&handshake->recorder, bytes, length);
	if (handshake->channel)
		handshake->channel->flight_left = (uint32_t)length;
}

void handshake_conclude_recorded(struct handshake *handshake, const struct handshake_facts *facts)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? enter(channel, channel->fd) : NULL;
	enum refusal why = facts->why_not;
	struct wire *wire = NULL;

	handshake->phase = HANDSHAKE_OVER;
	if (!sock)
		return;
	if (why == REFUSAL_NONE && sock->state == SOCK_OPEN && sock->conn)
		wire = make_wire(handshake, facts, &why);
	if (!wire)
		sock_untrack(sock, why);
	else if (!channel_begin_session(channel, wire))
		channel->phase = CHANNEL_DEAD;
	sock_leave(sock);
}

bool handshake_is_wanted(const struct sock *sock)
{
	return sock->state == SOCK_OPEN && !sock->has_sent && sock->policy->mode == CONFIG_MODE_FULL &&
	       sock->policy->tls == CONFIG_TLS_REUSE && !atomic_load(&sock->is_shared) && !sock->unfit;
}

const struct tls_state *handshake_tentative(const struct sock *sock)
{
	const struct wire *wire;

	if (sock->state != SOCK_OPEN || !sock->is_leased || sock->has_sent || sock->transport || !sock->conn ||
	    atomic_load(&sock->is_shared))
		return NULL;
	wire = sock->conn->session;
	return wire ? wire->state : NULL;
}

struct channel *handshake_attach(struct handshake *handshake, struct sock *sock)
{
	struct channel *channel = channel_attach(sock);

	if (!channel)
		return NULL;
	channel->fd = sock->fds[0];
	channel->library = handshake->library;
	channel->library_session = handshake->library_session;
	channel->handshake = handshake;
	handshake->channel = channel;
	return channel;
}

bool handshake_begin_playing(struct handshake *handshake, struct sock *sock)
{
	struct channel *channel = handshake_attach(handshake, sock);
	const struct wire *wire = sock->conn->session;

	if (!channel)
		return false;
	channel->phase = CHANNEL_PLAYING;
	handshake->phase = HANDSHAKE_PLAYED;
	tls_script_begin(&handshake->script, wire->state);
	return true;
}

/* In TLS 1.2 with its random nonce: an equal Finished. */
bool handshake_was_played(const struct handshake *handshake)
{
	const struct tls_state *state = handshake->script.state;
	const struct tls_suite *suite = tls_suite_find(state->version, state->suite);
	struct tls_seal seal = {0};
	bool is_complete;

	if (suite->version == TLS_1_3)
		return tls_script_is_complete(&handshake->script, NULL);
	is_complete =
		tls_seal_begin(&seal, handshake->library->crypto, suite, &state->program_key[TLS_CLIENT], false) &&
		tls_script_is_complete(&handshake->script, &seal);
	tls_seal_free(&seal);
	return is_complete;
}

void handshake_play_again(struct handshake *handshake)
{
	tls_script_begin(&handshake->script, handshake->script.state);
}

void handshake_refuse(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? enter(channel, channel->fd) : NULL;

	if (!sock)
		return;
	channel->phase = CHANNEL_REFUSED;
	channel->handshake = NULL;
	handshake->channel = NULL;
	sock_leave(sock);
}

bool handshake_conclude_played(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? enter(channel, channel->fd) : NULL;
	struct wire *wire;
	bool done = false;

	if (!sock)
		return false;
	wire = sock->conn && sock->state == SOCK_OPEN ? sock->conn->session : NULL;
	if (wire && wire->state == handshake->script.state && handshake_was_played(handshake)) {
		wire->sent = sock->conn->ledger.sent;
		wire->received = sock->conn->ledger.received;
		sock->conn->session = NULL;
		handshake->phase = HANDSHAKE_OVER;
		done = wire_begin(wire, handshake->library->crypto) && channel_begin_session(channel, wire);
		channel->is_judged_later = handshake->library->is_final;
		if (!done)
			channel->phase = CHANNEL_DEAD;
	}
	sock_leave(sock);
	return done;
}

/* A connection that was dialled, or is being. False: the kept one stays. Locked. */
static bool make_fresh(struct sock *sock, int *error)
{
	if (!sock->is_leased)
		return true;
	sock->missed = MISSED_UNKNOWN_PROTOCOL;
	*error = redial(sock, sock->conn->session ? REDIAL_FOR_OTHER_SESSION : REDIAL_FOR_UNFIT, -1);
	return *error == 0;
}

bool handshake_begin_recording(struct handshake *handshake, struct sock *sock)
{
	int error = 0;
	bool is_fresh = make_fresh(sock, &error);
	struct channel *channel = sock->state == SOCK_OPEN ? handshake_attach(handshake, sock) : NULL;

	if (!channel)
		return false;
	/* Of one without a socket the ClientHello was made before. */
	if (!handshake->is_offline || handshake->phase != HANDSHAKE_RECORDED)
		forget_recorded(handshake);
	handshake->phase = HANDSHAKE_RECORDED;
	channel->phase = is_fresh ? CHANNEL_RECORDING : CHANNEL_DEAD;
	channel->error = -error;
	return true;
}

static bool fits(const struct conn *conn, const void *what)
{
	const struct wire *wire = conn->session;

	return wire && memcmp(wire->state->digest, what, TLS_DIGEST_LENGTH) == 0;
}

bool handshake_find_kept(struct sock *sock, const uint8_t digest[TLS_DIGEST_LENGTH])
{
	return handshake_tentative(sock) && (fits(sock->conn, digest) || lease_other_session(sock, fits, digest));
}

bool handshake_note_hello(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	struct tls_hello hello;

	if (!read_hello(handshake->library, bytes, length, &hello))
		return false;
	memcpy(handshake->client_random, hello.random, sizeof(handshake->client_random));
	memcpy(handshake->digest, hello.digest, sizeof(handshake->digest));
	return true;
}

/* What was sent first, whatever the server's recorded answer made of it. */
static bool asks_for_another(const struct handshake *handshake, const struct tls_state *state, struct tls_hello *hello)
{
	return read_hello(handshake->library, handshake->script.hello, handshake->script.hello_length, hello) &&
	       memcmp(hello->digest, state->digest, sizeof(state->digest)) != 0;
}

bool handshake_try_other(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? enter(channel, channel->fd) : NULL;
	const struct wire *wire;
	struct tls_hello hello;
	bool found = false;

	if (!sock)
		return false;
	wire = sock->state == SOCK_OPEN && sock->conn ? sock->conn->session : NULL;
	if (wire && asks_for_another(handshake, wire->state, &hello) && lease_other_session(sock, fits, hello.digest)) {
		wire = sock->conn->session;
		tls_script_begin(&handshake->script, wire->state);
		found = true;
	}
	sock_leave(sock);
	return found;
}

void handshake_give_up_playing(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? enter(channel, channel->fd) : NULL;

	/* Whatever becomes of its socket, it draws its own from here on. */
	handshake->phase = HANDSHAKE_RECORDED;
	forget_recorded(handshake);
	if (!sock)
		return;
	channel_detach(sock);
	if (!handshake_begin_recording(handshake, sock))
		sock_untrack(sock, REFUSAL_ERROR);
	sock_leave(sock);
}
