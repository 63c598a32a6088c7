/* See handshake.h. */
#include "shim/tls/handshake.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/exchange/iocall.h"
#include "shim/tls/channel.h"
#include "shim/tls/expected.h"
#include "shim/tls/library.h"

__thread struct handshake *handshake_current __attribute__((tls_model("initial-exec")));

static struct guard_lock lock; /* covers `free_ones` */
static struct handshake *free_ones;

void handshake_forget_recorded(struct handshake *handshake)
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
	handshake_forget_recorded(handshake);
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

bool handshake_read_hello(const struct library *library, const uint8_t *bytes, size_t length, struct tls_hello *hello)
{
	uint64_t salt = library->identity();

	return tls_hello_read(library->crypto, bytes, length, (const uint8_t *)&salt, sizeof(salt), hello) ==
	       TLS_HELLO_FINE;
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

bool handshake_note_hello(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	struct tls_hello hello;

	if (!handshake_read_hello(handshake->library, bytes, length, &hello))
		return false;
	memcpy(handshake->client_random, hello.random, sizeof(handshake->client_random));
	memcpy(handshake->digest, hello.digest, sizeof(handshake->digest));
	return true;
}
